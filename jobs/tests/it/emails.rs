//! The mail jobs, with a real mail server and with the folder.

mod accounts;
mod admins;
mod bounces;
mod delivery;
mod faults;
mod waiting;

use database::EngineKind;
use job::JobError;
use models::outbox::{self, EmailState, NewEmail, OutgoingEmail};
use serde_json::{Value, json};
use testkit::SmtpServer;
use values::EmailId;

use crate::harness::{Harness, now};

const DELIVER: &str = "emails/deliver_email";
const COLLECT: &str = "emails/collect_waiting";
const REPORT: &str = "emails/report_events";
/// Who gets mail on the bench, which is not production.
const DOMAIN: &str = "[domains.emails]\nallowed_domains = [\"example.org\"]\n\
  admins = [\"ops@example.org\"]\n";
const BRAND: &str = "[domains.emails.brand]\ncompany = \"Streams\"\nfrom = \"mail@example.com\"\n\
  support = \"help@example.com\"\nwebsite_url = \"https://example.com/\"\n\
  documentation_url = \"https://example.com/docs\"\naccount_url = \"https://example.com/account\"\n";

/// A harness whose mails go to this server.
async fn with_server(engine: EngineKind, server: &SmtpServer) -> Harness {
    with_smtp(engine, server, "security = \"plain\"").await
}

/// A harness whose mails go to this server, with further settings.
async fn with_smtp(engine: EngineKind, server: &SmtpServer, settings: &str) -> Harness {
    let port = server.address().port();
    let smtp = format!("smtp = {{ host = \"127.0.0.1\", port = {port}, {settings} }}\n");
    Harness::with(engine, |_| format!("{DOMAIN}{smtp}{BRAND}")).await
}

fn welcome(number: u8, to: &str) -> NewEmail {
    NewEmail {
        id: EmailId::from_bytes([number; 16]),
        unique_key: format!("welcome/{number}"),
        kind: "welcome".to_owned(),
        account_id: None,
        recipient: to.to_owned(),
        recipient_name: Some("Ann <b>Lee</b>".to_owned()),
        data: json!({ "mail": "welcome", "name": "Ann <b>Lee</b>" }).to_string(),
        attachments: Vec::new(),
        created_at: now(),
    }
}

/// Puts a mail into the outbox and returns the payload that asks for its delivery.
async fn add(harness: &Harness, email: &NewEmail) -> Value {
    let mut work = harness.db.begin().await.unwrap();
    assert!(outbox::add(&mut work.tx(), email).await.unwrap());
    assert!(!outbox::add(&mut work.tx(), email).await.unwrap(), "one mail per key");
    work.commit().await.unwrap();
    json!({ "outgoingEmailId": email.id })
}

async fn row(harness: &Harness, email: &NewEmail) -> OutgoingEmail {
    outbox::get(&harness.db, email.id).await.unwrap().unwrap()
}

/// What a delivery ended with: the state, or that it waits.
async fn deliver(harness: &Harness, payload: &Value) -> Value {
    let ended = match harness.run_json(DELIVER, payload).await {
        // The record of an attempt that died came while this one began.
        Err(JobError::Retryable { .. }) => harness.run_json(DELIVER, payload).await,
        ended => ended,
    };
    let done = ended.unwrap();
    match done.snoozed {
        Some(_) => json!("not yet"),
        None => done.result,
    }
}

/// A row's state, and the server's code.
async fn state(harness: &Harness, email: &NewEmail) -> (EmailState, Option<i64>) {
    let row = row(harness, email).await;
    (row.state, row.code)
}
