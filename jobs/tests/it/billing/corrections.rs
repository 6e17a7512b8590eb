//! What people correct: waivers, credit notes, refunds, payments by transfer.

use billing::{LedgerAccount, RecordState};
use contract::billing::{
    IssueCreditNote, RecordFee, RecordPayment, RefundPayment, WaiveMonth, WriteOffInvoice,
};
use database::EngineKind;
use job::JobError;
use models::billing as money;
use payments::scripted::{Fault, TestCard, When};
use serde_json::json;
use testkit::Cut;
use values::{AccountId, Currency};

use super::{Company, broadcast, month, usd};

const AT: &str = "2015-01-03T08:00:00Z";

fn waive(account_id: AccountId) -> WaiveMonth {
    WaiveMonth { account_id, month: month("2014-12"), reason: "outage".to_owned() }
}

fn credit(amount: i64, reference: &str) -> IssueCreditNote {
    IssueCreditNote {
        invoice: "INV-000001".to_owned(),
        amount: usd(amount),
        reference: reference.to_owned(),
        reason: "wrong plan".to_owned(),
    }
}

fn refund(amount: i64, reference: &str) -> RefundPayment {
    RefundPayment {
        invoice: "INV-000001".to_owned(),
        amount: usd(amount),
        reference: reference.to_owned(),
        reason: "goodwill".to_owned(),
    }
}

fn payment(amount: i64, reference: &str) -> RecordPayment {
    RecordPayment {
        invoice: "INV-000001".to_owned(),
        amount: usd(amount),
        reference: reference.to_owned(),
        received_at: AT.parse().unwrap(),
    }
}

fn is_permanent(error: &JobError) -> bool {
    matches!(error, JobError::Permanent(_))
}

/// Fault 9: waived is a state of its own.
async fn a_waived_month_is_never_charged(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    assert!(company.attempt(&waive(account), Cut::DiesAt(1)).await.is_none());
    company.run(&waive(account)).await.unwrap();
    let after = company.state(account).await;
    company.run(&waive(account)).await.unwrap();
    assert_eq!(company.state(account).await, after);
    let done = company.bill(account, "2014-12").await.unwrap();
    assert_eq!((done.result["reason"].as_str(), company.taken()), (Some("waived"), 0));
    assert_eq!(company.number("SELECT count(*) FROM invoice").await, 0);

    let paid = company.customer(2, "basic", TestCard::Good).await;
    company.bill(paid, "2014-12").await.unwrap();
    let error = company.run(&waive(paid)).await.unwrap_err();
    assert!(is_permanent(&error) && error.to_string().contains("credit note"), "{error}");
    let early = WaiveMonth { month: month("2015-01"), ..waive(account) };
    assert!(is_permanent(&company.run(&early).await.unwrap_err()));
}

async fn a_waiver_after_the_invoice_is_a_credit_note_in_its_own_series(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Declined).await;
    company.bill(account, "2014-12").await.unwrap();
    assert!(company.get(account).await.throttled_at.is_some());
    drop(company.attempt(&waive(account), Cut::Never).await);
    let done = company.run(&waive(account)).await.unwrap();
    company.send(&done).await;
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Waived);
    assert_eq!(company.get(account).await.throttled_at, None);
    let numbers = company.texts("SELECT number FROM invoice ORDER BY number").await;
    assert_eq!(numbers, ["CN-000001", "INV-000001"]);
    let books = money::balances(&company.db, None).await.unwrap();
    assert_eq!(books.of(LedgerAccount::Receivable, Currency::USD), 0);
    assert_eq!(books.of(LedgerAccount::Revenue, Currency::USD), 0);
    company.state(account).await;
}

