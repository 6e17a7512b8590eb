//! What the company's own people are told.

use ::billing::Totals;
use database::{EngineKind, Query};
use models::billing;
use models::outbox::{self, EmailState, NewEvent};
use serde_json::{Value, json};
use testkit::Cut;
use values::{Currency, Money, Month, Span};

use super::{DOMAIN, REPORT};
use crate::harness::{Harness, now};

/// Two admins, so that each gets a mail of their own.
const ADMINS: &str = "admins = [\"ops@example.org\", \"cto@example.org\"]";

async fn harness(engine: EngineKind) -> Harness {
    let lines = DOMAIN.replace("admins = [\"ops@example.org\"]", ADMINS);
    let harness = Harness::with(engine, |_| lines).await;
    harness.clock.set(now().after(Span::from_seconds(1)));
    harness
}

async fn note(harness: &Harness, range: std::ops::Range<u32>, is_alert: bool) {
    let kind = if is_alert { "queue_stuck" } else { "card_added" };
    let mut work = harness.db.begin().await.unwrap();
    for number in range {
        let code = format!("{kind}_{number}");
        let data = json!({ "kind": kind, "at": now(), "account": null, "task": null,
            "month": null, "amount": null, "code": code });
        let event = NewEvent {
            unique_key: format!("{kind}/{number}"),
            is_alert,
            data: data.to_string(),
            at: now(),
        };
        assert!(outbox::note_event(&mut work.tx(), &event).await.unwrap());
        assert!(!outbox::note_event(&mut work.tx(), &event).await.unwrap());
    }
    work.commit().await.unwrap();
}

/// How many mails of each kind there are in the outbox.
async fn mails(harness: &Harness) -> (i64, i64) {
    let alerts = "SELECT count(*) FROM outgoing_email WHERE kind = 'admin_alert'";
    let digests = "SELECT count(*) FROM outgoing_email WHERE kind = 'admin_digest'";
    (harness.number(alerts).await, harness.number(digests).await)
}

async fn report(harness: &Harness, payload: &Value) -> Value {
    harness.run_json(REPORT, payload).await.unwrap().result
}

async fn alerts_go_out_one_by_one_and_routine_events_as_a_digest(engine: EngineKind) {
    let harness = harness(engine).await;
    note(&harness, 0..3, true).await;
    note(&harness, 0..5, false).await;
    // One that dies before it settles has told nothing.
    drop(harness.attempt_json(REPORT, &json!({}), Cut::Never).await.unwrap().unwrap());
    assert_eq!(mails(&harness).await, (0, 0));
    let told = report(&harness, &json!({})).await;
    assert_eq!(told, json!({ "alerts": 3, "digestEvents": 0 }));
    assert_eq!(mails(&harness).await, (6, 0), "three for each of the two");
    let digest = json!({ "digest": true });
    assert_eq!(report(&harness, &digest).await, json!({ "alerts": 0, "digestEvents": 5 }));
    for payload in [json!({}), digest] {
        assert_eq!(report(&harness, &payload).await, json!({ "alerts": 0, "digestEvents": 0 }));
    }
    assert_eq!(mails(&harness).await, (6, 2));
}

async fn a_flood_of_alerts_is_one_mail(engine: EngineKind) {
    let harness = harness(engine).await;
    note(&harness, 0..300, true).await;
    assert_eq!(report(&harness, &json!({})).await, json!({ "alerts": 300, "digestEvents": 0 }));
    assert_eq!(mails(&harness).await, (0, 2));
    harness.run_all_json("emails/collect_waiting", &json!({})).await.unwrap();
    let sent = "SELECT count(*) FROM outgoing_email WHERE state = 'sent'";
    assert_eq!(harness.number(sent).await, 2);
}

async fn an_event_is_told_once_by_two_attempts_at_the_same_time(engine: EngineKind) {
    let harness = harness(engine).await;
    note(&harness, 0..2, true).await;
    let one = harness.attempt_json(REPORT, &json!({}), Cut::Never).await.unwrap().unwrap();
    note(&harness, 2..3, true).await;
    let other = harness.attempt_json(REPORT, &json!({}), Cut::Never).await.unwrap().unwrap();
    harness.settle(one).await.unwrap();
    let error = harness.settle(other).await.unwrap_err();
    assert!(matches!(error, job::JobError::Retryable { .. }), "{error}");
    assert_eq!(mails(&harness).await, (4, 0));
    assert_eq!(report(&harness, &json!({})).await["alerts"], 1);
    assert_eq!(mails(&harness).await, (6, 0));
}

async fn a_month_that_was_billed_is_told_once_and_a_day_later(engine: EngineKind) {
    let harness = harness(engine).await;
    for number in 1..=3 {
        harness.customer(number, &[]).await;
    }
    let month: Month = "2026-10".parse().unwrap();
    for (name, state) in [("Account 1", "paid"), ("Account 2", "paid"), ("Account 3", "no_card")] {
        let query = Query::new(
            "INSERT INTO billing_record (account_id, month, state, currency, list_price, amount,
               total, refusals, reason, created_at, updated_at, bill, plans)
               SELECT id, $1, $2, 'USD', 10000, 10000, 11900, 0, '', 0, 0, '{}', '{}'
               FROM account WHERE name = $3",
        );
        harness.db.execute(query.bind(month).bind(state).bind(name)).await.unwrap();
    }
    let mut work = harness.db.begin().await.unwrap();
    billing::release_run(&mut work.tx(), month, &Totals::default(), now()).await.unwrap();
    work.commit().await.unwrap();
    let told = "SELECT count(*) FROM outgoing_email WHERE kind = 'admin_month_closed'";
    for (hours, mails) in [(1, 0), (25, 2), (49, 2), (8 * 24, 2)] {
        harness.clock.set(now().after(Span::from_hours(hours)));
        harness.run_all_json(REPORT, &json!({ "digest": true })).await.unwrap();
        assert_eq!(harness.number(told).await, mails, "after {hours} h");
    }
    let key = "admin_month_closed/2026-10/ops@example.org";
    let mail = outbox::by_key(&harness.db, key).await.unwrap().unwrap();
    assert_eq!(mail.state, EmailState::Sent);
    let data: Value = serde_json::from_str(&mail.data).unwrap();
    let usd = |minor: i64| json!(Money { minor, currency: Currency::USD });
    assert_eq!(
        data["settled"],
        json!([
            { "outcome": "no_card", "accounts": 1, "total": usd(11_900) },
            { "outcome": "paid", "accounts": 2, "total": usd(23_800) },
        ])
    );
}

async fn without_admins_events_wait(engine: EngineKind) {
    let harness = Harness::with(engine, |_| String::new()).await;
    note(&harness, 0..1, true).await;
    assert_eq!(report(&harness, &json!({})).await, json!({ "skipped": "no_admins" }));
    assert_eq!(mails(&harness).await, (0, 0));
}

testkit::on_each_engine!(
    alerts_go_out_one_by_one_and_routine_events_as_a_digest,
    a_flood_of_alerts_is_one_mail,
    an_event_is_told_once_by_two_attempts_at_the_same_time,
    a_month_that_was_billed_is_told_once_and_a_day_later,
    without_admins_events_wait,
);
