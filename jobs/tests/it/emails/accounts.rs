//! Mails to accounts; on the bench they become files.

use ::billing::{AccountPlans, Bill, Due, RecordState};
use database::{EngineKind, Query, Tx};
use models::billing::{self, BillingRecord, PaymentCard};
use models::outbox::{self, EmailState};
use models::plans;
use models::sign_ups::{self, PasswordReset};
use serde_json::json;
use testkit::Cut;
use values::{AccountId, Currency, Money, Month, PasswordResetId, Span, Timestamp};

use crate::harness::{Harness, now};

/// Fault 21: the secret is in no task, and in no row longer than it is needed.
async fn a_link_is_mailed_at_once_and_leaves_the_row(engine: EngineKind) {
    let harness = Harness::with(engine, |_| String::new()).await;
    let reset = PasswordReset {
        id: PasswordResetId::from_bytes([5; 16]),
        address: "ann@example.org".to_owned(),
        name: Some("Ann".to_owned()),
        token: "0123456789abcdef".to_owned(),
        valid_until: now().after(Span::from_days(1)),
        created_at: now(),
    };
    let mut work = harness.db.begin().await.unwrap();
    sign_ups::request_password(&mut work.tx(), &reset).await.unwrap();
    work.commit().await.unwrap();
    let (job, payload) = ("emails/password_reset", json!({ "passwordResetId": reset.id }));
    drop(harness.attempt_json(job, &payload, Cut::Never).await.unwrap().unwrap());
    for _ in 0..2 {
        harness.run_all_json(job, &payload).await.unwrap();
    }
    let key = format!("password_reset/{}", reset.id);
    let mail = outbox::by_key(&harness.db, &key).await.unwrap().unwrap();
    assert_eq!((mail.state, &*mail.data, mail.attempts), (EmailState::Sent, "{}", 1));
    let files: Vec<_> = std::fs::read_dir(harness.folder().join("mails")).unwrap().collect();
    let [file] = files.try_into().unwrap();
    let text = std::fs::read_to_string(file.unwrap().path()).unwrap().replace("=\r\n", "");
    assert!(text.contains("recover-password/0123456789abcdef"), "{text}");

    harness.clock.set(reset.valid_until);
    let done = harness.run_json(job, &payload).await.unwrap();
    assert_eq!(done.result, json!({ "skipped": "no_longer_valid" }));
    let unknown = json!({ "passwordResetId": PasswordResetId::from_bytes([6; 16]) });
    let error = harness.run_json(job, &unknown).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no request pwrs_"), "{error}");
}

/// Stores accounts 1 to 5 with a stream each; the fifth has no address.
async fn five_accounts(engine: EngineKind) -> Harness {
    let harness = Harness::with(engine, |_| String::new()).await;
    for number in 1..=5 {
        harness.customer(number, &[format!("stream{number}").as_str()]).await;
    }
    let addresses =
        "UPDATE account SET billing_email = 'ann@example.org' WHERE name <> 'Account 5'";
    harness.db.execute(Query::new(addresses)).await.unwrap();
    harness
}

async fn new_accounts_are_written_to_once_and_by_what_they_did(engine: EngineKind) {
    let harness = five_accounts(engine).await;
    for sql in [
        // The second was watched, in the rooms of the third people talked, the fourth did both.
        "INSERT INTO usage_stream_month (stream_id, month, kind, bytes, lines, seconds)
           SELECT id, 1, 1, 5, 1, 0 FROM stream WHERE name IN ('stream2', 'stream4')",
        "INSERT INTO usage_peer_month (project_id, month, milliseconds)
           SELECT id, 1, 7 FROM project WHERE name IN ('Project 3', 'Project 4')",
    ] {
        harness.db.execute(Query::new(sql)).await.unwrap();
    }
    let job = "emails/check_in_new_accounts";
    let older = "UPDATE account SET created_at = $1 WHERE name = 'Account 1'";
    let made = now().before(Span::from_days(5));
    harness.db.execute(Query::new(older).bind(made)).await.unwrap();
    // At first only the first is three days old, then the others are; later all are too old.
    for (days, written) in [(0, 1), (2, 1), (4, 4), (8, 4)] {
        harness.clock.set(now().after(Span::from_days(days)));
        // One that dies after its rows are written is followed by one that writes no more.
        drop(harness.attempt_json(job, &json!({}), Cut::CancelledAt(1)).await);
        drop(harness.attempt_json(job, &json!({}), Cut::Never).await.unwrap().unwrap());
        harness.run_all_json(job, &json!({})).await.unwrap();
        assert_eq!(harness.number("SELECT count(*) FROM outgoing_email").await, written);
    }
    for (account, kind) in [(1, "unused"), (2, "broadcast"), (3, "peer"), (4, "broadcast")] {
        let mails = outbox::of_account(&harness.db, account_id(account), 10).await.unwrap();
        let kinds: Vec<&str> = mails.iter().map(|mail| &*mail.kind).collect();
        assert_eq!(kinds, [format!("check_in_{kind}")]);
        assert_eq!(mails[0].state, EmailState::Sent);
    }
}