async fn credit_notes_take_back_at_most_the_invoice_once_per_reference(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Declined).await;
    company.bill(account, "2014-12").await.unwrap();
    drop(company.attempt(&credit(4_000, "a"), Cut::Never).await.unwrap());
    let done = company.run(&credit(4_000, "a")).await.unwrap();
    assert_eq!(done.result["creditNote"], "CN-000001");
    company.send(&done).await;
    for wrong in [credit(6_001, "b"), credit(0, "b"), credit(-1, "b")] {
        assert!(is_permanent(&company.run(&wrong).await.unwrap_err()));
    }
    let unknown = IssueCreditNote { invoice: "INV-000099".to_owned(), ..credit(1, "b") };
    assert!(is_permanent(&company.run(&unknown).await.unwrap_err()));
    let of_a_note = IssueCreditNote { invoice: "CN-000001".to_owned(), ..credit(1, "b") };
    assert!(is_permanent(&company.run(&of_a_note).await.unwrap_err()));
    // What is charged afterwards is what is left.
    company.gateway.set_card(
        &company.texts("SELECT id FROM payment_card").await[0].parse().unwrap(),
        TestCard::Good,
    );
    company.set("2015-01-04T08:00:00Z");
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!(company.taken(), 6_000);
    // A paid invoice that is taken back leaves a credit, which pays the next month.
    company.run(&credit(6_000, "c")).await.unwrap();
    company.set("2015-02-03T08:00:00Z");
    company.bill(account, "2015-01").await.unwrap();
    assert_eq!(company.taken(), 10_000);
    assert_eq!(company.record(account, "2015-01").await.bill.credit, usd(6_000));
    company.state(account).await;
}

async fn money_goes_back_once_per_reference_and_never_more_than_was_paid(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    company.bill(account, "2014-12").await.unwrap();
    for step in 1..=2 {
        assert!(company.attempt(&refund(3_000, "a"), Cut::DiesAt(step)).await.is_none());
    }
    company.gateway.script(When::Path("/v1/refunds"), Fault::BreakAfter, 1);
    drop(company.attempt(&refund(3_000, "a"), Cut::Never).await);
    if company.run(&refund(3_000, "a")).await.is_err() {
        company.run(&refund(3_000, "a")).await.unwrap();
    }
    company.run(&refund(3_000, "a")).await.unwrap();
    let refunded = || company.gateway.charges()[0].refunded_minor;
    assert_eq!(refunded(), 3_000);
    for wrong in [refund(7_001, "b"), refund(0, "b")] {
        assert!(is_permanent(&company.run(&wrong).await.unwrap_err()));
    }
    company.run(&refund(7_000, "b")).await.unwrap();
    assert_eq!(refunded(), 10_000);
    company.state(account).await;
}

/// By hand: the invoice is issued and mailed, and a person records what arrives.
async fn a_transfer_settles_its_invoice(engine: EngineKind) {
    let company = Company::by_hand(engine, AT, "").await;
    let account = company.account(1, &broadcast("basic")).await;
    let done = company.bill(account, "2014-12").await.unwrap();
    assert_eq!(done.result["reason"], "invoiced");
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!(company.mails().await, ["monthly_invoice"]);
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Pending);
    drop(company.attempt(&payment(4_000, "1"), Cut::Never).await.unwrap());
    company.run(&payment(4_000, "1")).await.unwrap();
    assert!(is_permanent(&company.run(&payment(6_001, "2")).await.unwrap_err()));
    assert!(is_permanent(&company.run(&payment(0, "2")).await.unwrap_err()));
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Pending);
    let done = company.run(&payment(6_000, "2")).await.unwrap();
    assert_eq!(done.result["open"]["minor"], 0);
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Paid);
    let after = company.state(account).await;
    company.run(&payment(6_000, "2")).await.unwrap();
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!(company.state(account).await, after);
}

