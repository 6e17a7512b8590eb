//! Refunds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::Refusal;
use super::book::{Book, Done, page};
use super::request::Parameters;

#[derive(Debug)]
pub(super) struct Refund {
    id: String,
    payment: String,
    minor: i64,
    currency: String,
    metadata: BTreeMap<String, String>,
    created: i64,
}

impl Refund {
    fn show(&self) -> Value {
        json!({
            "id": self.id, "object": "refund", "payment_intent": self.payment,
            "amount": self.minor, "currency": self.currency, "status": "succeeded",
            "metadata": self.metadata, "created": self.created, "reason": null,
        })
    }
}

impl Book {
    pub(super) fn create_refund(&mut self, parameters: &Parameters) -> Done {
        parameters.only(&["payment_intent", "amount", "reason"])?;
        let payment = parameters.required("payment_intent")?.to_owned();
        let intent =
            self.intents.get(&payment).ok_or_else(|| Refusal::missing("payment_intent"))?;
        let left = intent.amount.minor - intent.refunded;
        let minor = match parameters.get("amount").map(str::parse::<i64>) {
            None => left,
            Some(Ok(minor)) if minor > 0 => minor,
            Some(_) => return Err(Refusal::invalid("parameter_invalid_integer", "amount")),
        };
        if intent.status != "succeeded" {
            return Err(Refusal::invalid("payment_intent_unexpected_state", "payment_intent"));
        }
        if left == 0 {
            return Err(Refusal::invalid("charge_already_refunded", "payment_intent"));
        }
        if minor > left {
            return Err(Refusal::invalid("amount_too_large", "amount"));
        }
        let refund = Refund {
            id: self.new_id("re"),
            minor,
            currency: self.intents[&payment].amount.currency.to_string().to_ascii_lowercase(),
            metadata: parameters.metadata(),
            created: self.now().as_seconds(),
            payment,
        };
        if let Some(intent) = self.intents.get_mut(&refund.payment) {
            intent.refunded += minor;
        }
        let shown = refund.show();
        self.refunds.insert(refund.id.clone(), refund);
        self.emit("refund.created", &shown);
        Ok(shown)
    }

    pub(super) fn show_refund(&self, id: &str) -> Done {
        self.refunds.get(id).map(Refund::show).ok_or_else(|| Refusal::missing("id"))
    }

    pub(super) fn list_refunds(&self, parameters: &Parameters) -> Done {
        parameters.only(&["payment_intent", "limit", "starting_after"])?;
        let payment = parameters.get("payment_intent");
        let wanted = |refund: &&Refund| payment.is_none_or(|payment| refund.payment == payment);
        let found: Vec<&Refund> = self.refunds.values().rev().filter(wanted).collect();
        page(&found, "/v1/refunds", parameters, |refund| &refund.id, |refund| refund.show())
    }
}