async fn an_account_too_old_for_a_check_in_gets_none(engine: EngineKind) {
    let harness = five_accounts(engine).await;
    let job = "emails/check_in_new_accounts";
    let delete = "UPDATE account SET deleted_at = created_at WHERE name = 'Account 1'";
    harness.db.execute(Query::new(delete)).await.unwrap();
    let check = async |at: Timestamp| {
        harness.clock.set(at);
        harness.run_json(job, &json!({})).await.unwrap().result
    };
    let three_days = now().after(Span::from_days(3));
    assert_eq!(check(three_days).await, json!({ "written": 0 }), "not yet three days old");
    let seven_days = now().after(Span::from_days(7));
    assert_eq!(check(seven_days.after(Span::from_seconds(1))).await, json!({ "written": 0 }));
    assert_eq!(check(seven_days).await, json!({ "written": 3 }));
}

async fn an_account_is_welcomed_once(engine: EngineKind) {
    let harness = five_accounts(engine).await;
    let job = "emails/welcome_account";
    let payload = json!({ "accountId": account_id(1) });
    drop(harness.attempt_json(job, &payload, Cut::Never).await.unwrap().unwrap());
    assert_eq!(harness.number("SELECT count(*) FROM outgoing_email").await, 0);
    for _ in 0..2 {
        harness.run_all_json(job, &payload).await.unwrap();
    }
    let sent = "SELECT count(*) FROM outgoing_email WHERE state = 'sent' AND kind = 'welcome'";
    assert_eq!(harness.number(sent).await, 1);
    // Without an address there is nobody to write to; the admins hear of it all the same.
    let done = harness.run_json(job, &json!({ "accountId": account_id(5) })).await.unwrap();
    assert_eq!(done.result, json!({ "skipped": "no_address" }));
    assert_eq!(harness.number("SELECT count(*) FROM admin_event").await, 2);
    assert_eq!(harness.number("SELECT count(*) FROM outgoing_email").await, 1);
    let error = harness.run_json(job, &json!({ "accountId": account_id(9) })).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no account acct_"), "{error}");
}

async fn the_owner_of_an_expiring_card_is_written_to_once(engine: EngineKind) {
    let harness = five_accounts(engine).await;
    let (month, job) = (now().month(), "emails/remind_expiring_cards");
    let mut work = harness.db.begin().await.unwrap();
    for (number, cards) in [
        (1, vec![("c1", month, None)]),
        // Its oldest card is good for another month; that of the third was taken away.
        (2, vec![("c2a", month.next().unwrap(), None), ("c2b", month, None)]),
        (3, vec![("c3a", month.next().unwrap(), Some(now())), ("c3b", month, None)]),
        (4, vec![("c4", month, Some(now()))]),
        (5, vec![("c5", month, None)]),
    ] {
        let account = account_id(number);
        hold(&mut work.tx(), account, "basic").await;
        let customer = format!("cus_{number}");
        billing::set_customer(&mut work.tx(), account, &customer, now()).await.unwrap();
        for (at, (id, valid_through, deleted_at)) in (0..).zip(cards) {
            let card = PaymentCard {
                id: id.to_owned(),
                brand: "visa".to_owned(),
                last4: "4242".to_owned(),
                valid_through,
                created_at: now().after(Span::from_seconds(at)),
                deleted_at,
            };
            billing::set_card(&mut work.tx(), account, &card).await.unwrap();
        }
    }
    work.commit().await.unwrap();
    drop(harness.attempt_json(job, &json!({}), Cut::CancelledAt(1)).await);
    for _ in 0..2 {
        harness.run_all_json(job, &json!({})).await.unwrap();
    }
    for (number, mails) in [(1, 1), (2, 0), (3, 1), (4, 0), (5, 0)] {
        let found = outbox::of_account(&harness.db, account_id(number), 10).await.unwrap();
        assert_eq!(found.len(), mails, "account {number}");
        assert!(
            found
                .iter()
                .all(|mail| (mail.state, &*mail.kind) == (EmailState::Sent, "card_expiring"))
        );
    }
    // In the next month the card of the second is in its last.
    harness.clock.set(now().after(Span::from_days(31)));
    let done = harness.run_json(job, &json!({})).await.unwrap();
    assert_eq!(done.result, json!({ "written": 1 }));
}

