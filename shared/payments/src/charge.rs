//! A charge, and what became of it.

use billing::GatewayAnswer;
use serde::{Deserialize, Serialize};
use values::{AccountId, Money, Month, Timestamp};

use crate::{CustomerId, PaymentError, PaymentId, PaymentMethodId};

/// Bytes of an idempotency key at the most.
///
/// Source: <https://docs.stripe.com/api/idempotent_requests>.
const MAX_KEY_BYTES: usize = 255;
/// Characters of a metadata value at the most.
///
/// Source: <https://docs.stripe.com/api/metadata>.
const MAX_METADATA_CHARACTERS: usize = 500;

/// One attempt to take the money of a month from a card whose owner is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The idempotency key; a new one only after a definite refusal.
    pub key: String,
    /// Who pays.
    pub customer: CustomerId,
    /// The card.
    pub payment_method: PaymentMethodId,
    /// How much, above zero.
    pub amount: Money,
    /// Whose month.
    pub account: AccountId,
    /// Which month.
    pub month: Month,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The invoice's number, for whoever looks at the gateway's dashboard.
    pub invoice: String,
}

impl Charge {
    /// Refuses what no gateway takes, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), PaymentError> {
        check_key(&self.key)?;
        check_amount(self.amount)?;
        if self.invoice.chars().count() > MAX_METADATA_CHARACTERS {
            let problem =
                format!("an invoice number has at most {MAX_METADATA_CHARACTERS} characters");
            return Err(PaymentError::Invalid { problem });
        }
        Ok(())
    }
}

/// Checks the key of a charge or refund.
pub(crate) fn check_key(key: &str) -> Result<(), PaymentError> {
    let good =
        (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if good {
        return Ok(());
    }
    let problem = format!("an idempotency key has 1 to {MAX_KEY_BYTES} visible ASCII characters");
    Err(PaymentError::Invalid { problem })
}

/// Checks the amount of a charge or refund.
pub(crate) fn check_amount(amount: Money) -> Result<(), PaymentError> {
    if amount.minor > 0 {
        return Ok(());
    }
    Err(PaymentError::Invalid {
        problem: format!("an amount is above zero, found {} {}", amount.minor, amount.currency),
    })
}

/// What became of a charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ChargeOutcome {
    /// The money is taken, now or by an earlier call under the same key.
    Accepted {
        /// The payment.
        id: PaymentId,
    },
    /// The card was refused; nothing was taken, and nothing will be under this key.
    Declined {
        /// The payment that failed, if the gateway keeps one.
        id: Option<PaymentId>,
        /// The issuer's reason where known (`insufficient_funds`), or else the gateway's code.
        code: String,
    },
    /// The bank wants the customer to confirm; nothing was taken without them.
    AuthenticationRequired {
        /// The payment that failed, if the gateway keeps one.
        id: Option<PaymentId>,
    },
    /// The request was refused, for example because the customer is gone; nothing was taken.
    Refused {
        /// The gateway's code.
        code: String,
    },
    /// The money may have been taken or not; ask again under the same key.
    Unknown {
        /// Why nothing is known.
        reason: UnknownReason,
    },
    /// No gateway takes the money: the customer pays the invoice, and a person records that.
    ByHand,
}

impl ChargeOutcome {
    /// What the outcome means to the month's settlement; `None` when nobody was asked.
    pub fn answer(&self) -> Option<GatewayAnswer> {
        Some(match self {
            Self::Accepted { id: _ } => GatewayAnswer::Accepted,
            Self::Declined { id: _, code } => GatewayAnswer::Declined { code: code.clone() },
            Self::AuthenticationRequired { id: _ } => GatewayAnswer::AuthenticationRequired,
            Self::Refused { code } => GatewayAnswer::Refused { code: code.clone() },
            Self::Unknown { reason: _ } => GatewayAnswer::Unknown,
            Self::ByHand => return None,
        })
    }

    /// What to tell the customer about a card that was not charged; `None` for other outcomes.
    pub fn customer_message(&self) -> Option<&'static str> {
        match self {
            Self::Declined { id: _, code } => Some(customer_message(code)),
            Self::AuthenticationRequired { id: _ } => {
                Some(customer_message("authentication_required"))
            }
            Self::Accepted { id: _ }
            | Self::Refused { code: _ }
            | Self::Unknown { reason: _ }
            | Self::ByHand => None,
        }
    }

    /// Which of several payments under one key tells what happened; higher tells more.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::Accepted { id: _ } => 3,
            Self::Unknown { reason: _ } => 2,
            Self::Declined { .. } | Self::AuthenticationRequired { id: _ } => 1,
            Self::Refused { code: _ } | Self::ByHand => 0,
        }
    }
}