/// What was asked for under a reference is not silently taken for something else.
async fn a_reference_stands_for_one_amount_of_one_invoice(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let paid = company.customer(1, "basic", TestCard::Good).await;
    company.bill(paid, "2014-12").await.unwrap(); // INV-000001
    let other = company.customer(2, "basic", TestCard::Declined).await;
    company.bill(other, "2014-12").await.unwrap(); // INV-000002
    let second = "INV-000002".to_owned();
    let transfer = |amount, reference: &str| RecordPayment {
        invoice: second.clone(),
        ..payment(amount, reference)
    };
    company.run(&refund(500, "r")).await.unwrap();
    company.run(&credit(600, "r")).await.unwrap();
    company.run(&transfer(700, "r")).await.unwrap();
    let state = company.state(paid).await;
    let euros = values::Money { minor: 1, currency: "EUR".parse().unwrap() };
    let of_other = IssueCreditNote { invoice: second.clone(), ..credit(600, "r") };
    let refused = [
        (company.run(&refund(700, "r")).await, "`r` was used for $5.00, not for $7.00"),
        (company.run(&credit(900, "r")).await, "`r` was used for $6.00, not for $9.00"),
        (company.run(&transfer(800, "r")).await, "`r` was used for $7.00, not for $8.00"),
        (company.run(&payment(700, "r")).await, "`r` was used for invoice INV-000002"),
        (company.run(&of_other).await, "`r` was used for invoice INV-000001"),
        (company.run(&refund(1, "")).await, "`reference` is empty"),
        (company.run(&credit(1, " ")).await, "`reference` is empty"),
        (company.run(&transfer(1, "a\nb")).await, "`reference` holds a line break"),
        (company.run(&refund(1, &"x".repeat(201))).await, "longer than 200 characters"),
        (company.run(&refund(1, "ticket 4711")).await, "`reference` of a refund has 1 to 100 of"),
        (company.run(&refund(1, "März")).await, "`reference` of a refund has 1 to 100 of"),
        (
            company.run(&RefundPayment { reason: String::new(), ..refund(1, "s") }).await,
            "`reason` is empty",
        ),
        (
            company.run(&IssueCreditNote { reason: String::new(), ..credit(1, "s") }).await,
            "`reason` is empty",
        ),
        (company.run(&WaiveMonth { reason: String::new(), ..waive(other) }).await, "`reason` is"),
        (
            company.run(&RefundPayment { amount: euros, ..refund(1, "s") }).await,
            "invoice INV-000001 is in USD",
        ),
        (
            company.run(&IssueCreditNote { amount: euros, ..credit(1, "s") }).await,
            "invoice INV-000001 is in USD",
        ),
        (
            company.run(&RecordPayment { amount: euros, ..transfer(1, "s") }).await,
            "invoice INV-000002 is in USD",
        ),
    ];
    for (result, told) in refused {
        let error = result.map(|done| done.result).unwrap_err();
        assert!(is_permanent(&error) && error.to_string().contains(told), "{error}");
    }
    company.run(&refund(500, "r")).await.unwrap();
    company.run(&credit(600, "r")).await.unwrap();
    company.run(&transfer(700, "r")).await.unwrap();
    assert_eq!(company.state(paid).await, state);
}

/// Who was asked for a transfer is charged by no run, and once if a person says so.
async fn a_month_that_waits_for_a_transfer_is_not_charged_as_well(engine: EngineKind) {
    let mut company = Company::by_hand(engine, AT, "").await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    company.bill(account, "2014-12").await.unwrap();
    company.pay_by_card();
    let done = company.bill(account, "2014-12").await.unwrap();
    assert_eq!((done.result["reason"].as_str(), company.taken()), (Some("invoiced"), 0));
    company.run(&payment(4_000, "1")).await.unwrap();
    company.set("2015-01-09T08:00:00Z");
    for reason in ["charged", "already_paid"] {
        let asked = contract::billing::InvoiceTrigger::Operator;
        let done = company.bill_as(account, "2014-12", asked).await.unwrap();
        assert_eq!((done.result["reason"].as_str(), company.taken()), (Some(reason), 6_000));
    }
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Paid);
    company.state(account).await;
}

