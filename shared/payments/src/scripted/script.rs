//! What goes wrong, when, and how often.

use std::time::Duration;

use super::request::Request;
use crate::CustomerId;

/// Which requests a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// All.
    Any,
    /// Those that make a payment.
    Charge,
    /// Those whose path begins so.
    Path(&'static str),
    /// Those about a customer.
    Customer(CustomerId),
    /// Those about an amount, in minor units.
    Amount(i64),
    /// Those under an idempotency key.
    Key(String),
}

impl When {
    fn matches(&self, request: &Request) -> bool {
        let says = |name, value: &str| request.parameters.get(name) == Some(value);
        match self {
            Self::Any => true,
            Self::Charge => request.method == "POST" && request.path == "/v1/payment_intents",
            Self::Path(path) => request.path.starts_with(path),
            Self::Customer(customer) => says("customer", customer.as_str()),
            Self::Amount(minor) => says("amount", &minor.to_string()),
            Self::Key(key) => request.key.as_ref() == Some(key),
        }
    }
}

/// What goes wrong. "After" means that the request was carried out and its answer is stored under
/// its key; what the caller sees is something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429, before the key is looked at; with a `Retry-After` in seconds, or without.
    TooManyRequests {
        /// The header's value.
        retry_after: Option<u32>,
    },
    /// 429 because another request holds the same object.
    LockTimeout,
    /// 401, as if the key had been rolled.
    KeyRolled,
    /// 403, as for a restricted key without the permission.
    NoPermission,
    /// 502 and a page of HTML from something in front of the gateway.
    BadGateway,
    /// No answer, and nothing was done.
    HangBefore,
    /// 500, stored under the key; nothing was done.
    ErrorBefore,
    /// A slow answer; a second request under the key meets the first.
    Slow(Duration),
    /// 500, stored under the key; the request was carried out.
    ErrorAfter,
    /// No answer; the request was carried out.
    HangAfter,
    /// A connection that breaks before the answer; the request was carried out.
    BreakAfter,
    /// An answer that breaks off half way.
    TruncateAfter,
    /// An answer that is no JSON.
    MalformedAfter,
    /// An answer that is JSON of another shape.
    WrongShapeAfter,
    /// An answer of two megabytes.
    OversizedAfter,
}

#[derive(Debug)]
struct Rule {
    when: When,
    fault: Fault,
    times: u32,
}

/// Rules in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<Rule>);

impl Script {
    pub(super) fn add(&mut self, when: When, fault: Fault, times: u32) {
        self.0.push(Rule { when, fault, times });
    }

    /// Takes one turn of the first rule about the request.
    pub(super) fn take(&mut self, request: &Request) -> Option<Fault> {
        let rule = self.0.iter_mut().find(|rule| rule.times > 0 && rule.when.matches(request))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}
