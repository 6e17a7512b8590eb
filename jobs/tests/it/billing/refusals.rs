//! Cards that are declined, and what cannot be billed.

use billing::RecordState;
use contract::billing::{InvoiceAccount, InvoiceTrigger};
use database::{EngineKind, Query};
use models::billing::{self as money, BillingDetails, PaymentCard};
use models::{ThrottledReason, accounts, throttles};
use payments::scripted::TestCard;
use values::Span;

use super::{Company, broadcast, month};

const AT: &str = "2015-01-03T08:00:00Z";

/// Faults 4, 7 and 10: the grace date is fixed once, a decline is told by the gateway's code, and
/// what was paid at last is not charged again.
async fn a_declined_card_is_tried_on_days_one_and_three_and_in_the_last_hour(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.account(1, &broadcast("basic")).await;
    let card = company.card(account, TestCard::InsufficientFunds).await;
    let grace = company.now().after(billing::GRACE);
    let mut tries = Vec::new();
    let mut next = company.now();
    for attempt in 1..=4 {
        company.clock.set(next);
        let done = company.bill(account, "2014-12").await.unwrap();
        assert_eq!(done.result["reason"], "card_declined");
        assert_eq!(company.record(account, "2014-12").await.refusals, attempt);
        assert_eq!(company.get(account).await.throttled_at, Some(grace));
        let due = done.follow_ups.iter().find(|task| task.job == "billing/invoice_account");
        let Some(due) = due.and_then(|task| task.options.run_at) else { break };
        // Asked for in between, by the daily run, it waits.
        company.clock.set(due.before(Span::from_minutes(1)));
        let early = company.bill(account, "2014-12").await.unwrap();
        assert_eq!(early.result["reason"], "retry_not_due");
        tries.push(due.to_string());
        next = due;
    }
    assert_eq!(tries, ["2015-01-04T08:00:00Z", "2015-01-06T08:00:00Z", "2015-01-07T07:00:00Z"]);
    let told = company.mails().await;
    assert_eq!(told.iter().filter(|kind| *kind == "card_declined").count(), 1);
    assert_eq!(told.iter().filter(|kind| *kind == "admin:card_declined").count(), 4);
    assert_eq!(told.iter().filter(|kind| *kind == "admin:throttled").count(), 1);

    // A person tries again once there is money: paid, and the throttle ends.
    company.gateway.set_card(&card, TestCard::Good);
    company.set("2015-01-08T00:00:00Z");
    let done = company.bill_as(account, "2014-12", InvoiceTrigger::Operator).await.unwrap();
    assert_eq!(done.result["reason"], "charged");
    assert_eq!(company.get(account).await.throttled_at, None);
    assert_eq!((company.gateway.charges().len(), company.taken()), (1, 10_000));
    assert_eq!(company.number("SELECT count(*) FROM invoice").await, 1);
    let again = company.bill(account, "2014-12").await.unwrap();
    assert_eq!(again.result["reason"], "already_paid");
    assert_eq!((company.gateway.charges().len(), company.taken()), (1, 10_000));
    company.state(account).await;
}

async fn strong_authentication_has_its_own_mail_and_exempt_accounts_stay(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let strict = company.customer(1, "basic", TestCard::AuthenticationRequired).await;
    let exempt = company.customer(2, "basic", TestCard::Declined).await;
    let mut account = company.get(exempt).await;
    account.unthrottleable = true;
    let mut work = company.db.begin().await.unwrap();
    accounts::upsert_many(&mut work.tx(), &[account]).await.unwrap();
    work.commit().await.unwrap();
    company.bill(strict, "2014-12").await.unwrap();
    company.bill(exempt, "2014-12").await.unwrap();
    assert!(company.get(strict).await.throttled_at.is_some());
    assert_eq!(company.get(exempt).await.throttled_at, None);
    let mut told = company.mails().await;
    told.sort();
    assert_eq!(
        told,
        [
            "admin:card_declined",
            "admin:exempt_declined",
            "admin:throttled",
            "authentication_needed"
        ]
    );
}

/// Nothing was sent, so nothing is under way: with a card that can be one, the month is charged.
async fn an_id_that_the_gateway_cannot_have_ends_its_attempt(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    let card = company.texts("SELECT id FROM payment_card").await.remove(0);
    let change = |from: &str, to: &str| {
        let query = Query::new("UPDATE payment_card SET id = $2 WHERE id = $1");
        company.db.execute(query.bind(from.to_owned()).bind(to.to_owned()))
    };
    let stored = money::card(&company.db, &card).await.unwrap().unwrap();
    let mut work = company.db.begin().await.unwrap();
    let wrong = PaymentCard { id: "pm_1&amount=1".to_owned(), ..stored };
    let of_card = money::set_card(&mut work.tx(), account, &wrong).await.unwrap_err();
    let of_customer = money::set_customer(&mut work.tx(), account, "", company.now()).await;
    for error in [of_card, of_customer.unwrap_err()] {
        assert!(error.to_string().contains("1 to 255 letters, digits and underscores"), "{error}");
    }
    drop(work);
    change(&card, "pm_1&amount=1").await.unwrap();
    let done = company.bill(account, "2014-12").await.unwrap();
    assert_eq!(done.result["reason"], "gateway_error");
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Failed);
    assert_eq!(company.mails().await, ["admin:charge_failed"]);
    assert_eq!(company.gateway.requests().len(), 0);
    change("pm_1&amount=1", &card).await.unwrap();
    let done = company.bill_as(account, "2014-12", InvoiceTrigger::Operator).await.unwrap();
    assert_eq!(done.result["reason"], "charged");
    assert_eq!(company.taken(), 10_000);
    assert_eq!(company.texts("SELECT number FROM invoice").await, ["INV-000001"]);
    company.state(account).await;
}

