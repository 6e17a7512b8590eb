//! `/livez`, `/readyz` and `/metrics` of a running worker, and its doors for RTMP servers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connections::{self, Bounds};
use crate::app::App;

/// A loop that has not turned for so long is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// How long the store may take to answer a readiness question.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// What the work loop tells about itself.
#[derive(Debug)]
pub(super) struct Pulse {
    start: Instant,
    turned_ms: AtomicU64,
    draining: AtomicBool,
    /// Why the last heartbeat, the last settlement or the last look at the schedules failed.
    failures: Mutex<[Option<String>; 3]>,
}

/// What has to succeed again and again, for [`Pulse::wrote`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Written {
    Heartbeat,
    Settlement,
    Schedules,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            turned_ms: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }

    /// Says that the loop has turned.
    pub(super) fn turn(&self, draining: bool) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turned_ms.store(millis, Ordering::Relaxed);
        self.draining.store(draining, Ordering::Relaxed);
    }

    /// Says whether it succeeded.
    pub(super) fn wrote(&self, what: Written, failure: Option<String>) {
        let mut failures = self.failures.lock().expect("no one panics while holding it");
        failures[what as usize] = failure;
    }

    fn failure(&self) -> Option<String> {
        let failures = self.failures.lock().expect("no one panics while holding it");
        failures.iter().flatten().next().cloned()
    }

    fn is_stuck(&self) -> bool {
        let turned = Duration::from_millis(self.turned_ms.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(turned) > STUCK
    }
}

#[derive(Clone)]
struct Shown {
    app: App,
    pulse: Arc<Pulse>,
}

/// Serves until `stop`, and logs the address that was bound.
pub(super) async fn serve(
    app: App,
    pulse: Arc<Pulse>,
    address: SocketAddr,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    if !bound.ip().is_loopback() {
        tracing::warn!(
            address = %bound,
            "whoever reaches this address may read the metrics; 127.0.0.1 keeps them to this machine"
        );
    }
    let wrong = std::io::Error::other;
    let doors = [
        ("/hooks/publish", super::publish::route(&app)),
        ("/hooks/record-done", super::record_done::route(&app).map_err(wrong)?),
        ("/hooks/payments", super::gateway_events::route(&app).map_err(wrong)?),
        ("/hooks/bounces", super::bounces::route(&app).map_err(wrong)?),
    ];
    let mut names = vec!["/livez", "/readyz", "/metrics"];
    let mut router = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Shown { app, pulse });
    for (name, door) in doors.into_iter().filter(|(_, door)| door.has_routes()) {
        names.push(name);
        router = router.merge(door);
    }
    tracing::info!(address = %bound, "serving {}", names.join(", "));
    tokio::spawn(connections::serve(listener, router, Bounds::of_this_process(), stop));
    Ok(())
}

async fn live(State(shown): State<Shown>) -> Response {
    if shown.pulse.is_stuck() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the work loop does not turn\n").into_response();
    }
    "ok\n".into_response()
}

async fn ready(State(shown): State<Shown>) -> Response {
    let no = |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
    if shown.pulse.is_stuck() {
        return no("the work loop does not turn".to_owned());
    }
    if shown.pulse.draining.load(Ordering::Relaxed) {
        return no("draining".to_owned());
    }
    if let Some(failure) = shown.pulse.failure() {
        return no(failure);
    }
    match tokio::time::timeout(STORE_PATIENCE, shown.app.store.check()).await {
        Ok(Ok(())) => "ok\n".into_response(),
        Ok(Err(error)) => no(error.to_string()),
        Err(_) => no("the task store does not answer".to_owned()),
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let content_type = [(header::CONTENT_TYPE, reporting::CONTENT_TYPE)];
    (content_type, shown.app.reporter.metrics.encode()).into_response()
}
