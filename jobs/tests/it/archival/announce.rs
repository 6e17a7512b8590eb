//! `archival/announce_recording`: what a customer's server gets, and how often.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use database::{EngineKind, Query};
use job::JobError;
use models::recordings::{self, Webhook};
use serde_json::{Value, json};
use values::Secret;

use super::ground::{ANNOUNCE, ARCHIVE, Ground, make};
use crate::harness::now;

/// A customer's server: answers as it is told, and keeps what it got.
#[derive(Clone, Default)]
struct Customer {
    answers: Arc<Mutex<Vec<u16>>>,
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Customer {
    /// Starts the server, which gives these answers and then 200; returns its address.
    async fn start(answers: &[u16]) -> (Self, String) {
        let customer = Self::default();
        customer.answers.lock().unwrap().extend(answers.iter().rev());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(customer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (customer, address)
    }

    fn got(&self) -> Vec<(HeaderMap, Bytes)> {
        self.got.lock().unwrap().clone()
    }
}

async fn take(State(customer): State<Customer>, headers: HeaderMap, body: Bytes) -> StatusCode {
    customer.got.lock().unwrap().push((headers, body));
    let answer = customer.answers.lock().unwrap().pop().unwrap_or(200);
    StatusCode::from_u16(answer).unwrap()
}

/// An archived recording whose project has this webhook, and the payload that announces it.
async fn archived(engine: EngineKind, lines: &str, url: &str) -> (Ground, Value) {
    let made = tempfile::tempdir().unwrap();
    let ground = Ground::new(engine, lines).await;
    let payload = ground.record("cam.flv", &make(made.path(), "a.flv", &[]));
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    let row = ground.db.first(Query::new("SELECT id FROM project")).await.unwrap().unwrap();
    let webhook = Webhook { url: url.to_owned(), secret: "canary-secret".to_owned() };
    let mut work = ground.db.begin().await.unwrap();
    let project = row.get(0).unwrap();
    recordings::set_webhook(&mut work.tx(), project, &webhook, now()).await.unwrap();
    work.commit().await.unwrap();
    (ground, json!({ "recordingId": done.result["recordingId"] }))
}

async fn a_customer_is_told_once_signed_and_again_until_it_is_heard(engine: EngineKind) {
    let (customer, address) = Customer::start(&[500, 429, 302]).await;
    let (ground, payload) = archived(engine, "", &address).await;
    for _ in 0..3 {
        let error = ground.run_json(ANNOUNCE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
    }
    for _ in 0..2 {
        let done = ground.run_json(ANNOUNCE, &payload).await.unwrap();
        assert_eq!(done.result, json!({ "status": 200 }));
    }
    let got = customer.got();
    assert_eq!(got.len(), 4, "heard, the customer is not told again");
    for (headers, body) in &got {
        assert_eq!(headers["main-worker-event-id"], payload["recordingId"].as_str().unwrap());
        let secret = Secret::new("canary-secret".to_owned());
        let expected = payments::webhook::sign(&secret, body, now());
        assert_eq!(headers["main-worker-signature"], expected.as_str());
    }
    let told: Value = serde_json::from_slice(&got[0].1).unwrap();
    assert_eq!(told["event"], "recording.ready");
    assert_eq!((&told["streamName"], &told["name"]), (&json!("cam"), &json!("cam.mp4")));
    assert!(told["sizeBytes"].as_u64().unwrap() > 1_000);
}

async fn a_customer_that_wants_no_more_or_is_nobody_outside_is_not_asked_again(engine: EngineKind) {
    let (_customer, address) = Customer::start(&[410]).await;
    let (ground, payload) = archived(engine, "", &address).await;
    let error = ground.run_json(ANNOUNCE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Permanent(_)), "{error:?}");

    for (url, told) in [
        ("http://example.com/hook", "https://"),
        ("https://127.0.0.1:1/hook?canary", "private address"),
        ("https://[::1]/hook", "private address"),
        ("https://169.254.169.254/latest", "private address"),
        ("no address", "not an address"),
    ] {
        // The usual settings, without what the tests allow.
        let (ground, payload) = archived(
            engine,
            "[jobs.\"archival/announce_recording\"]\nsettings = { private_webhooks = false }",
            url,
        )
        .await;
        let error = ground.run_json(ANNOUNCE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
        assert!(error.chain().contains(told) && !error.chain().contains("canary"), "{error}");
    }
}

async fn a_customer_that_cannot_be_reached_is_tried_again(engine: EngineKind) {
    let (ground, payload) = archived(engine, "", "http://127.0.0.1:1/hook?token=canary").await;
    let error = ground.run_json(ANNOUNCE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
    assert!(!error.chain().contains("canary"), "{error}");
}

testkit::on_each_engine!(
    a_customer_is_told_once_signed_and_again_until_it_is_heard,
    a_customer_that_wants_no_more_or_is_nobody_outside_is_not_asked_again,
    a_customer_that_cannot_be_reached_is_tried_again,
);
