//! `POST /hooks/bounces`: a mail server hands over a mail that came back.
//!
//! The body is a delivery status notification (RFC 3464), as a mailbox's pipe or a provider's
//! forwarder gets it. It is answered with 200 once a task per recipient is stored, and not before.
//! What anybody may send to that mailbox is not believed: a report counts only if it names the
//! Message-ID of a mail of the outbox, which nobody knows but who got it.

use std::sync::Arc;

use anyhow::Result;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use contract::emails::{ApplyBounce, BounceKind};
use mail::{DeliveryReport, LETTER_BYTES_MAX, UndeliveredTo};
use scheduling::{EnqueueError, Producer, Scope, TaskOptions, Unique};
use tokio::sync::Semaphore;
use values::{EmailId, Secret, hex};

use super::token::is_proven;
use crate::app::App;

/// Bytes of a report at the most: servers return the mail in it, which may be the largest we send.
const BODY_BYTES_MAX: usize = LETTER_BYTES_MAX + 1024 * 1024;
/// Reports that are read at the same time; they are held in memory.
const READ_AT_ONCE: usize = 2;

#[derive(Clone)]
struct Door {
    producer: Producer,
    token: Secret<String>,
    places: Arc<Semaphore>,
}

/// Why a report was not taken.
type Refusal = (StatusCode, String);

/// The route; there is none without a token in the environment.
///
/// # Errors
/// If this machine holds no key of the source `webhook`; the message names the command that makes
/// one.
pub(super) fn route(app: &App) -> Result<Router> {
    let Some(token) = app.settings.bounce_token.clone() else { return Ok(Router::new()) };
    let places = Arc::new(Semaphore::new(READ_AT_ONCE));
    let door = Door { producer: app.producer("webhook")?, token, places };
    Ok(Router::new()
        .route("/hooks/bounces", post(take))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(door))
}

async fn take(
    State(door): State<Door>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    request: Request,
) -> (StatusCode, String) {
    // Nothing of the body is read before.
    if !is_proven(&door.token, &headers, query.as_deref().unwrap_or_default()) {
        return (
            StatusCode::UNAUTHORIZED,
            "give the token of MAIN_WORKER_BOUNCE_TOKEN\n".to_owned(),
        );
    }
    let (status, told) = door.hear(request).await.unwrap_or_else(|refusal| refusal);
    (status, format!("{told}\n"))
}

impl Door {
    async fn hear(&self, request: Request) -> Result<(StatusCode, String), Refusal> {
        let busy = || (StatusCode::SERVICE_UNAVAILABLE, "busy; send it again".to_owned());
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let body = Bytes::from_request(request, &()).await;
        let body = body.map_err(|refused| (refused.status(), refused.body_text()))?;
        let read = tokio::task::spawn_blocking(move || DeliveryReport::read(&body)).await;
        let broken = |error: &dyn std::error::Error| (StatusCode::BAD_REQUEST, error.to_string());
        let report = match read.map_err(|error| broken(&error))? {
            Ok(Some(report)) => report,
            Ok(None) => return Ok(nothing("this is no report of a delivery")),
            Err(error) => return Err(broken(&error)),
        };
        let email = report.mail_id.as_deref().and_then(|id| id.parse::<EmailId>().ok());
        let Some(email) = email else {
            return Ok(nothing("the report names no mail of ours by its Message-ID"));
        };
        if report.recipients.is_empty() {
            return Ok(nothing("the report tells of no failure"));
        }
        match self.store(&report, email).await {
            Ok(()) => {
                tracing::info!(recipients = report.recipients.len(), %email, "a mail came back");
                Ok((StatusCode::OK, "stored".to_owned()))
            }
            Err(error) => {
                tracing::error!(error = %error, "a report of a delivery could not be stored");
                let status = match error {
                    EnqueueError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Err((status, error.to_string()))
            }
        }
    }

    /// Asks for every recipient's bounce to be applied, for all or for none.
    async fn store(&self, report: &DeliveryReport, email: EmailId) -> Result<(), EnqueueError> {
        let hash = digest(&SHA256, &report.identity);
        let event_id = format!("dsn-{}", hex(&hash.as_ref()[..16]));
        let options = TaskOptions {
            unique: Some(Unique { scope: Scope::Payload, period: None }),
            ..TaskOptions::default()
        };
        let payload = |to: &UndeliveredTo| ApplyBounce {
            event_id: event_id.clone(),
            address: to.address.as_str().to_owned(),
            kind: if to.is_permanent { BounceKind::Permanent } else { BounceKind::Temporary },
            outgoing_email_id: Some(email),
            status: to.status.clone(),
            message: to.answer.clone(),
        };
        let payloads: Vec<ApplyBounce> = report.recipients.iter().map(payload).collect();
        self.producer.enqueue_many(&payloads, &options).await.map(|_| ())
    }
}

/// What asks for nothing is taken all the same, so that a mail server does not send it for days.
fn nothing(why: &str) -> (StatusCode, String) {
    tracing::info!(why, "a mail to the bounce address is left alone");
    (StatusCode::OK, format!("nothing to do: {why}"))
}
