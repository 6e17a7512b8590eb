//! Money: whole minor units of one currency, never a fraction.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an amount cannot be made or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three capital letters.
    #[error("`{found}` is not a currency; write its three ISO 4217 letters, such as USD")]
    Currency {
        /// What was found (at most 20 characters).
        found: String,
    },
    /// Two amounts in different currencies.
    #[error("amounts in {left} and {right} cannot be added")]
    Mixed {
        /// Currency of the first amount.
        left: Currency,
        /// Currency of the second amount.
        right: Currency,
    },
    /// The sum does not fit 63 bits of minor units.
    #[error("the amount is too large")]
    Overflow,
}

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|l| l.is_ascii_uppercase()) => Ok(Self([*a, *b, *c])),
            _ => Err(MoneyError::Currency { found: text.chars().take(20).collect() }),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&letter| write!(f, "{}", char::from(letter)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An amount in minor units (cents) of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Whole minor units, ISO 4217; negative for what is owed to the customer.
    pub minor: i64,
    /// The currency.
    #[serde(with = "as_text")]
    #[schemars(with = "String")]
    pub currency: Currency,
}

impl Money {
    /// Adds two amounts of the same currency.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] for two currencies, [`MoneyError::Overflow`] beyond 63 bits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed { left: self.currency, right: other.currency });
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, currency: self.currency })
    }
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Currency;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(c: &Currency, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(c)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Currency, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_within_one_currency_only() {
        let dollars = |minor| Money { minor, currency: Currency::USD };
        let euros = Money { minor: 1, currency: "EUR".parse().unwrap() };
        assert_eq!(dollars(1).checked_add(dollars(2)), Ok(dollars(3)));
        assert!(matches!(dollars(1).checked_add(euros), Err(MoneyError::Mixed { .. })));
        assert_eq!(dollars(i64::MAX).checked_add(dollars(1)), Err(MoneyError::Overflow));
    }

    #[test]
    fn refuses_currencies_that_are_not_three_capitals() {
        for text in ["usd", "US", "USDX", "U$D", ""] {
            assert!(text.parse::<Currency>().is_err(), "{text}");
        }
    }
}
