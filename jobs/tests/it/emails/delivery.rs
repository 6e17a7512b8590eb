//! What arrives, and over how many connections.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use database::EngineKind;
use futures_util::future::join_all;
use models::outbox::{EmailAttachment, EmailState, NewEmail};
use serde_json::json;
use testkit::{SmtpSecurity, SmtpServer};

use super::{DELIVER, add, deliver, row, state, welcome, with_server, with_smtp};
use crate::harness::Harness;

async fn what_is_attached_arrives_as_it_is_and_leaves_the_outbox(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    let content: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let file = |name: &str, media_type: &str| EmailAttachment {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        content: content.clone(),
    };
    let pdf = file("INV-000123.pdf", "application/pdf");
    let mail = NewEmail { attachments: vec![pdf], ..welcome(1, "ann@example.org") };
    let payload = add(&harness, &mail).await;
    assert_eq!(harness.number("SELECT count(*) FROM email_attachment").await, 1);
    assert_eq!(deliver(&harness, &payload).await["state"], "sent");
    let [received] = server.mails().unwrap().try_into().unwrap();
    let [part] = received.parts.try_into().unwrap();
    assert_eq!((&*part.content_type, &*part.name), ("application/pdf", "INV-000123.pdf"));
    assert!(part.bytes == content, "another file arrived");
    assert_eq!(harness.number("SELECT count(*) FROM email_attachment").await, 0);

    let other = file("a.exe", "application/octet-stream");
    let mail = NewEmail { attachments: vec![other], ..welcome(2, "ann@example.org") };
    let payload = add(&harness, &mail).await;
    assert_eq!(deliver(&harness, &payload).await["state"], "failed");
    assert_eq!(row(&harness, &mail).await.message.unwrap(), "only PDF files can be attached");
}

async fn signs_in_as_the_configuration_says_and_notices_a_new_password(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::StartTls).await.unwrap();
    let settings = format!("authority_file = '{}'", server.authority().display());
    let mut harness = with_smtp(engine, &server, &settings).await;
    let mail = welcome(1, "ann@example.org");
    let payload = add(&harness, &mail).await;
    for (password, ended) in [
        ("another password", json!("not yet")),
        (server.password(), json!({ "state": "sent", "code": null })),
    ] {
        let login = json!({ "user": server.user(), "password": password });
        harness.configure("smtp", &login);
        assert_eq!(deliver(&harness, &payload).await, ended);
    }
    let [received] = server.mails().unwrap().try_into().unwrap();
    assert!(received.encrypted && received.signed_in, "{received:?}");
}

async fn mails_share_connections_and_keep_the_pace(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let settings = "security = \"plain\", connections_max = 2, letters_per_second_max = 5";
    let harness = with_smtp(engine, &server, settings).await;
    let mut payloads = Vec::new();
    for number in 0..8 {
        payloads.push(add(&harness, &welcome(number, "ann@example.org")).await);
    }
    let began = Instant::now();
    let ended = join_all(payloads.iter().map(|payload| harness.run_json(DELIVER, payload))).await;
    assert!(began.elapsed() >= Duration::from_millis(1_400), "seven gaps of a fifth of a second");
    assert!(ended.into_iter().all(|done| done.unwrap().result["state"] == "sent"));
    let mails = server.mails().unwrap();
    let connections: BTreeSet<u16> = mails.iter().map(|mail| mail.connection).collect();
    assert_eq!(mails.len(), 8);
    assert!(connections.len() <= 2, "{connections:?}");
    let recipients: BTreeSet<usize> = mails.iter().map(|mail| mail.recipients.len()).collect();
    assert_eq!(recipients, BTreeSet::from([1]), "nobody sees anybody else");
}

async fn two_attempts_at_once_record_one_end(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    let mail = welcome(1, "ann@example.org");
    let payload = add(&harness, &mail).await;
    let (one, other) =
        tokio::join!(harness.run_json(DELIVER, &payload), harness.run_json(DELIVER, &payload));
    assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    // One that came later took the first for dead, or was told that there is another.
    let sent = server.mails().unwrap();
    assert!((1..=2).contains(&sent.len()), "{}", sent.len());
    assert_eq!(state(&harness, &mail).await, (EmailState::Sent, None));
    assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "sent" }));
}

async fn what_is_in_no_outbox_is_no_error(engine: EngineKind) {
    let harness = Harness::with(engine, |_| String::new()).await;
    let payload = json!({ "outgoingEmailId": welcome(1, "").id });
    assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "not_in_outbox" }));
}

testkit::on_each_engine!(
    what_is_attached_arrives_as_it_is_and_leaves_the_outbox,
    signs_in_as_the_configuration_says_and_notices_a_new_password,
    mails_share_connections_and_keep_the_pace,
    two_attempts_at_once_record_one_end,
    what_is_in_no_outbox_is_no_error,
);

#[tokio::test]
#[should_panic(expected = "`smtp` needs a `brand`")]
async fn a_mail_server_needs_a_brand() {
    let lines = "[domains.emails]\nsmtp = { host = \"mail.example.com\" }\n".to_owned();
    Harness::with(EngineKind::Sqlite, |_| lines).await;
}

#[tokio::test]
#[should_panic(expected = "into the configuration section `smtp`")]
async fn a_password_does_not_belong_into_worker_toml() {
    let server = "smtp = { host = \"mail.example.com\", user = \"a\", password = \"b\" }";
    let lines = format!("[domains.emails]\n{server}\n{}", super::BRAND);
    Harness::with(EngineKind::Sqlite, |_| lines).await;
}

#[tokio::test]
#[should_panic(expected = "plain is for 127.0.0.1")]
async fn a_wrong_setting_of_the_server_is_found_at_the_start() {
    let server = "smtp = { host = \"mail.example.com\", security = \"plain\" }";
    let lines = format!("[domains.emails]\n{server}\n{}", super::BRAND);
    Harness::with(EngineKind::Sqlite, |_| lines).await;
}