/// Who was let in with a name that turns the direction of reading is mailed all the same.
async fn a_name_of_any_letters_gets_its_mail(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let id = company.customer(1, "basic", TestCard::Good).await;
    let account = company.get(id).await;
    let name = "Otter \u{202e}Lane\u{202c}\u{2028}".to_owned();
    let mut work = company.db.begin().await.unwrap();
    accounts::upsert_many(&mut work.tx(), &[models::Account { name, ..account }]).await.unwrap();
    work.commit().await.unwrap();
    company.bill(id, "2014-12").await.unwrap();
    let names = company.texts("SELECT recipient_name FROM outgoing_email").await;
    assert_eq!(names, ["Otter Lane"]);
}

/// Fault 20: what cannot be billed is an error or a reason of its own row; the others are billed.
async fn bad_rows_stay_alone(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let unknown = company.customer(1, "gold", TestCard::Good).await;
    let negative = company.customer(2, "basic", TestCard::Good).await;
    company.usage(negative, month("2014-12"), [-1, 0, 0]).await;
    let absurd = company.customer(3, "basic", TestCard::Good).await;
    company.usage(absurd, month("2014-12"), [i64::MAX; 3]).await;
    let nowhere = company.customer(4, "basic", TestCard::Good).await;
    let mut account = company.get(nowhere).await;
    account.billing_email = None;
    account.name = "<script>alert(1)</script>".repeat(100);
    let mut work = company.db.begin().await.unwrap();
    accounts::upsert_many(&mut work.tx(), &[account]).await.unwrap();
    work.commit().await.unwrap();

    let close = contract::billing::CloseMonth { month: Some(month("2014-12")), after: None };
    let done = company.run(&close).await.unwrap();
    let asked = done.follow_ups_of::<InvoiceAccount>();
    assert_eq!(asked.len(), 4);
    let mut ends = Vec::new();
    for task in asked {
        let id = task.account_id;
        ends.push((id, company.bill(id, "2014-12").await.map(|done| done.result)));
    }
    let of = |id| &ends.iter().find(|(account, _)| *account == id).unwrap().1;
    assert_eq!(of(unknown).as_ref().unwrap()["reason"], "unknown_plan");
    let error = of(negative).as_ref().unwrap_err();
    assert!(matches!(error, job::JobError::Permanent(_)));
    assert!(error.to_string().contains("cannot be billed"), "{error}");
    assert_eq!(of(absurd).as_ref().unwrap()["reason"], "charged");
    assert_eq!(of(nowhere).as_ref().unwrap()["reason"], "charged");
    assert_eq!(company.taken(), 20_000);
    let mut told = company.mails().await;
    told.sort();
    assert_eq!(told, ["admin:mail_refused", "admin:unknown_plan", "monthly_invoice"]);
    assert_eq!(company.number("SELECT count(*) FROM invoice_file").await, 2);
    // Nothing half done: the account whose usage cannot be has neither record nor invoice.
    assert_eq!(money::record(&company.db, negative, month("2014-12")).await.unwrap(), None);
    company.check_books().await;
}

/// Fault 5, and what is asked for too early.
async fn months_before_the_account_and_months_that_run_are_not_billed(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    let done = company.bill(account, "2014-03").await.unwrap();
    assert_eq!(done.result["reason"], "not_active_in_month");
    let error = company.bill(account, "2015-01").await.unwrap_err();
    assert!(matches!(error, job::JobError::Permanent(_)), "{error}");
    let stranger = values::AccountId::new(company.now(), [99; 10]);
    let error = company.bill(stranger, "2014-12").await.unwrap_err();
    assert!(error.to_string().starts_with("there is no account"), "{error}");
    assert_eq!(company.taken(), 0);
}

