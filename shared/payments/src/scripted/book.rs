//! All the gateway knows, and which request is about what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use values::{Clock, Timestamp};

use super::SECRET_KEY;
use super::answer::{Answer, Refusal};
use super::customers::{Customer, Method};
use super::events::Events;
use super::intents::Intent;
use super::keys::Keys;
use super::refunds::Refund;
use super::request::Request;
use super::script::{Fault, Script};

/// Requests remembered for [`super::ScriptedGateway::requests`].
const MAX_SEEN: usize = 10_000;
/// Entries of a page without `limit`, and with it at the most.
const PAGE: (usize, usize) = (10, 100);

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its idempotency key.
    pub key: Option<String>,
    /// The version of the API it named.
    pub version: Option<String>,
}

/// What to do with a request.
#[derive(Debug)]
pub(super) enum Plan {
    Answer(Answer),
    Hang,
    Run(Option<Fault>),
}

/// What an endpoint says.
pub(super) type Done = Result<Value, Refusal>;

#[derive(Debug)]
pub(super) struct Book {
    clock: Arc<dyn Clock>,
    /// Part of every id, so that ids of two runs differ.
    run: String,
    next: u64,
    pub(super) customers: BTreeMap<String, Customer>,
    pub(super) methods: BTreeMap<String, Method>,
    pub(super) intents: BTreeMap<String, Intent>,
    pub(super) refunds: BTreeMap<String, Refund>,
    pub(super) keys: Keys,
    pub(super) script: Script,
    pub(super) events: Events,
    pub(super) seen: VecDeque<Seen>,
}

impl Book {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let run = format!("{:x}x", clock.now().as_seconds());
        Self {
            clock,
            run,
            next: 0,
            customers: BTreeMap::new(),
            methods: BTreeMap::new(),
            intents: BTreeMap::new(),
            refunds: BTreeMap::new(),
            keys: Keys::default(),
            script: Script::default(),
            events: Events::default(),
            seen: VecDeque::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new id; later ones sort after earlier ones.
    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}_{}{:08}", self.run, self.next)
    }

    pub(super) fn emit(&mut self, name: &str, object: &Value) {
        self.next += 1;
        let created = self.now().as_seconds();
        self.events.add(self.next, &self.run, created, name, object);
    }

    /// Everything that is decided before an endpoint begins.
    pub(super) fn begin(&mut self, request: &Request) -> Plan {
        if self.seen.len() == MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            method: request.method.clone(),
            path: request.path.clone(),
            key: request.key.clone(),
            version: request.version.clone(),
        });
        if request.authorization != Some(format!("Bearer {SECRET_KEY}")) {
            return Plan::Answer(Answer::error(401, "invalid_request_error", None));
        }
        let fault = self.script.take(request);
        match &fault {
            Some(Fault::TooManyRequests { retry_after }) => {
                let answer = Answer::error(429, "invalid_request_error", Some("rate_limit"));
                return Plan::Answer(Answer { retry_after: *retry_after, ..answer });
            }
            Some(Fault::LockTimeout) => {
                let code = Some("lock_timeout");
                return Plan::Answer(Answer::error(429, "invalid_request_error", code));
            }
            Some(Fault::KeyRolled) => {
                let code = Some("api_key_expired");
                return Plan::Answer(Answer::error(401, "invalid_request_error", code));
            }
            Some(Fault::NoPermission) => {
                return Plan::Answer(Answer::error(403, "invalid_request_error", None));
            }
            Some(Fault::BadGateway) => return Plan::Answer(Answer::html(502)),
            Some(Fault::HangBefore) => return Plan::Hang,
            _ => {}
        }
        match self.keys.begin(request) {
            Some(known) => Plan::Answer(known),
            None => Plan::Run(fault),
        }
    }

    /// Carries a request out and stores its answer.
    pub(super) fn run(&mut self, request: &Request, fault: Option<&Fault>) -> Answer {
        if matches!(fault, Some(Fault::ErrorBefore)) {
            let answer = Answer::internal();
            self.keys.end(request, Some(&answer));
            return answer;
        }
        let (mut answer, store) = match self.route(request) {
            Ok(body) => (Answer::new(200, &body), true),
            Err(refusal) => (refusal.answer, refusal.begun),
        };
        if matches!(fault, Some(Fault::ErrorAfter)) {
            answer = Answer::internal();
        }
        self.keys.end(request, store.then_some(&answer));
        answer
    }

    fn route(&mut self, request: &Request) -> Done {
        match (request.method.as_str(), request.segments().as_slice()) {
            ("POST", ["payment_intents"]) => self.create_intent(request),
            ("GET", ["payment_intents"]) => self.list_intents(&request.parameters),
            ("GET", ["payment_intents", "search"]) => self.search_intents(&request.parameters),
            ("GET", ["payment_intents", id]) => self.show_intent(id),
            ("POST", ["payment_intents", id, "confirm"]) => self.confirm_intent(id, request),
            ("POST", ["payment_intents", id, "cancel"]) => self.cancel_intent(id),
            ("POST", ["refunds"]) => self.create_refund(&request.parameters),
            ("GET", ["refunds"]) => self.list_refunds(&request.parameters),
            ("GET", ["refunds", id]) => self.show_refund(id),
            ("POST", ["customers"]) => self.create_customer(&request.parameters),
            ("GET", ["customers", id]) => self.show_customer(id),
            ("DELETE", ["customers", id]) => self.delete_customer(id),
            ("GET", ["payment_methods"]) => self.list_methods(&request.parameters),
            ("GET", ["payment_methods", id]) => self.show_method(id),
            ("POST", ["payment_methods", id, "attach"]) => {
                self.attach_method(id, &request.parameters)
            }
            ("POST", ["payment_methods", id, "detach"]) => self.detach_method(id),
            _ => Err(Refusal::missing("id")),
        }
    }
}

/// One page of `all`, which is newest first.
pub(super) fn page<T>(
    all: &[T],
    url: &str,
    request: &super::request::Parameters,
    id: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Done {
    let limit = match request.get("limit").map(str::parse::<usize>) {
        None => PAGE.0,
        Some(Ok(limit)) if (1..=PAGE.1).contains(&limit) => limit,
        Some(_) => return Err(Refusal::invalid("parameter_invalid_integer", "limit")),
    };
    let mut rest = all;
    if let Some(after) = request.get("starting_after") {
        let at = all.iter().position(|entry| id(entry) == after);
        let at = at.ok_or_else(|| Refusal::missing("starting_after"))?;
        rest = &rest[at + 1..];
    }
    let data: Vec<Value> = rest.iter().take(limit).map(show).collect();
    let has_more = rest.len() > data.len();
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": data }))
}
