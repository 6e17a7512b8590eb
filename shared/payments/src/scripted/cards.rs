//! Test cards.

/// How a card behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestCard {
    /// Is charged.
    Good,
    /// Is declined, without a reason.
    Declined,
    /// Is declined for want of money.
    InsufficientFunds,
    /// Is declined as expired.
    Expired,
    /// Is declined unless its owner is there to confirm.
    AuthenticationRequired,
}

impl TestCard {
    /// The card behind a published name; the second value tells whether it can be attached.
    ///
    /// Source: <https://docs.stripe.com/testing>.
    pub(super) fn named(token: &str) -> Option<(Self, bool)> {
        Some(match token {
            "pm_card_visa" | "pm_card_mastercard" | "pm_card_amex" => (Self::Good, true),
            "pm_card_chargeCustomerFail" => (Self::Declined, true),
            "pm_card_authenticationRequired" => (Self::AuthenticationRequired, true),
            "pm_card_visa_chargeDeclined" => (Self::Declined, false),
            "pm_card_visa_chargeDeclinedInsufficientFunds" => (Self::InsufficientFunds, false),
            "pm_card_chargeDeclinedExpiredCard" => (Self::Expired, false),
            _ => return None,
        })
    }

    /// The code and the decline code of a charge without the owner; `None` if it succeeds.
    ///
    /// Source: <https://docs.stripe.com/declines/codes>.
    pub(super) fn refusal(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Good => None,
            Self::Declined => Some(("card_declined", "generic_decline")),
            Self::InsufficientFunds => Some(("card_declined", "insufficient_funds")),
            Self::Expired => Some(("expired_card", "expired_card")),
            Self::AuthenticationRequired => {
                Some(("authentication_required", "authentication_required"))
            }
        }
    }
}