/// A payment is booked on a day between its invoice's and today.
async fn a_transfer_arrives_neither_before_its_invoice_nor_later_than_now(engine: EngineKind) {
    let company = Company::by_hand(engine, AT, "").await;
    let account = company.account(1, &broadcast("basic")).await;
    company.bill(account, "2014-12").await.unwrap();
    let at = |at: &str| RecordPayment { received_at: at.parse().unwrap(), ..payment(100, at) };
    for (wrong, told) in [
        ("2036-11-20T00:00:00Z", "is to come"),
        ("2015-01-03T08:00:01Z", "is to come"),
        ("2015-01-02T23:59:59Z", "is before the invoice"),
        ("1036-11-20T00:00:00Z", "is before the invoice"),
    ] {
        let error = company.run(&at(wrong)).await.unwrap_err();
        assert!(is_permanent(&error) && error.to_string().contains(told), "{error}");
    }
    assert_eq!(
        company.number("SELECT count(*) FROM ledger_entry WHERE event LIKE 'pay%'").await,
        0
    );
    company.run(&at("2015-01-03T00:00:00Z")).await.unwrap();
}

/// What the gateway does not give back is told, and is not kept from a later refund.
async fn a_refund_that_is_refused_is_told_and_reserves_nothing(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    company.bill(account, "2014-12").await.unwrap();
    // Somebody gives the money back past the worker.
    let paid = company.texts("SELECT payment_id FROM payment_attempt").await.remove(0);
    let gateway = payments::Stripe::new(&company.gateway.settings(), "staging").unwrap();
    let elsewhere = payments::Refund {
        key: "elsewhere".to_owned(),
        payment: paid.parse().unwrap(),
        amount: usd(10_000),
        account,
    };
    payments::Gateway::Stripe(gateway).refund(&elsewhere).await.unwrap();
    let done = company.run(&refund(3_000, "a")).await.unwrap();
    assert_eq!(done.result, json!({ "outcome": "refused", "code": "charge_already_refunded" }));
    assert_eq!(company.texts("SELECT state FROM payment_refund").await, ["refused"]);
    assert_eq!(money::refunds_under_way(&company.db, "INV-000001").await.unwrap(), 0);
    assert_eq!(company.mails().await, ["monthly_invoice", "admin:charge_failed"]);
    let event = company.texts("SELECT data FROM admin_event").await.remove(0);
    assert!(event.contains("refund:charge_already_refunded"), "{event}");
    let booked = "SELECT count(*) FROM ledger_entry WHERE event LIKE 'refund/%'";
    assert_eq!(company.number(booked).await, 0);
}

/// Numbers have no gaps, whatever failed in between, also with several at once.
async fn numbers_are_given_without_gaps(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let mut accounts = Vec::new();
    for number in 1..=6 {
        let behaves = if number % 2 == 0 { TestCard::Good } else { TestCard::Declined };
        accounts.push(company.customer(number, "basic", behaves).await);
    }
    let without_card = company.account(7, &broadcast("basic")).await;
    company.bill(without_card, "2014-12").await.unwrap();
    let bill = async |account: AccountId| {
        while company.bill(account, "2014-12").await.is_err() {}
    };
    tokio::join!(
        bill(accounts[0]),
        bill(accounts[1]),
        bill(accounts[2]),
        bill(accounts[3]),
        bill(accounts[4]),
        bill(accounts[5])
    );
    let numbers = company.texts("SELECT number FROM invoice ORDER BY number").await;
    let expected: Vec<String> = (1..=6).map(|number| format!("INV-{number:06}")).collect();
    assert_eq!(numbers, expected);
    company.check_books().await;
}

