//! Amounts in the document's currency.

use billing::BasisPoints;
use billing::format;
use values::{Currency, Money};

/// Writes an amount with all decimals: `$2,000.00`.
pub(crate) fn amount(currency: Currency, minor: i64) -> String {
    format::money(Money { minor, currency })
}

/// Writes a rate: `19%`, `7.7%`, `8.25%`.
pub(crate) fn rate(rate: BasisPoints) -> String {
    let (whole, part) = (rate.get() / 100, rate.get() % 100);
    match part {
        0 => format!("{whole}%"),
        _ if part.is_multiple_of(10) => format!("{whole}.{}%", part / 10),
        _ => format!("{whole}.{part:02}%"),
    }
}

/// Writes a count with thousands commas.
pub(crate) fn count(count: u64) -> String {
    values::grouped(count.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rates_and_counts() {
        let of = |points| rate(BasisPoints::new(points).unwrap());
        assert_eq!(
            [of(1_900), of(770), of(825), of(5), of(0)],
            ["19%", "7.7%", "8.25%", "0.05%", "0%"]
        );
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
