//! `usage/enforce_limits` and `accounts/lift_throttle`: every case, once, whatever is cut.

use billing::AccountPlans;
use database::{EngineKind, Query};
use models::billing::PaymentCard;
use models::{Account, ThrottledReason, accounts, outbox, plans, throttles};
use serde_json::{Value, json};
use testkit::Cut;
use values::{AccountId, Month, Timestamp};

use crate::harness::Harness;

const CASES: &str = include_str!("../../../shared/billing/tests/cases/throttle.json");
const JOB: &str = "usage/enforce_limits";
const LIFT: &str = "accounts/lift_throttle";

/// What a test says of an account; the rest is the same for all.
struct Given<'a> {
    number: u8,
    provider: &'a str,
    plans: AccountPlans,
    card: &'a str,
    usage: [u64; 3],
    month: Month,
}

const GIB: u64 = 1 << 30;

fn id(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn solo(number: u8, usage: [u64; 3], card: &str) -> Given<'_> {
    let plans = AccountPlans { broadcast: vec!["solo".into()], peer: vec!["free".into()] };
    let month = "2015-02".parse().unwrap();
    Given { number, provider: "cine.io", plans, card, usage, month }
}

fn account(given: &Given<'_>) -> Account {
    Account {
        id: id(given.number),
        name: format!("Account {}", given.number),
        billing_email: Some(format!("owner{}@customer.example", given.number)),
        billing_provider: given.provider.parse().unwrap(),
        unthrottleable: false,
        throttled_at: None,
        throttled_reason: None,
        created_at: at("2014-01-01T00:00:00Z"),
        updated_at: at("2014-01-01T00:00:00Z"),
        deleted_at: None,
    }
}

async fn store(harness: &Harness, given: &Given<'_>, account: &Account) {
    let made = account.created_at;
    let mut work = harness.db.begin().await.unwrap();
    let tx = &mut work.tx();
    accounts::upsert_many(tx, std::slice::from_ref(account)).await.unwrap();
    plans::change(tx, account.id, made, &given.plans, "sign_up").await.unwrap();
    if given.card != "none" {
        let customer = format!("cus_{}", given.number);
        models::billing::set_customer(tx, account.id, &customer, made).await.unwrap();
        let card = PaymentCard {
            id: format!("card_{}", given.number),
            brand: "visa".to_owned(),
            last4: "4242".to_owned(),
            valid_through: "2030-01".parse().unwrap(),
            created_at: made,
            deleted_at: (given.card == "deleted_only").then_some(made),
        };
        models::billing::set_card(tx, account.id, &card).await.unwrap();
    }
    let query = Query::new(
        "INSERT INTO usage_account_month (account_id, month, bandwidth_bytes, fms_bytes, hls_bytes,
           vod_bytes, lines, updated_at, storage_bytes, peer_milliseconds)
           VALUES ($1, $2, $3, 0, 0, 0, 0, 0, $4, $5)",
    );
    let [bandwidth, stored, talked] = given.usage.map(u64::cast_signed);
    let query = query.bind(account.id).bind(given.month).bind(bandwidth).bind(stored).bind(talked);
    tx.execute(query).await.unwrap();
    work.commit().await.unwrap();
}

async fn change(harness: &Harness, account: Account) {
    let mut work = harness.db.begin().await.unwrap();
    accounts::upsert_many(&mut work.tx(), &[account]).await.unwrap();
    work.commit().await.unwrap();
}

async fn read(harness: &Harness, number: u8) -> Account {
    accounts::get(&harness.db, id(number)).await.unwrap().unwrap()
}

/// A company whose customers pay by card.
async fn by_card(engine: EngineKind) -> Harness {
    let mut harness = Harness::new(engine).await;
    harness.configure("payments", &json!({ "secretKey": "sk_test_unused" }));
    harness
}

/// All that the job writes, as text.
async fn written(harness: &Harness) -> String {
    let mut written = String::new();
    for (table, columns) in [
        ("throttle", "sequence || ' ' || reason || ' ' || at || ' ' || coalesce(lifted_at, 0)"),
        ("limit_warning", "month || ' ' || at"),
        ("plan_change", "at || ' ' || plans || ' ' || reason"),
        ("outgoing_email", "unique_key || ' ' || recipient || ' ' || data"),
        ("admin_event", "unique_key || ' ' || data"),
        ("account", "name || ' ' || coalesce(throttled_at, 0) || coalesce(throttled_reason, '')"),
    ] {
        let sql = format!("SELECT CAST({columns} AS TEXT) FROM {table} ORDER BY 1");
        let rows = harness.db.all(Query::built(sql)).await.unwrap();
        for row in rows {
            written.extend([table, ": ", &row.get::<String>(0).unwrap(), "\n"]);
        }
    }
    written
}

