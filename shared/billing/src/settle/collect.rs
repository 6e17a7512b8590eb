//! The open months a customer is asked to pay when adding a card.

use std::collections::BTreeSet;

use values::{Money, Month};

use super::RecordState;
use crate::BillingError;

/// A month that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenMonth {
    /// The month.
    pub month: Month,
    /// Its record's state.
    pub state: RecordState,
    /// What its record asks for.
    pub total: Money,
    /// Whether its usage was above the free allowance in any metric.
    pub above_free_allowance: bool,
    /// Whether the account was throttled from its first instant to its last.
    pub throttled_throughout: bool,
}

impl OpenMonth {
    /// Whether a customer may be charged for it at all: refused or without a card, and not
    /// throttled throughout.
    pub fn is_collectable(&self) -> bool {
        let open = matches!(self.state, RecordState::Failed | RecordState::NoCard);
        open && !self.throttled_throughout
    }
}

/// Chooses what a customer is asked to agree to: refused months, and months without a card whose
/// usage was above the free allowance.
pub fn months_to_offer(open: &[OpenMonth]) -> impl Iterator<Item = &OpenMonth> {
    open.iter().filter(|month| {
        month.is_collectable() && (month.state == RecordState::Failed || month.above_free_allowance)
    })
}

/// Finds the months a customer agreed to, each once, earliest first.
///
/// # Errors
/// [`BillingError::NotOpen`] for a month that is settled or may not be collected,
/// [`BillingError::AgreedTotal`] if they add up to another amount: nothing is charged then.
pub fn agreed_months(
    open: &[OpenMonth],
    months: &[Month],
    agreed: Money,
) -> Result<Vec<OpenMonth>, BillingError> {
    let mut found = Money { minor: 0, currency: agreed.currency };
    let mut chosen = Vec::new();
    for month in months.iter().copied().collect::<BTreeSet<_>>() {
        let of_month = |open: &&OpenMonth| open.month == month && open.is_collectable();
        let open = open.iter().find(of_month).ok_or(BillingError::NotOpen { month })?;
        found = found.checked_add(open.total)?;
        chosen.push(*open);
    }
    if found == agreed { Ok(chosen) } else { Err(BillingError::AgreedTotal { agreed, found }) }
}

#[cfg(test)]
mod tests {
    use values::Currency;

    use super::*;

    fn open(month: &str, state: RecordState, above: bool, throttled: bool) -> OpenMonth {
        OpenMonth {
            month: month.parse().unwrap(),
            state,
            total: Money { minor: 2_000, currency: Currency::USD },
            above_free_allowance: above,
            throttled_throughout: throttled,
        }
    }

    #[test]
    fn asks_for_refused_and_used_months_and_charges_only_what_was_agreed() {
        let all = [
            open("2015-01", RecordState::NoCard, false, false),
            open("2015-02", RecordState::NoCard, true, false),
            open("2015-03", RecordState::Failed, false, false),
            open("2015-04", RecordState::Failed, true, true),
            open("2015-05", RecordState::Pending, true, false),
        ];
        let offered: Vec<String> =
            months_to_offer(&all).map(|open| open.month.to_string()).collect();
        assert_eq!(offered, ["2015-02", "2015-03"]);
        let agree = |months: &[&str], minor| {
            let months: Vec<Month> = months.iter().map(|month| month.parse().unwrap()).collect();
            agreed_months(&all, &months, Money { minor, currency: Currency::USD })
        };
        assert_eq!(agree(&["2015-03", "2015-01", "2015-03"], 4_000).unwrap(), [all[0], all[2]]);
        assert!(matches!(agree(&["2015-03"], 4_000), Err(BillingError::AgreedTotal { .. })));
        assert!(matches!(agree(&["2015-04"], 2_000), Err(BillingError::NotOpen { .. })));
        assert!(matches!(agree(&["2015-05"], 2_000), Err(BillingError::NotOpen { .. })));
        assert!(matches!(agree(&["2016-01"], 2_000), Err(BillingError::NotOpen { .. })));
    }
}
