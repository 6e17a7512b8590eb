//! Idempotency keys, as documented.
//!
//! Source: <https://docs.stripe.com/api/idempotent_requests>.

use std::collections::HashMap;

use super::answer::Answer;
use super::request::Request;

#[derive(Debug)]
struct Entry {
    fingerprint: u64,
    /// `None` while the first request is under way.
    answer: Option<Answer>,
}

/// What is known under each key.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<String, Entry>);

impl Keys {
    /// Answers a request whose key is known, or takes note that it is under way.
    pub(super) fn begin(&mut self, request: &Request) -> Option<Answer> {
        let key = keyed(request)?;
        let Some(known) = self.0.get(key) else {
            let entry = Entry { fingerprint: request.fingerprint, answer: None };
            self.0.insert(key.to_owned(), entry);
            return None;
        };
        if known.fingerprint != request.fingerprint {
            return Some(Answer::error(400, "idempotency_error", None));
        }
        Some(match &known.answer {
            Some(answer) => Answer { replayed: true, ..answer.clone() },
            None => Answer::error(409, "idempotency_error", Some("idempotency_key_in_use")),
        })
    }

    /// Stores the answer under the request's key, or forgets the key when there is none to store.
    pub(super) fn end(&mut self, request: &Request, answer: Option<&Answer>) {
        let Some(key) = keyed(request) else { return };
        match (self.0.get_mut(key), answer) {
            (Some(entry), Some(answer)) => entry.answer = Some(answer.clone()),
            _ => drop(self.0.remove(key)),
        }
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Keys count for what writes only.
fn keyed(request: &Request) -> Option<&String> {
    request.key.as_ref().filter(|_| request.method == "POST")
}
