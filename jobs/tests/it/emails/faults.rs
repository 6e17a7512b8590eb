//! What can go wrong between us and the mail server, and what becomes of the mail then.

use std::time::Duration;

use database::{EngineKind, Query};
use models::outbox::{self, EmailState, NewEmail};
use serde_json::json;
use testkit::{Cut, SmtpSecurity, SmtpServer};
use values::Span;

use super::{DELIVER, add, deliver, row, state, welcome, with_server};
use crate::harness::now;

async fn greylisted_mail_is_sent_by_the_next_attempt(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    let mail = welcome(1, "grey@example.org");
    let payload = add(&harness, &mail).await;
    let done = harness.run_json(DELIVER, &payload).await.unwrap();
    let wait = done.snoozed.unwrap();
    assert!((Span::from_seconds(30)..=Span::from_minutes(1)).contains(&wait), "{wait}");
    assert_eq!(state(&harness, &mail).await, (EmailState::Waiting, Some(451)));
    assert_eq!(deliver(&harness, &payload).await["state"], "sent");
    assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "sent" }));
    let [received] = server.mails().unwrap().try_into().unwrap();
    assert_eq!(received.header("message-id"), [format!("<{}@example.com>", mail.id)]);
    assert!(received.html.unwrap().contains("Ann &lt;b&gt;Lee"));
    assert_eq!(row(&harness, &mail).await.attempts, 2);
}

async fn mail_that_nobody_accepts_is_tried_for_days_and_then_told(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    let mails = [
        (welcome(1, "tmp@example.org"), Some(451)),
        (welcome(2, "busy@example.org"), Some(421)),
        (welcome(3, "later@example.org"), Some(452)),
        (welcome(4, "ann@example.org"), None),
    ];
    for (mail, code) in &mails {
        let payload = add(&harness, mail).await;
        if code.is_none() {
            server.kill();
        }
        assert_eq!(deliver(&harness, &payload).await, json!("not yet"));
        assert_eq!(state(&harness, mail).await, (EmailState::Waiting, *code), "{}", mail.recipient);
    }
    harness.clock.set(now().after(Span::from_days(3)).after(Span::from_seconds(1)));
    let offered = "UPDATE outgoing_email SET attempts = 8";
    harness.db.execute(Query::new(offered)).await.unwrap();
    for (mail, _) in &mails {
        let payload = json!({ "outgoingEmailId": mail.id });
        assert_eq!(deliver(&harness, &payload).await, json!("not yet"), "it is tried ten times");
        assert_eq!(deliver(&harness, &payload).await["state"], "failed");
        assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "failed" }));
    }
    assert_eq!(harness.number("SELECT count(*) FROM admin_event").await, 4);
}

/// Fault 24: what admins are told consists of ids and codes.
async fn refused_mail_is_final_and_told_in_the_digest(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    for (number, to, code, said) in
        [(1, "perm@example.org", 550, "no such mailbox"), (2, "full@example.org", 552, "full")]
    {
        let mail = welcome(number, to);
        let payload = add(&harness, &mail).await;
        assert_eq!(deliver(&harness, &payload).await, json!({ "state": "refused", "code": code }));
        assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "refused" }));
        let message = row(&harness, &mail).await.message.unwrap();
        assert!(message.contains(said), "{message}");
    }
    let newest = outbox::newest(&harness.db, &[EmailState::Refused], 10).await.unwrap();
    assert_eq!(newest.len(), 2);
    assert_eq!(outbox::newest(&harness.db, &[], 1).await.unwrap().len(), 1);
    harness.clock.set(now().after(Span::from_seconds(1)));
    harness.run_all_json(super::REPORT, &json!({ "digest": true })).await.unwrap();
    let [digest] = server.mails().unwrap().try_into().unwrap();
    let text = digest.text.unwrap();
    for email in newest {
        assert!(text.contains(&format!("refused:{}", email.id)), "{text}");
    }
    assert!(!text.contains("perm@"), "no address in a mail to admins: {text}");
}

async fn mail_that_may_have_been_accepted_is_repeated_once(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    // The server keeps each of these and breaks off before it says so.
    let mail = welcome(1, "lost@example.org");
    let payload = add(&harness, &mail).await;
    assert_eq!(deliver(&harness, &payload).await, json!("not yet"));
    assert_eq!(state(&harness, &mail).await, (EmailState::Sending, None));
    for expected in [json!({ "state": "unknown", "code": null }), json!({ "skipped": "unknown" })] {
        assert_eq!(deliver(&harness, &payload).await, expected);
    }
    let mails = server.mails().unwrap();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
    // A disconnect within the letter may be anything too.
    let mail = welcome(2, "cut@example.org");
    let payload = add(&harness, &mail).await;
    assert_eq!(deliver(&harness, &payload).await, json!("not yet"));
    assert_eq!(deliver(&harness, &payload).await["state"], "unknown");
    assert_eq!(server.mails().unwrap().len(), 2);
    assert_eq!(harness.number("SELECT count(*) FROM admin_event").await, 2);
}