fn held(value: &Value) -> AccountPlans {
    let of = |product: &str| {
        let names = value[product].as_array().map_or(&[][..], Vec::as_slice);
        names.iter().map(|name| text(name).to_owned()).collect()
    };
    AccountPlans { broadcast: of("broadcast"), peer: of("peer") }
}

/// Faults 2 and 3: each account ends with the plans of its case, and its mail names what changes.
async fn every_case_ends_as_it_says(engine: EngineKind) {
    let harness = by_card(engine).await;
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let list = cases["cases"].as_array().unwrap();
    assert!(list.len() >= 20);
    for (number, case) in (1..).zip(list) {
        check(&harness, number, case).await;
        let gone = read(&harness, number).await;
        change(&harness, Account { deleted_at: Some(gone.created_at), ..gone }).await;
    }
}

fn given_of(number: u8, case: &Value) -> Given<'_> {
    let given = &case["account"];
    let figure = |key: &str| case["usage"][key].as_u64().unwrap_or(0);
    Given {
        number,
        provider: text(&given["billingProvider"]),
        plans: held(&given["productPlans"]),
        card: text(&given["card"]),
        usage: [figure("bandwidth"), figure("storage"), figure("peerMilliseconds")],
        month: text(&case["month"]).parse().unwrap(),
    }
}

async fn check(harness: &Harness, number: u8, case: &Value) {
    let (name, given) = (text(&case["id"]), &case["account"]);
    let now = at(text(&case["now"]));
    harness.clock.set(now);
    let facts = given_of(number, case);
    let moment = |key: &str| given[key].as_str().map(at);
    let row = Account {
        unthrottleable: given["unthrottleable"].as_bool().unwrap(),
        throttled_at: moment("throttledAt"),
        throttled_reason: moment("throttledAt").map(|_| ThrottledReason::OverLimit),
        deleted_at: moment("deletedAt"),
        ..account(&facts)
    };
    store(harness, &facts, &row).await;
    if case["warnedThisMonth"] == true {
        let mut work = harness.db.begin().await.unwrap();
        throttles::warn(&mut work.tx(), row.id, facts.month, now).await.unwrap();
        work.commit().await.unwrap();
    }
    let done = harness.run_json(JOB, &json!({})).await.unwrap();
    let expect = &case["expect"];
    let action = text(&expect["action"]);
    for (counted, word) in [("warned", "warn"), ("upgraded", "upgrade"), ("throttled", "throttle")]
    {
        assert_eq!(done.result[counted], u64::from(action == word), "{name}: {}", done.result);
    }
    let mails = outbox::of_account(&harness.db, row.id, 10).await.unwrap();
    let kinds: Vec<&str> = mails.iter().map(|mail| mail.kind.as_str()).collect();
    let history = plans::history(&harness.db, row.id).await.unwrap();
    let after = read(harness, number).await;
    let throttled = (after.throttled_at, after.throttled_reason);
    match action {
        "warn" => {
            assert_eq!(kinds, ["near_limit"], "{name}");
            let data: Value = serde_json::from_str(&mails[0].data).unwrap();
            assert_eq!(named(&data["next"], "plan"), expect["nextPlan"], "{name}");
        }
        "upgrade" => {
            assert_eq!(kinds, ["plan_upgraded"], "{name}");
            let last = &history.last().unwrap().plans;
            assert_eq!(*last, held(&expect["newProductPlans"]), "{name}");
            let data: Value = serde_json::from_str(&mails[0].data).unwrap();
            assert_eq!(named(&data["changes"], "to"), expect["upgradeTo"], "{name}");
        }
        "throttle" => {
            assert_eq!(kinds, ["throttled_over_limit"], "{name}");
            assert_eq!(throttled, (Some(now), Some(ThrottledReason::OverLimit)), "{name}");
        }
        _ => assert!(kinds.is_empty(), "{name}: {kinds:?}"),
    }
    if action != "throttle" {
        assert_eq!(throttled, (row.throttled_at, row.throttled_reason), "{name}");
    }
    assert_eq!(history.len(), 1 + usize::from(action == "upgrade"), "{name}");
    assert_eq!(is_alerted(harness, &facts).await, expect["alertAdmins"] == true, "{name}");
    // Whoever was upgraded may be near the new limit at once.
    if action != "upgrade" {
        let before = written(harness).await;
        harness.run_json(JOB, &json!({})).await.unwrap();
        assert_eq!(written(harness).await, before, "{name}, again");
    }
}

