//! Payment intents, from making one to its end.
//!
//! Source: <https://docs.stripe.com/payments/paymentintents/lifecycle>.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Value, json};
use values::Money;

use super::Charged;
use super::answer::Refusal;
use super::book::{Book, Done, page};
use super::cards::TestCard;
use super::request::{Parameters, Request};

/// Minor units that can be charged. Source: <https://docs.stripe.com/currencies>.
const AMOUNTS: RangeInclusive<i64> = 50..=99_999_999;
const CREATE: [&str; 9] = [
    "amount",
    "currency",
    "customer",
    "payment_method",
    "payment_method_types[]",
    "confirm",
    "off_session",
    "description",
    "return_url",
];

#[derive(Debug, Clone)]
pub(super) struct Intent {
    id: String,
    pub(super) amount: Money,
    customer: String,
    payment_method: Option<String>,
    pub(super) status: &'static str,
    metadata: BTreeMap<String, String>,
    created: i64,
    last_error: Option<Value>,
    /// The key of the request that was the last to change the status.
    key: Option<String>,
    pub(super) refunded: i64,
}

impl Intent {
    pub(super) fn show(&self) -> Value {
        let succeeded = self.status == "succeeded";
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount.minor,
            "amount_received": if succeeded { self.amount.minor } else { 0 },
            "currency": self.amount.currency.to_string().to_ascii_lowercase(),
            "customer": self.customer, "payment_method": self.payment_method,
            "status": self.status, "metadata": self.metadata, "created": self.created,
            "livemode": false, "last_payment_error": self.last_error, "next_action": null,
            "payment_method_types": ["card"], "capture_method": "automatic_async",
            "latest_charge": succeeded.then(|| self.id.replacen("pi_", "ch_", 1)),
        })
    }

    fn charged(&self) -> Charged {
        Charged {
            id: self.id.parse().expect("own ids are plain"),
            key: self.key.clone(),
            customer: self.customer.parse().expect("own ids are plain"),
            amount: self.amount,
            refunded_minor: self.refunded,
        }
    }
}

impl Book {
    /// Payments that took money under the keys that `wanted` says yes to.
    pub(super) fn charged(&self, wanted: impl Fn(Option<&str>) -> bool) -> Vec<Charged> {
        let taken =
            |intent: &&Intent| intent.status == "succeeded" && wanted(intent.key.as_deref());
        self.intents.values().filter(taken).map(Intent::charged).collect()
    }

    pub(super) fn create_intent(&mut self, request: &Request) -> Done {
        let parameters = &request.parameters;
        let mut intent = self.check_intent(parameters)?;
        intent.id = self.new_id("pi");
        let id = intent.id.clone();
        self.intents.insert(id.clone(), intent);
        if parameters.is_true("confirm") {
            return self.confirm_intent(&id, request);
        }
        self.show_intent(&id)
    }

    /// Checks parameters; nothing that fails here is stored under a key.
    fn check_intent(&self, parameters: &Parameters) -> Result<Intent, Refusal> {
        parameters.only(&CREATE)?;
        let wrong = |code| move |_| Refusal::invalid(code, "amount");
        let minor: i64 =
            parameters.required("amount")?.parse().map_err(wrong("parameter_invalid_integer"))?;
        if minor < *AMOUNTS.start() {
            return Err(Refusal::invalid("amount_too_small", "amount"));
        }
        if minor > *AMOUNTS.end() {
            return Err(Refusal::invalid("amount_too_large", "amount"));
        }
        let currency = parameters.required("currency")?.to_ascii_uppercase();
        let currency = currency
            .parse()
            .map_err(|_| Refusal::invalid("parameter_invalid_string", "currency"))?;
        let customer = parameters.required("customer")?;
        if !self.customers.contains_key(customer) {
            return Err(Refusal::missing("customer"));
        }
        let method = parameters.get("payment_method");
        if let Some(method) = method {
            self.check_owner(method, customer)?;
        }
        if parameters.is_true("off_session") && !parameters.is_true("confirm") {
            return Err(Refusal::invalid("parameter_invalid", "off_session"));
        }
        let only_cards = parameters.get("payment_method_types[]") == Some("card");
        let returns = parameters.get("return_url").is_some();
        if parameters.is_true("confirm") && !only_cards && !returns {
            return Err(Refusal::invalid("parameter_missing", "return_url"));
        }
        Ok(Intent {
            id: String::new(),
            amount: Money { minor, currency },
            customer: customer.to_owned(),
            payment_method: method.map(str::to_owned),
            status: if method.is_some() {
                "requires_confirmation"
            } else {
                "requires_payment_method"
            },
            metadata: parameters.metadata(),
            created: self.now().as_seconds(),
            last_error: None,
            key: None,
            refunded: 0,
        })
    }