async fn owners_who_will_not_be_charged_are_left_alone(engine: EngineKind) {
    let harness = five_accounts(engine).await;
    let month = now().month();
    let mut work = harness.db.begin().await.unwrap();
    let mut tx = work.tx();
    for (number, plan) in [(1, "free"), (2, "free"), (3, "free"), (4, "no_such_plan")] {
        let account = account_id(number);
        hold(&mut tx, account, plan).await;
        billing::set_customer(&mut tx, account, &format!("cus_{number}"), now()).await.unwrap();
        let card = PaymentCard {
            id: format!("c{number}"),
            brand: "visa".to_owned(),
            last4: "4242".to_owned(),
            valid_through: month,
            created_at: now(),
            deleted_at: None,
        };
        billing::set_card(&mut tx, account, &card).await.unwrap();
    }
    // The second takes a plan before the month is over, and the third owes the month before.
    let later = month.end().before(Span::from_seconds(1));
    let basic = AccountPlans { broadcast: vec!["basic".to_owned()], peer: Vec::new() };
    plans::change(&mut tx, account_id(2), later, &basic, "customer").await.unwrap();
    let owed = owed(account_id(3), month.previous().unwrap());
    billing::insert_record(&mut tx, &owed).await.unwrap();
    work.commit().await.unwrap();
    harness.run_all_json("emails/remind_expiring_cards", &json!({})).await.unwrap();
    // What the fourth's plan costs cannot be told, so it may be charged.
    for (number, mails) in [(1, 0), (2, 1), (3, 1), (4, 1)] {
        let found = outbox::of_account(&harness.db, account_id(number), 10).await.unwrap();
        assert_eq!(found.len(), mails, "account {number}");
    }
}

/// Notes that an account holds a plan from now on.
async fn hold(tx: &mut Tx<'_>, account: AccountId, plan: &str) {
    let plans = AccountPlans { broadcast: vec![plan.to_owned()], peer: Vec::new() };
    plans::change(tx, account, now(), &plans, "sign_up").await.unwrap();
}

/// A month whose charge was refused.
fn owed(account: AccountId, month: Month) -> BillingRecord {
    let usd = |minor| Money { minor, currency: Currency::USD };
    BillingRecord {
        account,
        month,
        state: RecordState::Failed,
        refusals: 1,
        attempted_at: Some(now()),
        grace_until: None,
        carried_into: None,
        reason: "declined".to_owned(),
        bill: Bill {
            month,
            list_price: usd(10_000),
            prorated: false,
            amount: usd(10_000),
            lines: Vec::new(),
            tax: usd(0),
            credit: usd(0),
            total: usd(10_000),
            due: Due::Charge,
        },
        plans: AccountPlans::default(),
        created_at: now(),
    }
}

/// The id that [`Harness::customer`] gives.
fn account_id(number: u8) -> AccountId {
    let mut bytes = [0; 16];
    (bytes[0], bytes[1]) = (1, number);
    AccountId::from_bytes(bytes)
}

testkit::on_each_engine!(
    a_link_is_mailed_at_once_and_leaves_the_row,
    new_accounts_are_written_to_once_and_by_what_they_did,
    an_account_too_old_for_a_check_in_gets_none,
    an_account_is_welcomed_once,
    the_owner_of_an_expiring_card_is_written_to_once,
    owners_who_will_not_be_charged_are_left_alone,
);
