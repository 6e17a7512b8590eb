//! What may be known of a customer's card.

use values::{Month, Timestamp};

use crate::PaymentMethodId;

/// A card as the gateway describes it; its number never leaves the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its id.
    pub id: PaymentMethodId,
    /// The brand's code, such as `visa`.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// The last month in which it can be charged.
    pub valid_through: Month,
}

impl Card {
    /// Tells whether the card can no longer be charged at `now`.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        now >= self.valid_through.end()
    }

    /// Tells whether `month` is the card's last one, so that its owner should hear of it.
    pub fn expires_in(&self, month: Month) -> bool {
        self.valid_through == month
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_good_until_the_end_of_its_month() {
        let card = Card {
            id: "pm_1".parse().unwrap(),
            brand: "visa".to_owned(),
            last4: "4242".to_owned(),
            valid_through: "2026-10".parse().unwrap(),
        };
        assert!(card.expires_in("2026-10".parse().unwrap()));
        assert!(!card.expires_in("2026-11".parse().unwrap()));
        assert!(!card.has_expired("2026-10-31T23:59:59Z".parse().unwrap()));
        assert!(card.has_expired("2026-11-01T00:00:00Z".parse().unwrap()));
    }
}