    fn check_owner(&self, method: &str, customer: &str) -> Result<TestCard, Refusal> {
        let found = self.methods.get(method).ok_or_else(|| Refusal::missing("payment_method"))?;
        if found.customer.as_deref() != Some(customer) {
            return Err(Refusal::invalid("payment_method_unexpected_state", "payment_method"));
        }
        Ok(found.card)
    }

    pub(super) fn confirm_intent(&mut self, id: &str, request: &Request) -> Done {
        let mut intent = self.intents.get(id).cloned().ok_or_else(|| Refusal::missing("id"))?;
        if !matches!(intent.status, "requires_confirmation" | "requires_payment_method") {
            return Err(Refusal::state("payment_intent_unexpected_state"));
        }
        if let Some(method) = request.parameters.get("payment_method") {
            intent.payment_method = Some(method.to_owned());
        }
        let Some(method) = intent.payment_method.clone() else {
            return Err(Refusal::invalid("parameter_missing", "payment_method"));
        };
        let card = self.check_owner(&method, &intent.customer)?;
        intent.key.clone_from(&request.key);
        let away = request.parameters.is_true("off_session");
        let refusal = card.refusal();
        (intent.status, intent.last_error) = match refusal {
            None => ("succeeded", None),
            Some(_) if card == TestCard::AuthenticationRequired && !away => {
                ("requires_action", None)
            }
            Some((code, reason)) => (
                "requires_payment_method",
                Some(json!({
                    "type": "card_error", "code": code, "decline_code": reason,
                    "message": "Your card was declined.",
                })),
            ),
        };
        let shown = intent.show();
        let error = intent.last_error.clone();
        self.intents.insert(id.to_owned(), intent);
        match error {
            Some(error) => {
                self.emit("payment_intent.payment_failed", &shown);
                Err(Refusal::card(&error, shown))
            }
            None if refusal.is_some() => {
                self.emit("payment_intent.requires_action", &shown);
                Ok(shown)
            }
            None => {
                self.emit("payment_intent.succeeded", &shown);
                Ok(shown)
            }
        }
    }

    pub(super) fn cancel_intent(&mut self, id: &str) -> Done {
        let intent = self.intents.get_mut(id).ok_or_else(|| Refusal::missing("id"))?;
        if matches!(intent.status, "succeeded" | "canceled") {
            return Err(Refusal::state("payment_intent_unexpected_state"));
        }
        intent.status = "canceled";
        let shown = intent.show();
        self.emit("payment_intent.canceled", &shown);
        Ok(shown)
    }

    pub(super) fn show_intent(&self, id: &str) -> Done {
        self.intents.get(id).map(Intent::show).ok_or_else(|| Refusal::missing("id"))
    }

    pub(super) fn list_intents(&self, parameters: &Parameters) -> Done {
        parameters.only(&["customer", "created[gte]", "limit", "starting_after"])?;
        let customer = parameters.get("customer");
        let since = parameters.get("created[gte]").map(str::parse::<i64>);
        let since = since
            .transpose()
            .map_err(|_| Refusal::invalid("parameter_invalid_integer", "created"))?;
        let wanted = |intent: &&Intent| {
            customer.is_none_or(|customer| intent.customer == customer)
                && since.is_none_or(|since| intent.created >= since)
        };
        let found: Vec<&Intent> = self.intents.values().rev().filter(wanted).collect();
        page(&found, "/v1/payment_intents", parameters, |intent| &intent.id, |intent| intent.show())
    }

    /// Knows one form of query: `metadata['name']:'value'`.
    ///
    /// Source: <https://docs.stripe.com/search>.
    pub(super) fn search_intents(&self, parameters: &Parameters) -> Done {
        parameters.only(&["query", "limit"])?;
        let wrong = || Refusal::invalid("parameter_invalid", "query");
        let query = parameters.required("query")?.strip_prefix("metadata['").ok_or_else(wrong)?;
        let (name, value) = query.split_once("']:'").ok_or_else(wrong)?;
        let value = value.strip_suffix('\'').ok_or_else(wrong)?;
        let wanted =
            |intent: &&Intent| intent.metadata.get(name).is_some_and(|found| found == value);
        let found: Vec<&Intent> = self.intents.values().rev().filter(wanted).collect();
        let url = "/v1/payment_intents/search";
        page(&found, url, parameters, |intent| &intent.id, |intent| intent.show())
    }
}
