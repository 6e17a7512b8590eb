//! What a customer is told.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use scheduling::EnqueueError;
use serde::Serialize;
use tasks::StoreError;
use values::TaskId;

/// The order is noted, and its task stored; answered with 202.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The task that makes the statement's figures.
    pub task_id: TaskId,
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

/// The order is not noted, and no task is stored.
#[derive(Debug, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    /// A stable code.
    pub code: &'static str,
    /// The field that is wrong; empty for the request as a whole.
    pub field: String,
    /// What to change.
    pub message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, field: &str, message: String) -> Self {
        Self { status, code, field: field.to_owned(), message }
    }

    fn unavailable() -> Self {
        let message = "the database did not answer; the same request may be sent again".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

impl From<EnqueueError> for Refusal {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Rejected(rejection) => {
                let code = rejection.code.as_str();
                let status = match code {
                    "source_not_allowed" | "bad_proof" | "unknown_source" => StatusCode::FORBIDDEN,
                    "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Self::new(status, code, &rejection.field, rejection.message)
            }
            EnqueueError::Store(StoreError::QuotaExceeded { from: _, limit: _, waiting: _ }) => {
                let message = "too much is waiting already; send the same request again later";
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, "too_many_waiting", "", message.to_owned())
            }
            EnqueueError::Store(_) => Self::unavailable(),
            other => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "not_enqueued", "", other.to_string())
            }
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let refused = error.as_database_error();
        if !refused.is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
            return Self::unavailable();
        }
        let message = "there is an order of that name; choose another requestId".to_owned();
        Self::new(StatusCode::CONFLICT, "request_id_taken", "requestId", message)
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "invalid_order", "", rejection.body_text())
    }
}
