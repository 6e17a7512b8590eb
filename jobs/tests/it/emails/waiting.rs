//! No mail is left behind, and none holds up others.

use contract::emails::{CollectWaiting, DeliverEmail};
use database::EngineKind;
use models::outbox;
use serde_json::json;
use testkit::{Cut, SmtpSecurity, SmtpServer};
use values::{EmailId, Span};

use super::{COLLECT, add, deliver, welcome, with_smtp};
use crate::harness::{Harness, now};

/// As many mails as one attempt asks for, and one more.
const MAILS: u16 = 501;

/// Fault 23: a mail outlives the process that caused it.
async fn every_mail_is_asked_for_also_behind_many_that_wait(engine: EngineKind) {
    let harness = Harness::with(engine, |_| String::new()).await;
    let mut work = harness.db.begin().await.unwrap();
    for number in 0..MAILS {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let mut mail = welcome(1, "ann@example.org");
        mail.id = EmailId::from_bytes(id);
        mail.unique_key = format!("welcome/{number}");
        assert!(outbox::add(&mut work.tx(), &mail).await.unwrap());
    }
    work.commit().await.unwrap();
    let collect = async || {
        let done = harness.run_json(COLLECT, &json!({})).await.unwrap();
        let asked = done.follow_ups_of::<DeliverEmail>();
        (asked.len(), done.follow_ups_of::<CollectWaiting>().len())
    };
    // One that dies before it settles has asked for nothing.
    drop(harness.attempt_json(COLLECT, &json!({}), Cut::Never).await.unwrap().unwrap());
    assert_eq!(collect().await, (500, 1));
    assert_eq!(collect().await, (1, 0));
    assert_eq!(collect().await, (0, 0));
    // A new one does not wait behind those.
    let mut newest = welcome(255, "ann@example.org");
    newest.unique_key = "welcome/newest".to_owned();
    add(&harness, &newest).await;
    assert_eq!(collect().await, (1, 0));
    // What was asked for and came to no end is asked for again.
    harness.clock.set(now().after(Span::from_hours(1)));
    assert_eq!(collect().await, (500, 1));
    let due = outbox::due_before(&harness.db, now().after(Span::from_days(1)), 1).await.unwrap();
    assert_eq!(due.len(), 1);
}

async fn what_is_at_its_end_is_asked_for_no_more(engine: EngineKind) {
    let harness = Harness::with(engine, |_| String::new()).await;
    for number in 1..=3 {
        add(&harness, &welcome(number, "ann@example.org")).await;
    }
    let ran = harness.run_all_json(COLLECT, &json!({})).await.unwrap();
    assert_eq!(ran["emails/deliver_email"], 3);
    harness.clock.set(now().after(Span::from_days(1)));
    let ran = harness.run_all_json(COLLECT, &json!({})).await.unwrap();
    assert_eq!(ran.get("emails/deliver_email"), None);
    let files = std::fs::read_dir(harness.folder().join("mails")).unwrap();
    assert_eq!(files.count(), 3);
}

/// Mail cannot carry this news, so an alert does.
async fn a_mail_server_that_accepts_nothing_is_told_once_until_it_does(engine: EngineKind) {
    let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let seconds = "security = \"plain\", connect_seconds_max = 1, answer_seconds_max = 1";
    let harness = with_smtp(engine, &server, seconds).await;
    let check = async |begun: u64, ended: u64| {
        let done = harness.run_json("monitoring/check_queues", &json!({})).await.unwrap();
        assert_eq!((&done.result["begun"], &done.result["ended"]), (&json!(begun), &json!(ended)));
        let alerts = harness.take_alerts();
        assert_eq!(alerts.len() as u64, begun, "{alerts:?}");
        alerts.into_iter().next()
    };
    let first = add(&harness, &welcome(1, "ann@example.org")).await;
    let second = add(&harness, &welcome(2, "bob@example.org")).await;
    let after = |seconds: u32| now().after(Span::from_seconds(seconds));
    // The first is accepted half an hour later: from then on the hour counts.
    harness.clock.set(after(1_800));
    assert_eq!(deliver(&harness, &first).await["state"], "sent");
    server.pause();
    assert_eq!(deliver(&harness, &second).await, json!("not yet"));
    harness.clock.set(after(5_400));
    assert_eq!(check(0, 0).await, None);
    harness.clock.set(after(5_401));
    let (code, message) = check(1, 0).await.unwrap();
    assert_eq!(code, "mails_unsent");
    assert!(message.contains(&format!("since {}", after(1_800))), "{message}");
    assert!(!message.contains('@'), "no address: {message}");
    assert_eq!(check(0, 0).await, None, "told once");
    assert_eq!(harness.number("SELECT count(*) FROM admin_event").await, 1);
    server.resume();
    assert_eq!(deliver(&harness, &second).await["state"], "sent");
    assert_eq!(check(0, 1).await, None);
}

testkit::on_each_engine!(
    a_mail_server_that_accepts_nothing_is_told_once_until_it_does,
    every_mail_is_asked_for_also_behind_many_that_wait,
    what_is_at_its_end_is_asked_for_no_more,
);
