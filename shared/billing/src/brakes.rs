//! Brakes of a billing run: a kill switch, an approval, and a stop when the total moves too far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use values::Currency;

use crate::words::words;

/// What a run charges, in minor units by currency.
pub type Totals = BTreeMap<Currency, i64>;

/// The settings of the brakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brakes {
    /// Whether nothing is charged at all.
    pub charges_stopped: bool,
    /// Whether a person approves the totals of every run.
    pub approve_before_charge: bool,
    /// How far a total may move from the month before without an approval.
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
    /// compared then). `approved` are the totals a person approved: they count only if they are
    /// exactly those of this run. The kill switch stops an approved run too.
    pub fn release(
        &self,
        now: &Totals,
        last: Option<&Totals>,
        approved: Option<&Totals>,
    ) -> Release {
        let moved = last.is_some_and(|last| {
            let of = |totals: &Totals, currency| totals.get(currency).copied().unwrap_or(0);
            let mut currencies = now.keys().chain(last.keys());
            currencies.any(|currency| self.moved_too_far(of(last, currency), of(now, currency)))
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

    fn moved_too_far(self, last: i64, now: i64) -> bool {
        let change = (i128::from(now) - i128::from(last)).abs() * 10_000;
        change > i128::from(last).abs() * i128::from(self.max_change_basis_points)
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
        let usd = |minor| Totals::from([(Currency::USD, minor)]);
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
        let moved = brakes.release(&usd(1_000), Some(&Totals::from([(euro, 1_000)])), None);
        assert_eq!(moved, Release::MovedTooFar);
    }
}
