//! Tax: a share of the net amount, by country, in hundredths of a percent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use values::Money;

use crate::BillingError;

/// Basis points of a whole.
const WHOLE: i128 = 10_000;

/// A share in basis points: 0 to 10,000, where 1,900 is 19 %.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u32", into = "u32")]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Takes 0 to 10,000.
    ///
    /// # Errors
    /// [`BillingError::BasisPoints`] for more.
    pub fn new(found: u32) -> Result<Self, BillingError> {
        match u16::try_from(found) {
            Ok(points) if i128::from(points) <= WHOLE => Ok(Self(points)),
            _ => Err(BillingError::BasisPoints { found }),
        }
    }

    /// The number, 0 to 10,000.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// The share of an amount, rounded half up to a whole minor unit; `net` is zero or more.
    ///
    /// Called once per invoice, on the sum: rounding line by line would not add up.
    ///
    /// # Errors
    /// [`BillingError::Negative`] for a negative amount.
    pub fn of(self, net: Money) -> Result<Money, BillingError> {
        if net.minor < 0 {
            return Err(BillingError::Negative { what: "a net amount", minor: net.minor });
        }
        let share = (i128::from(net.minor) * i128::from(self.0) + WHOLE / 2) / WHOLE;
        let minor = i64::try_from(share).expect("a share is not above its whole");
        Ok(Money { minor, currency: net.currency })
    }
}

impl TryFrom<u32> for BasisPoints {
    type Error = BillingError;

    fn try_from(found: u32) -> Result<Self, BillingError> {
        Self::new(found)
    }
}

impl From<BasisPoints> for u32 {
    fn from(points: BasisPoints) -> Self {
        points.get()
    }
}

/// The tax of each country; a country that is not named, or not known, is not taxed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, BasisPoints>")]
pub struct TaxRates(BTreeMap<String, BasisPoints>);

impl TaxRates {
    /// The rate of a country, given by its two ISO 3166 letters.
    pub fn of(&self, country: Option<&str>) -> BasisPoints {
        country.and_then(|country| self.0.get(country)).copied().unwrap_or_default()
    }
}

/// Names the country of two capital ISO 3166-1 letters by its English short name.
///
/// # Errors
/// [`BillingError::Country`] for anything else.
pub fn country_name(code: &str) -> Result<&'static str, BillingError> {
    let unknown = || BillingError::Country { found: code.chars().take(20).collect() };
    rust_iso3166::from_alpha2(code).map(|country| country.name).ok_or_else(unknown)
}

impl TryFrom<BTreeMap<String, BasisPoints>> for TaxRates {
    type Error = BillingError;

    fn try_from(rates: BTreeMap<String, BasisPoints>) -> Result<Self, BillingError> {
        for code in rates.keys() {
            country_name(code)?;
        }
        Ok(Self(rates))
    }
}

#[cfg(test)]
mod tests {
    use values::Currency;

    use super::*;

    #[test]
    fn rounds_half_up() {
        let check = |minor, points, tax| {
            let net = Money { minor, currency: Currency::USD };
            assert_eq!(BasisPoints::new(points).unwrap().of(net).unwrap().minor, tax, "{minor}");
        };
        check(10_000, 1_900, 1_900);
        check(32_903, 1_900, 6_252); // 6251.57
        check(50, 100, 1); // 0.5
        check(49, 100, 0);
        check(i64::MAX, 10_000, i64::MAX);
        check(10_000, 0, 0);
    }

    #[test]
    fn refuses_absurd_rates_and_countries() {
        assert!(BasisPoints::new(10_001).is_err());
        assert!(BasisPoints::new(u32::MAX).is_err());
        assert!(BasisPoints::ZERO.of(Money { minor: -1, currency: Currency::USD }).is_err());
        let rates: TaxRates = toml::from_str("DE = 1900\nCH = 810").unwrap();
        assert_eq!(rates.of(Some("CH")).get(), 810);
        assert_eq!((rates.of(Some("US")).get(), rates.of(None).get()), (0, 0));
        assert!(toml::from_str::<TaxRates>("Germany = 1900").is_err());
        assert!(toml::from_str::<TaxRates>("UK = 2000").is_err());
    }

    #[test]
    fn countries_have_their_names() {
        for (code, name) in [
            ("DE", "Germany"),
            ("GB", "United Kingdom of Great Britain and Northern Ireland"),
            ("TR", "Türkiye"),
            ("MK", "North Macedonia"),
            ("SZ", "Eswatini"),
        ] {
            assert_eq!(country_name(code), Ok(name));
        }
        for code in ["", "de", "UK", "XX", "DEU", "D", "ДЕ", "276"] {
            let error = country_name(code).unwrap_err().to_string();
            let told = format!("`{code}` is not a country; write its two ISO 3166 letters");
            assert!(error.starts_with(&told), "{error}");
        }
    }
}