/// Fault 24: a mail is on record before it is offered.
async fn an_attempt_that_dies_at_any_step_costs_at_most_one_repeat(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    // What the third has noted may or may not be stored when it dies.
    for (number, step, mails) in [(1, 1, 1..=1), (2, 2, 1..=1), (3, 3, 1..=2)] {
        let before = server.mails().unwrap().len();
        let mail = welcome(number, "ann@example.org");
        let payload = add(&harness, &mail).await;
        assert!(harness.attempt_json(DELIVER, &payload, Cut::DiesAt(step)).await.is_none());
        deliver(&harness, &payload).await;
        assert_eq!(state(&harness, &mail).await, (EmailState::Sent, None), "cut at {step}");
        assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "sent" }));
        let sent = server.mails().unwrap();
        assert!(mails.contains(&(sent.len() - before)), "cut at {step}: {}", sent.len());
        let id = format!("<{}@example.com>", mail.id);
        assert!(sent[before..].iter().all(|mail| mail.header("message-id") == [&*id]));
    }
    // One that is cancelled before it offers the mail has offered nothing.
    let mail = welcome(5, "ann@example.org");
    let payload = add(&harness, &mail).await;
    let cancelled = harness.attempt_json(DELIVER, &payload, Cut::CancelledAt(1)).await.unwrap();
    assert_eq!(cancelled.unwrap_err().to_string(), "cancelled");
    assert_eq!(state(&harness, &mail).await, (EmailState::Waiting, None));
    // One that died before it settled has noted what became of the mail.
    drop(harness.attempt_json(DELIVER, &payload, Cut::Never).await.unwrap().unwrap());
    assert_eq!(deliver(&harness, &payload).await, json!({ "skipped": "sent" }));
}

/// A mail whose attempts die once it is accepted, whoever they are, is never offered a third time.
async fn a_mail_that_outlives_two_attempts_is_offered_no_more(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    // The server keeps it and never answers.
    let mail = welcome(1, "mute@example.org");
    let payload = add(&harness, &mail).await;
    for kept in 1..=2 {
        let accepted = async {
            while server.mails().unwrap().len() < kept {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            ended = harness.attempt_json(DELIVER, &payload, Cut::Never) => panic!("{ended:?}"),
            () = accepted => {}
        }
        assert_eq!(state(&harness, &mail).await, (EmailState::Sending, None));
    }
    assert_eq!(deliver(&harness, &payload).await["state"], "unknown");
    let mails = server.mails().unwrap();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
}

async fn suppressed_withheld_and_unreadable_mails_are_offered_to_nobody(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let harness = with_server(engine, &server).await;
    let job = "emails/apply_bounce";
    let bounce =
        |address: &str, kind: &str| json!({ "eventId": "b1", "address": address, "kind": kind });
    harness.run_json(job, &bounce("Gone@Example.org", "temporary")).await.unwrap();
    assert!(!outbox::is_suppressed(&harness.db, "gone@example.org").await.unwrap());
    drop(harness.attempt_json(job, &bounce("Gone@Example.org", "permanent"), Cut::Never).await);
    for kind in ["permanent", "permanent", "complaint"] {
        harness.run_json(job, &bounce("Gone@Example.org", kind)).await.unwrap();
    }
    let [entry] = outbox::suppressed(&harness.db, 10).await.unwrap().try_into().unwrap();
    assert_eq!((&*entry.address, entry.reason.as_str()), ("gone@example.org", "bounced"));
    let error = harness.run_json(job, &bounce("nobody", "permanent")).await.unwrap_err();
    assert!(error.to_string().starts_with("`address`: not a mail address"), "{error}");

    let broken =
        NewEmail { data: "{\"mail\":\"welcome\"}".to_owned(), ..welcome(3, "a@example.org") };
    for (mail, state) in [
        (welcome(1, "gone@example.ORG"), "suppressed"),
        (welcome(2, "ann@elsewhere.net"), "withheld"),
        (broken, "failed"),
        (welcome(4, "a@example.org\r\nBcc: eve@example.org"), "failed"),
        (
            NewEmail { recipient_name: Some("a\nb".to_owned()), ..welcome(5, "a@example.org") },
            "failed",
        ),
    ] {
        let payload = add(&harness, &mail).await;
        assert_eq!(deliver(&harness, &payload).await["state"], state);
    }
    assert!(server.mails().unwrap().is_empty());
    // That one customer hears nothing and that three mails are wrong is told in the digest.
    assert_eq!(harness.number("SELECT count(*) FROM admin_event").await, 4);
    let mut work = harness.db.begin().await.unwrap();
    for was_listed in [true, false] {
        let allowed = outbox::unsuppress(&mut work.tx(), " GONE@example.org").await.unwrap();
        assert_eq!(allowed, was_listed);
    }
}

testkit::on_each_engine!(
    greylisted_mail_is_sent_by_the_next_attempt,
    mail_that_nobody_accepts_is_tried_for_days_and_then_told,
    refused_mail_is_final_and_told_in_the_digest,
    mail_that_may_have_been_accepted_is_repeated_once,
    an_attempt_that_dies_at_any_step_costs_at_most_one_repeat,
    a_mail_that_outlives_two_attempts_is_offered_no_more,
    suppressed_withheld_and_unreadable_mails_are_offered_to_nobody,
);
