//! Brakes of a billing run: a kill switch, an approval, and a stop when the total moves too far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use values::{Currency, Money, words};

use crate::BillingError;

/// What the bills of a run add up to, by currency.
pub type Totals = BTreeMap<Currency, Total>;

/// A sum of bills in one currency, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Stored")]
pub struct Total {
    /// Without tax.
    pub net_minor: i64,
    /// The tax on it.
    pub tax_minor: i64,
}

/// A total as it is read: a figure alone is one without tax.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Net(i64),
    #[serde(rename_all = "camelCase")]
    Split {
        net_minor: i64,
        tax_minor: i64,
    },
}

impl From<Stored> for Total {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Net(net_minor) => Self { net_minor, tax_minor: 0 },
            Stored::Split { net_minor, tax_minor } => Self { net_minor, tax_minor },
        }
    }
}

impl Total {
    /// Adds what a bill asks for without tax, and its tax.
    ///
    /// # Errors
    /// [`BillingError::Money`] beyond 63 bits, which is also the bound of the sum of both.
    pub fn add(&mut self, net: Money, tax: Money) -> Result<(), BillingError> {
        let currency = net.currency;
        let of = |minor| Money { minor, currency };
        let (all_net, all_tax) =
            (of(self.net_minor).checked_add(net)?, of(self.tax_minor).checked_add(tax)?);
        all_net.checked_add(all_tax)?;
        *self = Self { net_minor: all_net.minor, tax_minor: all_tax.minor };
        Ok(())
    }

    /// With tax.
    pub fn gross_minor(&self) -> i128 {
        i128::from(self.net_minor) + i128::from(self.tax_minor)
    }
}

/// The settings of the brakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brakes {
    /// Whether nothing is charged at all.
    pub charges_stopped: bool,
    /// Whether a person approves the totals of every run.
    pub approve_before_charge: bool,
    /// How far a total, with or without tax, may move from the month before without an approval.
    pub max_change_basis_points: u32,
}

words! {
    /// Whether a run may charge.
    Release, "a release of a billing run":
    /// It may.
    Go = "go",
    /// All charges are stopped.
    Stopped = "stopped",
    /// It waits for a person to approve the totals.
    AwaitsApproval = "awaits_approval",
    /// The total moved too far; it waits for a person to approve it.
    MovedTooFar = "moved_too_far",
}

impl Brakes {
    /// Decides whether a run may charge.
    ///
    /// `last` is what the run of the month before charged, `None` if there was none (nothing is
    /// compared then): net and gross are each held against it. `approved` are the totals a person
    /// approved: they count only if they are exactly those of this run, tax included. The kill switch stops an approved run too.
    pub fn release(
        &self,
        now: &Totals,
        last: Option<&Totals>,
        approved: Option<&Totals>,
    ) -> Release {
        let moved = last.is_some_and(|last| {
            let of = |totals: &Totals, currency| totals.get(currency).copied().unwrap_or_default();
            let mut currencies = now.keys().chain(last.keys());
            currencies.any(|currency| {
                let (last, now) = (of(last, currency), of(now, currency));
                self.moved_too_far(last.net_minor.into(), now.net_minor.into())
                    || self.moved_too_far(last.gross_minor(), now.gross_minor())
            })
        });
        if self.charges_stopped {
            return Release::Stopped;
        }
        match approved == Some(now) {
            false if moved => Release::MovedTooFar,
            false if self.approve_before_charge => Release::AwaitsApproval,
            _ => Release::Go,
        }
    }

    fn moved_too_far(self, last: i128, now: i128) -> bool {
        let change = (now - last).abs() * 10_000;
        change > last.abs() * i128::from(self.max_change_basis_points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_only_as_far_as_its_brakes_let_it() {
        let brakes = Brakes {
            charges_stopped: false,
            approve_before_charge: false,
            max_change_basis_points: 3_000,
        };
        let approving = Brakes { approve_before_charge: true, ..brakes };
        let stopped = Brakes { charges_stopped: true, ..brakes };
        let total = |net_minor, tax_minor| Total { net_minor, tax_minor };
        let usd = |minor| Totals::from([(Currency::USD, total(minor, 0))]);
        let taxed = |net, tax| Totals::from([(Currency::USD, total(net, tax))]);
        let check = |brakes: Brakes, now, last: Option<i64>, approved: Option<i64>, expected| {
            let (last, approved) = (last.map(usd), approved.map(usd));
            assert_eq!(brakes.release(&usd(now), last.as_ref(), approved.as_ref()), expected);
        };
        check(brakes, 1_300, Some(1_000), None, Release::Go);
        check(brakes, 1_301, Some(1_000), None, Release::MovedTooFar);
        check(brakes, 700, Some(1_000), None, Release::Go);
        check(brakes, 699, Some(1_000), None, Release::MovedTooFar);
        check(brakes, 699, Some(1_000), Some(699), Release::Go);
        check(brakes, 699, Some(1_000), Some(700), Release::MovedTooFar);
        check(brakes, 5_000, None, None, Release::Go);
        check(brakes, 1, Some(0), None, Release::MovedTooFar);
        check(approving, 1_000, Some(1_000), None, Release::AwaitsApproval);
        check(approving, 1_000, Some(1_000), Some(1_000), Release::Go);
        check(stopped, 1_000, Some(1_000), Some(1_000), Release::Stopped);
        let euro = "EUR".parse().unwrap();
        let moved = brakes.release(&usd(1_000), Some(&[(euro, total(1_000, 0))].into()), None);
        assert_eq!(moved, Release::MovedTooFar);
        // The tax moves what customers pay although the net stays.
        let last = taxed(1_000, 190);
        let of =
            |now: &Totals, approved: Option<&Totals>| brakes.release(now, Some(&last), approved);
        assert_eq!(of(&taxed(1_000, 547), None), Release::Go); // 1190 and 30 %
        assert_eq!(of(&taxed(1_000, 548), None), Release::MovedTooFar);
        assert_eq!(of(&taxed(699, 491), None), Release::MovedTooFar);
        assert_eq!(of(&taxed(1_000, 1_000), Some(&taxed(1_000, 1_000))), Release::Go);
        assert_eq!(of(&taxed(1_000, 1_000), Some(&taxed(1_000, 190))), Release::MovedTooFar);
    }

    #[test]
    fn a_total_is_added_up_checked_and_read_as_it_was_stored_before() {
        let usd = |minor| Money { minor, currency: Currency::USD };
        let mut total = Total::default();
        total.add(usd(100), usd(19)).unwrap();
        assert_eq!((total.net_minor, total.tax_minor, total.gross_minor()), (100, 19, 119));
        for (net, tax) in [(i64::MAX, 0), (0, i64::MAX), (i64::MAX - 200, 100)] {
            assert!(total.add(usd(net), usd(tax)).is_err());
        }
        assert_eq!((total.net_minor, total.tax_minor), (100, 19));
        let text = serde_json::to_string(&Totals::from([(Currency::USD, total)])).unwrap();
        assert_eq!(text, r#"{"USD":{"netMinor":100,"taxMinor":19}}"#);
        let read = |text: &str| serde_json::from_str::<Totals>(text).unwrap()[&Currency::USD];
        assert_eq!(read(&text), total);
        assert_eq!(read(r#"{"USD":100}"#), Total { net_minor: 100, tax_minor: 0 });
    }
}
