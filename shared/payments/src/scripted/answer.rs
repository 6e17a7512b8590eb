//! Answers, good and bad.

use serde_json::{Value, json};

/// An answer as it is stored and sent.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) replayed: bool,
    pub(super) retry_after: Option<u32>,
    pub(super) json: bool,
}

impl Answer {
    pub(super) fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), replayed: false, retry_after: None, json: true }
    }

    pub(super) fn error(status: u16, kind: &str, code: Option<&str>) -> Self {
        let message = "Made by the scripted gateway.";
        let mut error = json!({ "type": kind, "message": message });
        if let Some(code) = code {
            error["code"] = code.into();
        }
        Self::new(status, &json!({ "error": error }))
    }

    pub(super) fn internal() -> Self {
        Self::error(500, "api_error", None)
    }

    pub(super) fn html(status: u16) -> Self {
        let body = "<html><body><h1>Bad Gateway</h1></body></html>".to_owned();
        Self { status, body, replayed: false, retry_after: None, json: false }
    }
}

/// Why an endpoint did not do what it was asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) answer: Answer,
    /// Whether the endpoint had begun, so that the answer is stored under the key.
    pub(super) begun: bool,
}

impl Refusal {
    /// Parameters that fail validation; not stored.
    pub(super) fn invalid(code: &str, parameter: &str) -> Self {
        let error = json!({ "error": {
            "type": "invalid_request_error", "code": code, "param": parameter,
            "message": "The request is wrong.",
        }});
        Self { answer: Answer::new(400, &error), begun: false }
    }

    /// Something that is not there.
    pub(super) fn missing(parameter: &str) -> Self {
        let mut refusal = Self::invalid("resource_missing", parameter);
        if parameter == "id" {
            refusal.answer.status = 404;
        }
        refusal
    }

    /// A state in which the request makes no sense.
    pub(super) fn state(code: &str) -> Self {
        Self { begun: true, ..Self::invalid(code, "id") }
    }

    /// A card that is not charged.
    pub(super) fn card(error: &Value, intent: Value) -> Self {
        let mut error = error.clone();
        error["payment_intent"] = intent;
        Self { answer: Answer::new(402, &json!({ "error": error })), begun: true }
    }
}
