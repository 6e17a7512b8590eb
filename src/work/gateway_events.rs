//! `POST /hooks/payments`: the payment gateway tells what became of a payment.
//!
//! Nothing of a body is read before its signature is right. The event is kept under its id, and in
//! the same transaction a job is asked for that reads the payment anew; then it is answered. An
//! event that comes again is answered in the same way and changes nothing.

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use contract::billing::{ApplyGatewayEvent, Payments};
use database::Db;
use models::billing::{GatewayEvent, applied, keep_event};
use payments::webhook::{self, Event, MAX_BODY_BYTES, SIGNATURE_HEADER, WebhookError};
use payments::{Mode, StripeSettings};
use scheduling::{Producer, TaskOptions};
use values::{Clock, Secret};

use crate::app::App;
use crate::clock::SystemClock;

/// The result of an event that is of no concern to the key.
const OTHER_MODE: &str = "other_mode";
/// The section that holds the secrets.
const SECTION: &str = "payments";

#[derive(Clone)]
struct Door {
    db: Db,
    producer: Producer,
    secrets: Vec<Secret<String>>,
    /// Whether the key moves real money: events of the other mode are kept and not applied.
    live: bool,
}

/// The route, if the worker's configuration has a secret for it.
///
/// # Errors
/// If this machine holds no key of the source `webhook`, or the section cannot be read.
pub(super) fn route(app: &App) -> Result<Router> {
    let Some(section) = app.sections.get(SECTION) else { return Ok(Router::new()) };
    // The parser's own message may quote the value.
    let payments: Payments = serde_json::from_str(section.expose())
        .ok()
        .with_context(|| format!("the section `{SECTION}` is not secretKey and webhookSecrets"))?;
    if payments.webhook_secrets.is_empty() {
        return Ok(Router::new());
    }
    let producer = app.producer("webhook")?;
    let live = StripeSettings::new(payments.secret_key).mode()? == Mode::Live;
    let door = Door { db: app.db.clone(), producer, secrets: payments.webhook_secrets, live };
    Ok(Router::new()
        .route("/hooks/payments", post(take))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(door))
}

async fn take(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let header = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    match webhook::open(&door.secrets, header.unwrap_or_default(), &body, SystemClock.now()) {
        Err(error) => {
            tracing::warn!(error = %error, "an event of the payment gateway was refused");
            let status = match error {
                WebhookError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, format!("{error}\n"))
        }
        Ok(event) => match door.keep(&event).await {
            Ok(true) => (StatusCode::OK, "kept\n".to_owned()),
            Ok(false) => (StatusCode::OK, "known\n".to_owned()),
            Err(error) => {
                tracing::error!(
                    event = event.id,
                    error = format!("{error:#}"),
                    "an event is lost until it comes again"
                );
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "it could not be kept; send it again\n".to_owned(),
                )
            }
        },
    }
}

impl Door {
    /// Keeps an event and asks for its job; `false` if it was kept before.
    ///
    /// An event of the other mode, about test money beside a live key or the other way round, is
    /// kept with that as its result.
    async fn keep(&self, event: &Event) -> Result<bool> {
        let kept = GatewayEvent {
            id: event.id.clone(),
            name: event.name.clone(),
            payment: event.payment.as_ref().map(ToString::to_string),
            created_at: event.created,
            applied_at: None,
        };
        let mut transaction = self.db.begin().await?;
        let tx = &mut transaction.tx();
        if !keep_event(tx, &kept, SystemClock.now()).await? {
            return Ok(false);
        }
        if event.live != self.live {
            applied(tx, &kept.id, OTHER_MODE, SystemClock.now()).await?;
            transaction.commit().await?;
            tracing::warn!(
                event = event.id,
                live = event.live,
                "an event of the gateway's other mode is kept and not applied"
            );
            return Ok(true);
        }
        let payload = ApplyGatewayEvent { event_id: kept.id };
        let stored = self.producer.enqueue_in(tx, &payload, TaskOptions::default()).await?;
        transaction.commit().await?;
        stored.wake();
        Ok(true)
    }
}
