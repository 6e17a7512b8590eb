//! Mails that came back.

use database::EngineKind;
use models::outbox::{self, BounceKind, EmailState, NewEmail};
use serde_json::{Value, json};
use testkit::Cut;

use super::{add, deliver, row, state, welcome};
use crate::harness::Harness;

const JOB: &str = "emails/apply_bounce";

/// A harness with a mail to ann@example.org that was accepted.
async fn with_a_mail(engine: EngineKind) -> (Harness, NewEmail) {
    let harness = Harness::with(engine, |_| super::DOMAIN.to_owned()).await;
    let mail = welcome(1, "ann@example.org");
    let payload = add(&harness, &mail).await;
    assert_eq!(deliver(&harness, &payload).await["state"], "sent");
    (harness, mail)
}

fn bounce(mail: &NewEmail, event: &str, address: &str, kind: &str) -> Value {
    json!({ "eventId": event, "address": address, "kind": kind, "outgoingEmailId": mail.id,
        "status": "5.1.1", "message": "550 5.1.1 no such user" })
}

async fn is_suppressed(harness: &Harness) -> bool {
    outbox::is_suppressed(&harness.db, "ann@example.org").await.unwrap()
}

async fn events(harness: &Harness) -> i64 {
    harness.number("SELECT count(*) FROM admin_event").await
}

async fn a_hard_bounce_marks_the_mail_and_is_applied_once(engine: EngineKind) {
    let (harness, mail) = with_a_mail(engine).await;
    let hard = bounce(&mail, "dsn-1", "Ann@example.org", "permanent");
    drop(harness.attempt_json(JOB, &hard, Cut::Never).await.unwrap().unwrap());
    assert_eq!(state(&harness, &mail).await.0, EmailState::Sent, "it was not settled");
    let done = harness.run_json(JOB, &hard).await.unwrap();
    assert_eq!(done.result, json!({ "noted": "permanent", "suppressed": "bounced" }));
    let found = row(&harness, &mail).await;
    let message = found.message.as_deref();
    assert_eq!((found.state, message), (EmailState::Bounced, Some("550 5.1.1 no such user")));
    assert!(is_suppressed(&harness).await);
    assert_eq!(events(&harness).await, 1);
    // What a person allows again is not taken back by the same report.
    let mut work = harness.db.begin().await.unwrap();
    assert!(outbox::unsuppress(&mut work.tx(), "ann@example.org").await.unwrap());
    work.commit().await.unwrap();
    let again = harness.run_json(JOB, &hard).await.unwrap();
    assert_eq!(again.result, json!({ "skipped": "known" }));
    assert!(!is_suppressed(&harness).await);
    assert_eq!(events(&harness).await, 1);
    let [noted] = outbox::bounces(&harness.db, 10).await.unwrap().try_into().unwrap();
    assert_eq!((noted.kind, noted.email), (BounceKind::Permanent, Some(mail.id)));
    // Another report of the same address counts.
    let next = bounce(&mail, "dsn-2", "ann@example.org", "permanent");
    harness.run_json(JOB, &next).await.unwrap();
    assert!(is_suppressed(&harness).await);
    assert_eq!(events(&harness).await, 1, "the mail is marked already");
}

async fn a_soft_bounce_is_noted_and_nothing_else(engine: EngineKind) {
    let (harness, mail) = with_a_mail(engine).await;
    for _ in 0..2 {
        let soft = bounce(&mail, "dsn-1", "ann@example.org", "temporary");
        harness.run_json(JOB, &soft).await.unwrap();
    }
    assert!(!is_suppressed(&harness).await);
    assert_eq!(state(&harness, &mail).await.0, EmailState::Sent);
    assert_eq!(events(&harness).await, 0);
    let [noted] = outbox::bounces(&harness.db, 10).await.unwrap().try_into().unwrap();
    assert_eq!((noted.kind, noted.status.as_deref()), (BounceKind::Temporary, Some("5.1.1")));
}

/// Anybody may write to the address that reports come to.
async fn a_report_counts_for_the_recipient_of_a_mail_that_was_sent(engine: EngineKind) {
    let (harness, mail) = with_a_mail(engine).await;
    let unknown = welcome(9, "ann@example.org");
    let forged = bounce(&unknown, "dsn-1", "ann@example.org", "permanent");
    let done = harness.run_json(JOB, &forged).await.unwrap();
    assert_eq!(done.result, json!({ "skipped": "not_in_outbox" }));
    assert_eq!(outbox::bounces(&harness.db, 10).await.unwrap(), []);
    // A list that ann@example.org stands for has a member who left.
    for address in ["member@example.net", "bob@example.org"] {
        let other = bounce(&mail, "dsn-2", address, "permanent");
        let done = harness.run_json(JOB, &other).await.unwrap();
        assert_eq!(done.result, json!({ "noted": "permanent", "suppressed": null }));
    }
    assert_eq!(outbox::suppressed(&harness.db, 10).await.unwrap(), []);
    assert_eq!(state(&harness, &mail).await.0, EmailState::Sent);
    assert_eq!(outbox::bounces(&harness.db, 10).await.unwrap().len(), 2);
}

/// The report is faster than the record of the delivery.
async fn a_mail_that_came_back_is_not_offered_again(engine: EngineKind) {
    let harness = Harness::with(engine, |_| super::DOMAIN.to_owned()).await;
    let mail = welcome(1, "ann@example.org");
    let payload = add(&harness, &mail).await;
    assert!(harness.attempt_json(super::DELIVER, &payload, Cut::DiesAt(2)).await.is_none());
    harness.run_json(JOB, &bounce(&mail, "dsn-1", "ann@example.org", "permanent")).await.unwrap();
    let found = row(&harness, &mail).await;
    assert_eq!(found.state, EmailState::Bounced);
    assert!(found.ended_at.is_some());
    assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "bounced" }));
}

testkit::on_each_engine!(
    a_hard_bounce_marks_the_mail_and_is_applied_once,
    a_soft_bounce_is_noted_and_nothing_else,
    a_report_counts_for_the_recipient_of_a_mail_that_was_sent,
    a_mail_that_came_back_is_not_offered_again,
);