/// The plan that a mail names for each product, as cases write it.
fn named(list: &Value, plan: &str) -> Value {
    let list = list.as_array().unwrap().iter();
    let of =
        |one: &Value| (text(&one["product"]).to_owned(), text(&one[plan]["name"]).to_lowercase());
    json!(list.map(of).collect::<std::collections::BTreeMap<_, _>>())
}

async fn is_alerted(harness: &Harness, given: &Given<'_>) -> bool {
    let alert = format!("no_larger_plan/{}/{}", id(given.number), given.month);
    let query = Query::new("SELECT 1 FROM admin_event WHERE unique_key = $1");
    harness.db.first(query.bind(alert)).await.unwrap().is_some()
}

/// One account of each kind of end.
async fn three_accounts(engine: EngineKind) -> Harness {
    let harness = by_card(engine).await;
    harness.clock.set(at("2015-02-20T10:00:00Z"));
    for given in [
        solo(1, [20 * GIB, 0, 0], "valid"),
        solo(2, [21 * GIB, 0, 0], "valid"),
        solo(3, [2 * GIB, 0, 0], "none"),
    ] {
        store(&harness, &given, &account(&given)).await;
    }
    harness
}

async fn a_run_repeated_after_any_cut_leaves_what_an_undisturbed_one_leaves(engine: EngineKind) {
    let harness = three_accounts(engine).await;
    let done = harness.run_json(JOB, &json!({})).await.unwrap();
    assert_eq!(
        done.result,
        json!({ "checked": 3, "warned": 1, "upgraded": 1, "throttled": 1, "lifted": 0, "unclear": 0 })
    );
    let undisturbed = written(&harness).await;
    for step in 1..=3 {
        for cut in [Cut::DiesAt(step), Cut::CancelledAt(step)] {
            let harness = three_accounts(engine).await;
            drop(harness.attempt_json(JOB, &json!({}), cut).await);
            harness.run_json(JOB, &json!({})).await.unwrap();
            assert_eq!(written(&harness).await, undisturbed, "{cut:?}");
        }
    }
    // Died after its last write, before it settled.
    let harness = three_accounts(engine).await;
    drop(harness.attempt_json(JOB, &json!({}), Cut::Never).await);
    harness.run_json(JOB, &json!({})).await.unwrap();
    assert_eq!(written(&harness).await, undisturbed);
}

async fn two_at_once_do_each_thing_once(engine: EngineKind) {
    let harness = three_accounts(engine).await;
    harness.run_json(JOB, &json!({})).await.unwrap();
    let alone = written(&harness).await;
    let harness = three_accounts(engine).await;
    let nothing = json!({});
    let (one, other) =
        tokio::join!(harness.run_json(JOB, &nothing), harness.run_json(JOB, &nothing));
    let (one, other) = (one.unwrap().result, other.unwrap().result);
    for counted in ["warned", "upgraded", "throttled"] {
        let sum = one[counted].as_u64().unwrap() + other[counted].as_u64().unwrap();
        assert_eq!(sum, 1, "{counted}");
    }
    assert_eq!(written(&harness).await, alone);
}

/// Who pays by transfer has no card, and needs none: neither for usage within the plan nor above.
async fn by_transfer_nobody_needs_a_card(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.clock.set(at("2015-02-20T10:00:00Z"));
    for (number, gib) in [(1, 2), (2, 20), (3, 21)] {
        let given = solo(number, [gib * GIB, 0, 0], "none");
        store(&harness, &given, &account(&given)).await;
    }
    let done = harness.run_json(JOB, &json!({})).await.unwrap();
    assert_eq!(
        done.result,
        json!({ "checked": 3, "warned": 1, "upgraded": 1, "throttled": 0, "lifted": 0, "unclear": 0 })
    );
    for number in 1..=3 {
        assert_eq!(read(&harness, number).await.throttled_at, None);
    }
}