/// What is given up is a loss beside the invoice; the throttle stays, and nobody is charged again.
async fn a_debt_that_is_written_off_is_asked_for_no_more(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Declined).await;
    company.bill(account, "2014-12").await.unwrap();
    let throttled_at = company.get(account).await.throttled_at;
    let off = |amount, reference: &str| WriteOffInvoice {
        invoice: "INV-000001".to_owned(),
        amount: usd(amount),
        reference: reference.to_owned(),
        reason: "insolvent".to_owned(),
    };
    for (wrong, told) in [
        (off(10_001, "a"), "only 10000 are left"),
        (off(0, "a"), "above zero"),
        (off(1, ""), "`reference`"),
    ] {
        let error = company.run(&wrong).await.map(|done| done.result).unwrap_err();
        assert!(is_permanent(&error) && error.to_string().contains(told), "{error}");
    }
    company.attempt(&off(4_000, "a"), Cut::DiesAt(1)).await;
    for _ in 0..2 {
        let done = company.run(&off(4_000, "a")).await.unwrap();
        assert_eq!(done.result["open"]["minor"], 6_000);
    }
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Failed);
    company.run(&off(6_000, "b")).await.unwrap();
    let record = company.record(account, "2014-12").await;
    assert_eq!((record.state, &*record.reason), (RecordState::Waived, "insolvent"));
    assert_eq!(company.get(account).await.throttled_at, throttled_at);
    company.set("2015-01-06T08:00:00Z");
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!(company.taken(), 0);
    let books = money::balances(&company.db, None).await.unwrap();
    let of = |account| books.of(account, Currency::USD);
    assert_eq!(of(LedgerAccount::WriteOff), 10_000);
    assert_eq!((of(LedgerAccount::Receivable), of(LedgerAccount::Revenue)), (0, -10_000));
    company.check_books().await;
}

/// The gateway's fee leaves the invoice as it is.
async fn a_fee_is_booked_once(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    company.bill(account, "2014-12").await.unwrap();
    let fee = |amount, reference: &str| RecordFee {
        invoice: "INV-000001".to_owned(),
        amount: usd(amount),
        reference: reference.to_owned(),
        charged_at: AT.parse().unwrap(),
    };
    let late = RecordFee { charged_at: "2015-01-03T08:00:01Z".parse().unwrap(), ..fee(1, "b") };
    let invoice =
        async || money::by_number(&company.db, "INV-000001").await.unwrap().unwrap().balance;
    let before = invoice().await;
    for booked in [true, false] {
        let done = company.run(&fee(320, "a")).await.unwrap();
        assert_eq!(done.result["booked"], booked);
    }
    for (wrong, told) in [
        (fee(330, "a"), "`a` was used for $3.20"),
        (fee(0, "b"), "above zero"),
        (late, "chargedAt 2015-01-03T08:00:01Z is to come"),
    ] {
        let error = company.run(&wrong).await.map(|done| done.result).unwrap_err();
        assert!(is_permanent(&error) && error.to_string().contains(told), "{error}");
    }
    assert_eq!(invoice().await, before);
    let books = money::balances(&company.db, None).await.unwrap();
    let of = |account| books.of(account, Currency::USD);
    assert_eq!((of(LedgerAccount::Fees), of(LedgerAccount::Cash)), (320, 9_680));
    assert_eq!(books.difference(Currency::USD), 0);
}

testkit::on_each_engine!(
    a_debt_that_is_written_off_is_asked_for_no_more,
    a_fee_is_booked_once,
    a_waived_month_is_never_charged,
    a_waiver_after_the_invoice_is_a_credit_note_in_its_own_series,
    credit_notes_take_back_at_most_the_invoice_once_per_reference,
    money_goes_back_once_per_reference_and_never_more_than_was_paid,
    a_transfer_settles_its_invoice,
    a_reference_stands_for_one_amount_of_one_invoice,
    a_month_that_waits_for_a_transfer_is_not_charged_as_well,
    a_transfer_arrives_neither_before_its_invoice_nor_later_than_now,
    a_refund_that_is_refused_is_told_and_reserves_nothing,
    numbers_are_given_without_gaps,
);
