//! Why something about a bill cannot be decided.

use values::{Classify, Currency, Money, MoneyError, Month, Retry};

use crate::format::money;
use crate::{Metric, Product};

/// Why something about a bill cannot be decided; asking again gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillingError {
    /// The catalogue of plans is not usable; every problem, in the order found.
    #[error("the catalogue of plans has problems: {}", problems.join("; "))]
    Catalogue {
        /// One sentence each, saying what to change.
        problems: Vec<String>,
    },
    /// The catalogue does not know the billing provider.
    #[error("`{provider}` is not a provider of the catalogue; add it under [[providers]]")]
    UnknownProvider {
        /// What was found (at most 64 characters).
        provider: String,
    },
    /// An account holds a plan that the catalogue does not have in the month.
    #[error(
        "`{provider}` sells no {product} plan `{plan}` in {month}; correct the account or add the plan{}",
        hint.as_ref().map_or(String::new(), |name| format!(" (did you mean `{name}`?)"))
    )]
    UnknownPlan {
        /// Who bills the account.
        provider: String,
        /// The product it was held as.
        product: Product,
        /// The name that was found (at most 64 characters).
        plan: String,
        /// The month that was asked for.
        month: Month,
        /// The nearest plan that exists.
        hint: Option<String>,
    },
    /// A plan has no price in the account's currency.
    #[error("{product} plan `{plan}` has no price in {currency}; add one to its price_minor")]
    NoPrice {
        /// Its product.
        product: Product,
        /// Its name.
        plan: String,
        /// The account's currency.
        currency: Currency,
    },
    /// The catalogue has no smallest charge for a currency.
    #[error("there is no smallest charge in {currency}; add it to minimum_charge_minor")]
    NoMinimum {
        /// The currency.
        currency: Currency,
    },
    /// An account holds more plans than anyone buys.
    #[error("the account holds {found} plans; at most {limit} are summed, correct the account")]
    TooManyPlans {
        /// How many it holds.
        found: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// A figure that nobody can have used.
    #[error("{metric} of {found} cannot be; correct the usage, then ask again")]
    AbsurdUsage {
        /// Which figure.
        metric: Metric,
        /// What was found, in its unit.
        found: i64,
    },
    /// A sum of bytes or milliseconds that does not fit 64 bits.
    #[error("the sum of {what} is too large")]
    TooLarge {
        /// What was summed.
        what: &'static str,
    },
    /// An amount that has to be zero or more is negative.
    #[error("{what} of {minor} minor units is negative; give zero or more")]
    Negative {
        /// Which amount.
        what: &'static str,
        /// What was found.
        minor: i64,
    },
    /// A share of more than 10,000 basis points.
    #[error("{found} basis points; give 0 to 10000, where 1900 is 19 %")]
    BasisPoints {
        /// What was found.
        found: u32,
    },
    /// Not the two letters of a country.
    #[error("`{found}` is not a country; write its two ISO 3166 letters, such as DE")]
    Country {
        /// What was found (at most 20 characters).
        found: String,
    },
    /// The month is not over.
    #[error("{month} has not ended; ask again after {}", month.end())]
    MonthNotEnded {
        /// The month.
        month: Month,
    },
    /// The account did not exist in the month.
    #[error("the account did not exist in {month}")]
    NotActive {
        /// The month.
        month: Month,
    },
    /// A month was tried more often than any retry rule does.
    #[error("{month} was refused {refusals} times; settle it by hand")]
    TooManyAttempts {
        /// The month.
        month: Month,
        /// How often the gateway refused.
        refusals: u32,
    },
    /// A month the customer agreed to cannot be collected.
    #[error("{month} is not open for collection; ask the customer to agree again")]
    NotOpen {
        /// The month.
        month: Month,
    },
    /// What the customer agreed to is not what the open months add up to.
    #[error(
        "the months add up to {}, the customer agreed to {}",
        money(*found), money(*agreed)
    )]
    AgreedTotal {
        /// What the customer agreed to.
        agreed: Money,
        /// What the months add up to.
        found: Money,
    },
    /// More is paid, refunded, credited or written off than there is.
    #[error("{what} of {asked} minor units, but only {left} are left; give at most that")]
    TooMuch {
        /// Which amount.
        what: &'static str,
        /// What was asked for.
        asked: i64,
        /// What is left.
        left: i64,
    },
    /// Two currencies, or an amount beyond 63 bits.
    #[error("amounts do not add up")]
    Money(#[from] MoneyError),
}

impl Classify for BillingError {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}
