//! What Stripe answers, as far as it is read here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use values::{Money, Month, Timestamp};

use super::metadata;
use crate::{
    Card, ChargeOutcome, CustomerId, Payment, PaymentId, PaymentMethodId, RefundId, RefundOutcome,
    UnknownReason,
};

/// Characters of a code at the most.
const MAX_CODE: usize = 64;

/// A page of a list. Source: <https://docs.stripe.com/api/pagination>.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
}

/// Anything of which only the id matters.
#[derive(Debug, Deserialize)]
pub(super) struct Created<I> {
    pub(super) id: I,
}

/// An error's envelope. Source: <https://docs.stripe.com/api/errors>.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorAnswer {
    pub(super) error: ApiError,
}

/// An error. Its message is not read: type and code decide.
#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    #[serde(rename = "type", default)]
    pub(super) kind: Code,
    #[serde(default)]
    pub(super) code: Option<Code>,
    #[serde(default)]
    decline_code: Option<Code>,
    #[serde(default)]
    payment_intent: Option<Created<PaymentId>>,
}

impl ApiError {
    /// The most telling code.
    pub(super) fn into_code(self) -> String {
        self.decline_code.or(self.code).unwrap_or(self.kind).0
    }

    /// What the error says about a charge.
    ///
    /// Sources: <https://docs.stripe.com/error-codes>, <https://docs.stripe.com/declines/codes>.
    pub(super) fn outcome(self) -> ChargeOutcome {
        let says = |code: &Option<Code>, text| code.as_ref().is_some_and(|code| code.0 == text);
        let authentication = says(&self.code, "authentication_required")
            || says(&self.decline_code, "authentication_required")
            || says(&self.code, "payment_intent_authentication_failure");
        let declined = self.kind.0 == "card_error" || says(&self.code, "card_declined");
        let id = self.payment_intent.as_ref().map(|intent| intent.id.clone());
        if authentication {
            ChargeOutcome::AuthenticationRequired { id }
        } else if declined {
            ChargeOutcome::Declined { id, code: self.into_code() }
        } else {
            ChargeOutcome::Refused { code: self.into_code() }
        }
    }
}

/// A short word in lower case; anything else is not a code and reads as `unreadable`.
#[derive(Debug, Clone, Default)]
pub(super) struct Code(pub(super) String);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let good = (1..=MAX_CODE).contains(&text.len()) && text.bytes().all(plain);
        Ok(Self(if good { text } else { "unreadable".to_owned() }))
    }
}

/// A payment intent. Source: <https://docs.stripe.com/api/payment_intents/object>.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: PaymentId,
    #[serde(flatten)]
    amount: Amount,
    status: Code,
    #[serde(default)]
    customer: Option<CustomerId>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    created: i64,
    livemode: bool,
    #[serde(default)]
    last_payment_error: Option<ApiError>,
}

impl Intent {
    /// What became of the payment.
    ///
    /// Source: <https://docs.stripe.com/payments/paymentintents/lifecycle>.
    fn outcome(id: &PaymentId, status: &str, error: Option<ApiError>) -> ChargeOutcome {
        match (status, error) {
            ("succeeded", _) => ChargeOutcome::Accepted { id: id.clone() },
            ("requires_action", _) => {
                ChargeOutcome::AuthenticationRequired { id: Some(id.clone()) }
            }
            ("requires_payment_method", Some(error)) => match error.outcome() {
                ChargeOutcome::Declined { id: _, code } => {
                    ChargeOutcome::Declined { id: Some(id.clone()), code }
                }
                ChargeOutcome::AuthenticationRequired { id: _ } => {
                    ChargeOutcome::AuthenticationRequired { id: Some(id.clone()) }
                }
                other => other,
            },
            // Never confirmed, or called off: no money moves any more.
            ("requires_payment_method" | "requires_confirmation" | "canceled", _) => {
                ChargeOutcome::Refused { code: status.to_owned() }
            }
            ("processing", _) => ChargeOutcome::Unknown { reason: UnknownReason::Processing },
            _ => ChargeOutcome::Unknown { reason: UnknownReason::Malformed },
        }
    }

    /// As [`Intent::outcome`], for an answer that must be about `amount`.
    pub(super) fn outcome_for(self, amount: Money) -> ChargeOutcome {
        if self.amount.0 != amount {
            return ChargeOutcome::Unknown { reason: UnknownReason::Malformed };
        }
        Self::outcome(&self.id, &self.status.0, self.last_payment_error)
    }

    pub(super) fn into_payment(self) -> Payment {
        let mut metadata = self.metadata;
        Payment {
            outcome: Self::outcome(&self.id, &self.status.0, self.last_payment_error),
            id: self.id,
            key: metadata.remove(metadata::KEY),
            customer: self.customer,
            amount: self.amount.0,
            created: Timestamp::from_seconds(self.created),
            live: self.livemode,
        }
    }
}

/// `amount` and `currency` as one.
#[derive(Debug, Deserialize)]
#[serde(try_from = "AmountFields")]
struct Amount(Money);

#[derive(Debug, Deserialize)]
struct AmountFields {
    amount: i64,
    currency: String,
}

impl TryFrom<AmountFields> for Amount {
    type Error = values::MoneyError;

    fn try_from(fields: AmountFields) -> Result<Self, values::MoneyError> {
        let currency = fields.currency.to_ascii_uppercase().parse()?;
        Ok(Self(Money { minor: fields.amount, currency }))
    }
}

/// A refund. Source: <https://docs.stripe.com/api/refunds/object>.
#[derive(Debug, Deserialize)]
pub(super) struct RefundRecord {
    pub(super) id: RefundId,
    #[serde(default)]
    status: Option<Code>,
    #[serde(default)]
    failure_reason: Option<Code>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl RefundRecord {
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.metadata.get(metadata::KEY).is_some_and(|found| found == key)
    }

    pub(super) fn outcome(self) -> RefundOutcome {
        let status = self.status.unwrap_or_default().0;
        match status.as_str() {
            "succeeded" => RefundOutcome::Accepted { id: self.id },
            "pending" | "requires_action" => RefundOutcome::Pending { id: self.id },
            "failed" | "canceled" => {
                let code = self.failure_reason.map_or(status, |reason| reason.0);
                RefundOutcome::Refused { code }
            }
            _ => RefundOutcome::Unknown { reason: UnknownReason::Malformed },
        }
    }
}

/// A payment method. Source: <https://docs.stripe.com/api/payment_methods/object>.
#[derive(Debug, Deserialize)]
pub(super) struct Method {
    pub(super) id: PaymentMethodId,
    #[serde(default)]
    card: Option<CardFields>,
}

#[derive(Debug, Deserialize)]
struct CardFields {
    brand: Code,
    last4: String,
    exp_month: u32,
    exp_year: i32,
}

impl Method {
    /// The card, unless it is something else or says nonsense.
    pub(super) fn into_card(self) -> Option<Card> {
        let CardFields { brand, last4, exp_month, exp_year } = self.card?;
        let digits = last4.len() == 4 && last4.bytes().all(|byte| byte.is_ascii_digit());
        let valid_through = Month::new(exp_year, exp_month).filter(|_| digits)?;
        Some(Card { id: self.id, brand: brand.0, last4, valid_through })
    }
}

#[cfg(test)]
mod tests;