/// Fault 20: an account that cannot be judged stops no other.
async fn an_unknown_plan_is_told_once_and_holds_up_no_other(engine: EngineKind) {
    let harness = three_accounts(engine).await;
    let mut strange = solo(0, [90 * GIB, 0, 0], "valid");
    strange.plans.broadcast = vec!["gigantic".to_owned()];
    store(&harness, &strange, &account(&strange)).await;
    for _ in 0..2 {
        let done = harness.run_json(JOB, &json!({})).await.unwrap();
        assert_eq!(done.result["unclear"], 1);
    }
    let told = "SELECT count(*) FROM admin_event WHERE unique_key LIKE 'limits_unclear/%'";
    assert_eq!(harness.number(told).await, 1);
    assert_eq!(harness.number("SELECT count(*) FROM outgoing_email").await, 3);
}

/// Fault 11: what a marketplace's customer used too much is forgiven with the month.
async fn a_new_month_lifts_what_a_marketplace_used_too_much(engine: EngineKind) {
    let harness = by_card(engine).await;
    harness.clock.set(at("2015-02-20T10:00:00Z"));
    let plans = AccountPlans { broadcast: vec!["solo".into()], peer: vec![] };
    let usage = [16 * GIB, 0, 0];
    let given = Given { provider: "heroku", plans, ..solo(1, usage, "none") };
    store(&harness, &given, &account(&given)).await;
    let own = solo(2, usage, "none");
    store(&harness, &own, &account(&own)).await;
    harness.run_json(JOB, &json!({})).await.unwrap();
    assert!(read(&harness, 1).await.throttled_at.is_some());
    harness.clock.set(at("2015-03-01T00:00:00Z"));
    for lifted in [1, 0] {
        let done = harness.run_json(JOB, &json!({})).await.unwrap();
        assert_eq!(done.result["lifted"], lifted);
    }
    assert_eq!(read(&harness, 1).await.throttled_at, None);
    assert!(read(&harness, 2).await.throttled_at.is_some(), "the company's own needs a card");
    let periods = throttles::periods(&harness.db, id(1)).await.unwrap();
    assert_eq!(periods.len(), 1);
    assert_eq!(periods[0].until, Some(at("2015-03-01T00:00:00Z")));
    let skipped = harness.run_json(JOB, &json!({ "month": "2015-02" })).await.unwrap();
    assert_eq!(skipped.result, json!({ "skipped": "not_the_current_month" }));
}

async fn a_throttle_is_lifted_once_also_one_that_was_to_come(engine: EngineKind) {
    let harness = three_accounts(engine).await;
    harness.run_json(JOB, &json!({})).await.unwrap();
    let now = at("2015-02-20T10:00:00Z");
    let grace = at("2015-02-24T10:00:00Z");
    let mut work = harness.db.begin().await.unwrap();
    let declined = (grace, ThrottledReason::CardDeclined);
    let second = throttles::throttle(&mut work.tx(), id(3), declined, now).await.unwrap();
    let again = throttles::throttle(&mut work.tx(), id(3), declined, now).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!((second, again), (Some(2), None));
    assert_eq!(read(&harness, 3).await.throttled_at, Some(now), "the earlier one shows");

    let payload = json!({ "accountId": id(3), "reason": "card_added" });
    drop(harness.attempt_json(LIFT, &payload, Cut::DiesAt(1)).await);
    drop(harness.attempt_json(LIFT, &payload, Cut::DiesAt(2)).await);
    let done = harness.run_json(LIFT, &payload).await.unwrap();
    assert_eq!(done.result, json!({ "lifted": false }), "the attempt that died had lifted it");
    let after = read(&harness, 3).await;
    assert_eq!((after.throttled_at, after.throttled_reason), (None, None));
    let periods = throttles::periods(&harness.db, id(3)).await.unwrap();
    let periods: Vec<_> = periods.iter().map(|period| (period.from, period.until)).collect();
    assert_eq!(periods, [(now, Some(now)), (grace, Some(grace))]);
    let lifted = "SELECT count(*) FROM outgoing_email WHERE kind = 'throttle_lifted'";
    assert_eq!(harness.number(lifted).await, 1);
    let missing = json!({ "accountId": id(9), "reason": "card_added" });
    let error = harness.run_json(LIFT, &missing).await.unwrap_err();
    assert!(error.to_string().contains("there is no account acct_"), "{error}");
}

testkit::on_each_engine!(
    every_case_ends_as_it_says,
    a_run_repeated_after_any_cut_leaves_what_an_undisturbed_one_leaves,
    two_at_once_do_each_thing_once,
    by_transfer_nobody_needs_a_card,
    an_unknown_plan_is_told_once_and_holds_up_no_other,
    a_new_month_lifts_what_a_marketplace_used_too_much,
    a_throttle_is_lifted_once_also_one_that_was_to_come,
);
