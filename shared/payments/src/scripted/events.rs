//! Events, kept until they are delivered.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::API_VERSION;

/// Events kept; the oldest go first.
const MAX_EVENTS: usize = 10_000;

#[derive(Debug)]
struct Event {
    id: u64,
    body: String,
    delivered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Events {
    log: VecDeque<Event>,
}

impl Events {
    /// Takes note of an event about `object`; `id` is new, `created` in seconds since 1970.
    pub(super) fn add(&mut self, id: u64, run: &str, created: i64, name: &str, object: &Value) {
        let body = json!({
            "id": format!("evt_{run}{id:08}"), "object": "event", "api_version": API_VERSION,
            "created": created, "livemode": false, "type": name, "pending_webhooks": 1,
            "data": { "object": object }, "request": { "id": null, "idempotency_key": null },
        });
        if self.log.len() == MAX_EVENTS {
            self.log.pop_front();
        }
        self.log.push_back(Event { id, body: body.to_string(), delivered: false });
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.log.iter().map(|event| event.body.clone()).collect()
    }

    pub(super) fn undelivered(&self) -> Vec<(u64, String)> {
        let open = self.log.iter().filter(|event| !event.delivered);
        open.map(|event| (event.id, event.body.clone())).collect()
    }

    pub(super) fn mark_delivered(&mut self, id: u64) {
        if let Some(event) = self.log.iter_mut().find(|event| event.id == id) {
            event.delivered = true;
        }
    }
}