/// Words a decline for the customer, by the issuer's code and in our own words.
///
/// Codes that say lost, stolen or fraudulent get the general text, as the gateway asks for.
///
/// Source of the codes: <https://docs.stripe.com/declines/codes>.
pub fn customer_message(code: &str) -> &'static str {
    match code {
        "insufficient_funds" | "withdrawal_count_limit_exceeded" | "card_velocity_exceeded" => {
            "The card did not have enough funds available for this amount, or its limit is reached."
        }
        "expired_card" | "invalid_expiry_month" | "invalid_expiry_year" => {
            "The card has expired. Please add one that is valid."
        }
        "authentication_required" => {
            "The bank asks you to confirm this payment. Please sign in and confirm it, or add \
             another card."
        }
        "card_not_supported" | "currency_not_supported" | "transaction_not_allowed" => {
            "The card cannot be used for this kind of payment. Please add another card, or ask \
             the bank to allow it."
        }
        "processing_error" | "issuer_not_available" | "try_again_later" | "reenter_transaction" => {
            "The bank could not process the payment at the time. We will try again."
        }
        _ => {
            "The bank declined the card without giving a reason. Please ask the bank or add \
              another card."
        }
    }
}

/// Why it is not known whether something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout,
    /// The connection could not be made, or broke.
    #[error("the connection failed")]
    Unreachable,
    /// The gateway said that it failed (500 to 599, or 424 for somebody behind it).
    #[error("the gateway failed with status {status}")]
    ServerError {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is none that the documentation describes.
    #[error("the answer is not understood")]
    Malformed,
    /// Another request under the same key is under way.
    #[error("another request under the same key is under way")]
    Busy,
    /// The gateway knows the key from a request with other parameters, which may have succeeded.
    #[error("the key was used before, with other parameters")]
    KeyReused,
    /// The gateway itself waits for the bank.
    #[error("the gateway waits for the bank")]
    Processing,
}

/// A payment as the gateway keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The key it was made under; `None` if somebody else made it.
    pub key: Option<String>,
    /// Who pays, if known.
    pub customer: Option<CustomerId>,
    /// How much.
    pub amount: Money,
    /// When it was made, to the second.
    pub created: Timestamp,
    /// Whether real money is meant.
    pub live: bool,
    /// What became of it.
    pub outcome: ChargeOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_outcome() -> [ChargeOutcome; 6] {
        let id: PaymentId = "pi_1".parse().unwrap();
        [
            ChargeOutcome::Accepted { id: id.clone() },
            ChargeOutcome::Declined { id: Some(id), code: "expired_card".to_owned() },
            ChargeOutcome::AuthenticationRequired { id: None },
            ChargeOutcome::Refused { code: "resource_missing".to_owned() },
            ChargeOutcome::Unknown { reason: UnknownReason::ServerError { status: 503 } },
            ChargeOutcome::ByHand,
        ]
    }

    #[test]
    fn an_outcome_survives_the_effect_ledger() {
        for outcome in every_outcome() {
            let text = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<ChargeOutcome>(&text).unwrap(), outcome, "{text}");
        }
    }

    #[test]
    fn says_what_the_settlement_expects() {
        let answers = every_outcome().map(|outcome| outcome.answer());
        let code = |code: &str| code.to_owned();
        assert_eq!(
            answers,
            [
                Some(GatewayAnswer::Accepted),
                Some(GatewayAnswer::Declined { code: code("expired_card") }),
                Some(GatewayAnswer::AuthenticationRequired),
                Some(GatewayAnswer::Refused { code: code("resource_missing") }),
                Some(GatewayAnswer::Unknown),
                None,
            ]
        );
    }

    #[test]
    fn tells_a_customer_nothing_about_fraud() {
        let general = customer_message("generic_decline");
        for code in ["fraudulent", "lost_card", "stolen_card", "pickup_card", "no such code"] {
            assert_eq!(customer_message(code), general);
        }
        assert_ne!(customer_message("insufficient_funds"), general);
    }

    #[test]
    fn refuses_keys_and_amounts_that_no_gateway_takes() {
        let money = |minor| Money { minor, currency: values::Currency::USD };
        assert!(check_amount(money(1)).is_ok());
        assert!(check_amount(money(0)).is_err() && check_amount(money(-1)).is_err());
        assert!(check_key("charge/acct_1/2026-10/1").is_ok());
        for bad in ["", "a b", "a\r\nX-Evil: 1", "ä", &"k".repeat(256)] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
    }
}