/// A card that goes away while a charge has no end: it is looked up, never made.
async fn a_charge_without_an_end_is_looked_up_when_the_card_is_gone(engine: EngineKind) {
    for has_charged in [true, false] {
        let company = Company::new(engine, AT).await;
        let account = company.customer(1, "basic", TestCard::Good).await;
        let asked = InvoiceAccount {
            account_id: account,
            month: month("2014-12"),
            trigger: InvoiceTrigger::MonthlyRun,
        };
        if has_charged {
            drop(company.attempt(&asked, testkit::Cut::Never).await);
            company.db.execute(database::Query::new("DELETE FROM effect")).await.unwrap();
        } else {
            assert!(company.attempt(&asked, testkit::Cut::DiesAt(1)).await.is_none());
        }
        let gone = database::Query::new("UPDATE payment_card SET deleted_at = 1");
        company.db.execute(gone).await.unwrap();
        let done = company.bill(account, "2014-12").await.unwrap();
        let reason = if has_charged { "charged" } else { "no_card" };
        assert_eq!(done.result["reason"], reason);
        assert_eq!(company.gateway.charges().len(), usize::from(has_charged));
        company.state(account).await;
    }
}

/// Tax is taken once per invoice, rounded half up, and the ledger keeps it apart.
async fn tax_of_the_country_is_charged_and_kept_apart(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "solo", TestCard::Good).await;
    let details = BillingDetails {
        country: Some("DE".to_owned()),
        legal_name: Some("Żółw sp. z o.o.".to_owned()),
        address: Some("Hafenstraße 1\n20457 Hamburg".to_owned()),
        tax_id: Some("DE123456789".to_owned()),
        po_number: Some("PO 7".to_owned()),
        copy_addresses: vec!["books@customer.example".to_owned()],
        ..BillingDetails::default()
    };
    let mut work = company.db.begin().await.unwrap();
    money::set_details(&mut work.tx(), account, &details, company.now()).await.unwrap();
    work.commit().await.unwrap();
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!(company.taken(), 2_380);
    let books = money::balances(&company.db, Some(month("2014-12"))).await.unwrap();
    let of = |account| books.of(account, values::Currency::USD);
    assert_eq!(of(billing::LedgerAccount::Tax), -380);
    assert_eq!(of(billing::LedgerAccount::Revenue), -2_000);
    assert_eq!(of(billing::LedgerAccount::Cash), 2_380);
    assert_eq!(company.mails().await, ["monthly_invoice"; 2]);
}

/// Fault 10: an account in its time of grace is billed; one that is throttled is left out by the
/// run, and billed when a person asks.
async fn a_throttle_to_come_keeps_nobody_from_being_billed(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    let mut work = company.db.begin().await.unwrap();
    let tx = &mut work.tx();
    let due = company.now().after(Span::from_hours(1));
    let reason = ThrottledReason::OverLimit;
    throttles::throttle(tx, account, (due, reason), company.now()).await.unwrap();
    work.commit().await.unwrap();
    company.set("2015-01-03T09:00:00Z");
    let late = company.bill(account, "2014-12").await.unwrap();
    assert_eq!(late.result["reason"], "account_throttled");
    company.set("2015-01-03T08:59:59Z");
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::Paid);
    // Another reason's throttle is not ended by paying.
    assert_eq!(company.get(account).await.throttled_at, Some(due));
}

/// Faults 10 and 11: the run asks for an account in its time of grace, and for one that is throttled
/// until its month is settled.
async fn the_month_of_a_throttled_account_stays_open(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    let mut work = company.db.begin().await.unwrap();
    let due = (company.now().after(Span::from_hours(1)), ThrottledReason::OverLimit);
    throttles::throttle(&mut work.tx(), account, due, company.now()).await.unwrap();
    work.commit().await.unwrap();
    let close = contract::billing::CloseMonth { month: Some(month("2014-12")), after: None };
    let asked = async || {
        let done = company.run(&close).await.unwrap();
        done.follow_ups_of::<InvoiceAccount>().len()
    };
    assert_eq!(asked().await, 1, "in grace");
    company.clock.advance(Span::from_hours(1));
    let done = company.bill(account, "2014-12").await.unwrap();
    assert_eq!(done.result["reason"], "account_throttled");
    assert_eq!((asked().await, company.taken()), (1, 0));
    let mut work = company.db.begin().await.unwrap();
    assert!(throttles::lift(&mut work.tx(), account, None, company.now()).await.unwrap().is_some());
    work.commit().await.unwrap();
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!((asked().await, company.taken()), (0, 10_000));
}

testkit::on_each_engine!(
    a_declined_card_is_tried_on_days_one_and_three_and_in_the_last_hour,
    strong_authentication_has_its_own_mail_and_exempt_accounts_stay,
    an_id_that_the_gateway_cannot_have_ends_its_attempt,
    a_name_of_any_letters_gets_its_mail,
    bad_rows_stay_alone,
    months_before_the_account_and_months_that_run_are_not_billed,
    a_charge_without_an_end_is_looked_up_when_the_card_is_gone,
    tax_of_the_country_is_charged_and_kept_apart,
    a_throttle_to_come_keeps_nobody_from_being_billed,
    the_month_of_a_throttled_account_stays_open,
);
