//! `accounts/sync_marketplace_details`, against a small HTTP server.

use std::sync::{Arc, Mutex};

use database::{EngineKind, Query};
use job::JobError;
use models::accounts;
use models::sign_ups::{self, MarketplaceAccount};
use serde_json::{Value, json};
use testkit::Cut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::Harness;

const JOB: &str = "accounts/sync_marketplace_details";
const LOGIN: &str = "Authorization: Basic dXNlcjpwYXNzd29yZA==";

/// What the marketplace answers to whoever signs in, and what it was asked.
struct Vendor {
    port: u16,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Vendor {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, asked) = (Arc::new(Mutex::new((200, String::new()))), Arc::default());
        let vendor = Self { port, answer, asked };
        let (answer, asked) = (Arc::clone(&vendor.answer), Arc::clone(&vendor.asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                // Whoever died while asking has sent nothing, or not all.
                if !head.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let head = String::from_utf8(head).unwrap();
                asked.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                let (status, body) = answer.lock().unwrap().clone();
                let signed_in = head.to_lowercase().contains(&LOGIN.to_lowercase());
                let status = if signed_in { status } else { 401 };
                let text = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(text.as_bytes()).await);
            }
        });
        vendor
    }

    fn answers(&self, status: u16, body: &Value) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }
}

async fn harness(engine: EngineKind, vendor: &Vendor) -> (Harness, Value) {
    let port = vendor.port;
    let mut harness = Harness::with(engine, |_| {
        format!(
            "[jobs.\"{JOB}\"]\nsettings = {{ marketplace_urls = {{ \
             heroku = \"http://127.0.0.1:{port}/apps/{{id}}\" }} }}\n"
        )
    })
    .await;
    harness.configure(
        "marketplaces",
        &json!({ "heroku": { "user": "user", "password": "password" } }),
    );
    harness.customer(1, &[]).await;
    let id = accounts::page(&harness.db, None, 1).await.unwrap()[0].id;
    let set = "UPDATE account SET billing_provider = 'heroku', name = ''";
    harness.db.execute(Query::new(set)).await.unwrap();
    let mut work = harness.db.begin().await.unwrap();
    let known = MarketplaceAccount {
        account_id: id,
        vendor_id: "app1@heroku".to_owned(),
        name: None,
        email: None,
        synced_at: None,
    };
    sign_ups::set_marketplace(&mut work.tx(), &known).await.unwrap();
    work.commit().await.unwrap();
    (harness, json!({ "accountId": id }))
}

async fn details(harness: &Harness) -> (String, Option<String>) {
    let account = accounts::page(&harness.db, None, 1).await.unwrap().remove(0);
    (account.name, account.billing_email)
}

async fn what_is_missing_is_taken_and_what_the_customer_set_stays(engine: EngineKind) {
    let vendor = Vendor::start().await;
    let (harness, payload) = harness(engine, &vendor).await;
    let said = |name: &str, email: &str| {
        vendor.answers(200, &json!({ "name": name, "owner_email": email, "region": "eu" }));
    };
    let now = async || details(&harness).await;
    let both = |name: &str, email: &str| (name.to_owned(), Some(email.to_owned()));

    said("bold-leaf", "ann@example.org");
    // Attempts that die while asking or before settling change nothing.
    assert!(harness.attempt_json(JOB, &payload, Cut::DiesAt(1)).await.is_none());
    assert!(harness.attempt_json(JOB, &payload, Cut::DiesAt(2)).await.is_none());
    drop(harness.attempt_json(JOB, &payload, Cut::Never).await.unwrap().unwrap());
    assert_eq!(now().await, (String::new(), None));
    for _ in 0..2 {
        harness.run_json(JOB, &payload).await.unwrap();
        assert_eq!(now().await, both("bold-leaf", "ann@example.org"));
    }
    assert_eq!(vendor.asked.lock().unwrap()[0], "GET /apps/app1%40heroku HTTP/1.1");
    // It says something else, and nobody has set anything.
    said("calm-leaf", "bob@example.org");
    harness.run_json(JOB, &payload).await.unwrap();
    assert_eq!(now().await, both("calm-leaf", "bob@example.org"));
    // The customer sets an address.
    let set = "UPDATE account SET billing_email = 'own@example.org'";
    harness.db.execute(Query::new(set)).await.unwrap();
    said("wild-leaf", "eve@example.org");
    for _ in 0..2 {
        harness.run_json(JOB, &payload).await.unwrap();
        assert_eq!(now().await, both("wild-leaf", "own@example.org"));
    }
    // What is no name and no address is left out.
    said("a\nb", "no address");
    harness.run_json(JOB, &payload).await.unwrap();
    assert_eq!(now().await, both("wild-leaf", "own@example.org"));
}

async fn answers_decide_whether_it_is_tried_again(engine: EngineKind) {
    let vendor = Vendor::start().await;
    let (harness, payload) = harness(engine, &vendor).await;
    for status in [500, 503, 429] {
        vendor.answers(status, &json!({}));
        let error = harness.run_json(JOB, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{status}: {error}");
    }
    for (status, body) in
        [(401, json!({})), (302, json!({})), (200, json!("x".repeat(70_000))), (200, json!([1]))]
    {
        vendor.answers(status, &body);
        let error = harness.run_json(JOB, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Permanent(_)), "{status}: {error}");
    }
    vendor.answers(404, &json!({}));
    let done = harness.run_json(JOB, &payload).await.unwrap();
    assert_eq!(done.result, json!({ "skipped": "unknown_to_the_marketplace" }));
    assert_eq!(details(&harness).await, (String::new(), None));
}

#[tokio::test]
#[should_panic(expected = "`marketplace_urls.heroku` begins with https://")]
async fn a_password_is_sent_over_no_open_line() {
    let urls = "marketplace_urls = { heroku = \"http://example.com/{id}\" }";
    let row = format!("[jobs.\"{JOB}\"]\nsettings = {{ {urls} }}\n");
    Harness::with(EngineKind::Sqlite, |_| row).await;
}

testkit::on_each_engine!(
    what_is_missing_is_taken_and_what_the_customer_set_stays,
    answers_decide_whether_it_is_tried_again,
);
