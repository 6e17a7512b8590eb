//! What an event says.

use std::collections::BTreeMap;

use serde::Deserialize;
use values::Timestamp;

use crate::stripe::metadata;
use crate::{CustomerId, PaymentId, RefundId};

/// Characters of an event's id and of its type.
const MAX_NAME: usize = 255;

/// One event, with the ids of what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id, unique for ever: a delivery with a known id is a repeat.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// The gateway's own name of what happened, such as `payment_intent.succeeded`.
    pub name: String,
    /// When, to the second.
    pub created: Timestamp,
    /// Whether it is about real money.
    pub live: bool,
    /// The payment it is about.
    pub payment: Option<PaymentId>,
    /// The refund it is about.
    pub refund: Option<RefundId>,
    /// The customer it is about.
    pub customer: Option<CustomerId>,
    /// The key that we made the payment or refund under; `None` if somebody else made it.
    pub key: Option<String>,
}

/// What happened, as far as it matters here.
///
/// Source: <https://docs.stripe.com/api/events/types>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Money was taken.
    PaymentSucceeded,
    /// A charge failed.
    PaymentFailed,
    /// A payment was called off.
    PaymentCanceled,
    /// A refund was made, went on, or failed.
    Refund,
    /// A customer disputes a payment at their bank, or a dispute went on.
    Dispute,
    /// A card was added, removed, or replaced by the bank.
    Card,
    /// Anything else.
    Other,
}

impl EventKind {
    fn of(name: &str) -> Self {
        match name {
            "payment_intent.succeeded" => Self::PaymentSucceeded,
            "payment_intent.payment_failed" => Self::PaymentFailed,
            "payment_intent.canceled" => Self::PaymentCanceled,
            _ if name.starts_with("refund.") => Self::Refund,
            _ if name.starts_with("charge.dispute.") => Self::Dispute,
            _ if name.starts_with("payment_method.") => Self::Card,
            _ => Self::Other,
        }
    }
}

#[derive(Deserialize)]
struct EventAnswer {
    id: String,
    object: String,
    #[serde(rename = "type")]
    name: String,
    created: i64,
    livemode: bool,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Subject,
}

/// The fields of payments, refunds, disputes, cards and customers that name something.
#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    object: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    customer: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Reads a body whose signature was checked.
pub(super) fn read(body: &[u8]) -> Option<Event> {
    let EventAnswer { id, object, name, created, livemode, data } =
        serde_json::from_slice(body).ok()?;
    let plain = |text: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
        (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(fits)
    };
    if object != "event" || !plain(&id) || !plain(&name) {
        return None;
    }
    let Subject { object, id: about, payment_intent, customer, mut metadata } = data.object;
    let own = |kind: &str| about.clone().filter(|_| object == kind);
    Some(Event {
        id,
        kind: EventKind::of(&name),
        name,
        created: Timestamp::from_seconds(created),
        live: livemode,
        payment: own("payment_intent").or(payment_intent).and_then(|id| id.try_into().ok()),
        refund: own("refund").and_then(|id| id.try_into().ok()),
        customer: own("customer").or(customer).and_then(|id| id.try_into().ok()),
        key: metadata.remove(metadata::KEY),
    })
}
