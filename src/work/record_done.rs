//! `POST /hooks/record-done`: a recorder says that a file is complete.
//!
//! What nginx-rtmp's `on_record_done` sends is taken as it is: a form with `path`, and `name`, the
//! stream's. The answer is 200 once the task is stored, and not before.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use contract::archival::ArchiveRecording;
use scheduling::{EnqueueError, Producer, Scope, TaskOptions, Unique};
use values::Secret;

use super::token::{field, is_proven};
use crate::app::App;

/// Bytes of a request at the most; the recorder's path is the longest part of one.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Asks for the files of this machine's recorders, in their name.
#[derive(Clone)]
pub(super) struct Recorders {
    producer: Producer,
    host: String,
}

impl Recorders {
    /// # Errors
    /// If this machine holds no key of the source `media_host`; the message names the command that
    /// makes one.
    pub(super) fn of(app: &App) -> anyhow::Result<Self> {
        Ok(Self { producer: app.producer("media_host")?, host: app.host.clone() })
    }

    /// Asks for a complete file, once while it waits or is archived.
    pub(super) async fn hand_over(
        &self,
        path: String,
        stream_name: Option<String>,
    ) -> Result<(), EnqueueError> {
        let payload = ArchiveRecording {
            file: Some(path),
            host: Some(self.host.clone()),
            object: None,
            stream_name,
        };
        let options = TaskOptions {
            unique: Some(Unique { scope: Scope::Payload, period: None }),
            ..TaskOptions::default()
        };
        self.producer.enqueue(&payload, options).await.map(|_| ())
    }
}

#[derive(Clone)]
struct Door {
    recorders: Recorders,
    token: Secret<String>,
}

/// The route; there is none without a token in the environment.
///
/// # Errors
/// As [`Recorders::of`].
pub(super) fn route(app: &App) -> anyhow::Result<Router> {
    let Some(token) = app.settings.media_host_token.clone() else { return Ok(Router::new()) };
    let door = Door { recorders: Recorders::of(app)?, token };
    Ok(Router::new()
        .route("/hooks/record-done", post(record_done))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(door))
}

async fn record_done(
    State(door): State<Door>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> (StatusCode, String) {
    let refuse = |status, why: &str| (status, format!("{why}\n"));
    if !is_proven(&door.token, &headers, query.as_deref().unwrap_or_default()) {
        let why = "give the token of MAIN_WORKER_MEDIA_HOST_TOKEN";
        return refuse(StatusCode::UNAUTHORIZED, why);
    }
    let Some(path) = field(&body, "path").filter(|path| path.starts_with('/')) else {
        return refuse(StatusCode::BAD_REQUEST, "the form needs `path`, one absolute path");
    };
    let name = field(&body, "name").filter(|name| !name.is_empty());
    let Err(error) = door.recorders.hand_over(path, name).await else {
        return refuse(StatusCode::OK, "stored");
    };
    tracing::error!(error = %error, "a recorder's file could not be asked for");
    let status = match error {
        EnqueueError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    refuse(status, &error.to_string())
}
