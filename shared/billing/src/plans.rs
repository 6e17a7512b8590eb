//! The catalogue: what is sold, by whom it is billed, and for how much, month by month.

mod check;
mod holding;
mod read;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;
use values::{Currency, Money, Month, did_you_mean};

pub use self::holding::{AccountPlans, Holding, MAX_PLANS_HELD, PlanChange, plans_at_end};
use crate::{BillingError, Limits, Product};

/// The catalogue this program ships: one version, for all time.
const BUILT_IN: &str = include_str!("plans/catalogue.toml");
/// How much of a name is repeated in an error.
const EXCERPT: usize = 64;

/// What is sold; read from TOML by `parse`, checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    free_allowance: Limits,
    minimum_charge_minor: BTreeMap<Currency, i64>,
    providers: Vec<Provider>,
    /// As in the file, once per provider that sells it.
    plans: Vec<Plan>,
}

/// Through whom an account came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name, as accounts spell it; compared exactly.
    pub name: String,
    /// Who sends its customers their bills.
    pub billed_by: BilledBy,
}

/// Who sends a provider's customers their bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BilledBy {
    /// The company itself, which can therefore charge, warn and upgrade.
    Company,
    /// The provider (a marketplace): nothing is charged and no plan is changed here.
    Provider,
}

/// How many streams may exist at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Streams {
    /// At most so many.
    UpTo(u32),
    /// Any number.
    Unlimited,
}

/// One version of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The provider that sells it.
    pub provider: String,
    /// The product it belongs to.
    pub product: Product,
    /// The name accounts hold it by.
    pub name: String,
    /// The name customers read.
    pub title: String,
    /// Its place in lists, smallest first.
    pub order: u32,
    /// The first month it counts for; `None` for all time.
    pub from: Option<Month>,
    /// Whether an upgrade may choose it.
    pub offered: bool,
    /// What it allows in a month; zero for the metrics of the other product.
    pub limits: Limits,
    /// How many streams it allows; none for a peer plan.
    pub streams: Streams,
    prices_minor: BTreeMap<Currency, i64>,
}

impl Plan {
    /// The net price of a month in each currency it is sold in, by currency.
    pub fn prices(&self) -> impl Iterator<Item = Money> {
        self.prices_minor.iter().map(|(&currency, &minor)| Money { minor, currency })
    }

    /// The net price of a month.
    ///
    /// # Errors
    /// [`BillingError::NoPrice`] if it is not sold in that currency.
    pub fn price(&self, currency: Currency) -> Result<Money, BillingError> {
        match self.prices_minor.get(&currency) {
            Some(&minor) => Ok(Money { minor, currency }),
            None => Err(BillingError::NoPrice {
                product: self.product,
                plan: self.name.clone(),
                currency,
            }),
        }
    }
}

impl Catalogue {
    /// The catalogue this program ships, used unless a company brings its own.
    ///
    /// # Panics
    /// Never: the text is part of the program and a test reads it.
    pub fn built_in() -> Self {
        BUILT_IN.parse().expect("the shipped catalogue is read by a test")
    }

    /// What a product gives without a plan; also what is never warned about or throttled.
    pub const fn free_allowance(&self) -> &Limits {
        &self.free_allowance
    }

    /// The smallest amount that is charged; less is carried to the next invoice.
    ///
    /// # Errors
    /// [`BillingError::NoMinimum`] for a currency in which nothing is sold.
    pub fn minimum_charge(&self, currency: Currency) -> Result<Money, BillingError> {
        let minor = self.minimum_charge_minor.get(&currency);
        let minor = *minor.ok_or(BillingError::NoMinimum { currency })?;
        Ok(Money { minor, currency })
    }

    /// Every provider, in the order of the file.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Finds a provider by its exact name.
    ///
    /// # Errors
    /// [`BillingError::UnknownProvider`].
    pub fn provider(&self, name: &str) -> Result<&Provider, BillingError> {
        let found = self.providers.iter().find(|provider| provider.name == name);
        found.ok_or_else(|| BillingError::UnknownProvider { provider: excerpt(name) })
    }

    /// Lists the plans of a product in the version of a month, smallest order first.
    pub fn plans(
        &self,
        provider: &str,
        product: Product,
        month: Month,
    ) -> impl Iterator<Item = &Plan> {
        let mut in_force: Vec<&Plan> = Vec::new();
        for plan in &self.plans {
            let begun = plan.from.is_none_or(|from| from <= month);
            if !begun || plan.provider != provider || plan.product != product {
                continue;
            }
            match in_force.iter_mut().find(|other| other.name == plan.name) {
                Some(earlier) if earlier.from < plan.from => *earlier = plan,
                Some(_) => {}
                None => in_force.push(plan),
            }
        }
        in_force.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        in_force.into_iter()
    }

    /// Finds a plan in the version of a month.
    ///
    /// # Errors
    /// [`BillingError::UnknownPlan`] with the nearest name, if one is near.
    pub fn plan(
        &self,
        provider: &str,
        product: Product,
        name: &str,
        month: Month,
    ) -> Result<&Plan, BillingError> {
        let plans: Vec<&Plan> = self.plans(provider, product, month).collect();
        plans.iter().copied().find(|plan| plan.name == name).ok_or_else(|| {
            let names = plans.iter().map(|plan| plan.name.as_str());
            BillingError::UnknownPlan {
                provider: excerpt(provider),
                product,
                plan: excerpt(name),
                month,
                hint: did_you_mean(name, names).map(str::to_owned),
            }
        })
    }
}

impl FromStr for Catalogue {
    type Err = BillingError;

    /// Reads a catalogue written in TOML, as `catalogue.toml` of this crate is.
    ///
    /// # Errors
    /// [`BillingError::Catalogue`] with every problem, each saying what to change.
    fn from_str(text: &str) -> Result<Self, BillingError> {
        read::catalogue(text).map_err(|problems| BillingError::Catalogue { problems })
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

#[cfg(test)]
mod tests;
