//! Attempts that are cut off, answers that are lost, and workers that do the same at once.

use billing::RecordState;
use contract::billing::{InvoiceAccount, InvoiceTrigger, SendInvoice};
use database::{EngineKind, Query};
use models::billing as money;
use payments::scripted::{Fault, TestCard, When};
use testkit::Cut;
use values::AccountId;

use super::{Company, month};

const AT: &str = "2015-01-03T08:00:00Z";

fn ask(account_id: AccountId) -> InvoiceAccount {
    InvoiceAccount { account_id, month: month("2014-12"), trigger: InvoiceTrigger::MonthlyRun }
}

/// A company with one customer.
async fn one(engine: EngineKind, behaves: TestCard) -> (Company, AccountId) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", behaves).await;
    (company, account)
}

/// Fault 4: no key, no lock, no unique records.
async fn a_cut_at_every_step_ends_as_if_nothing_had_happened(engine: EngineKind) {
    for behaves in [TestCard::Good, TestCard::Declined, TestCard::AuthenticationRequired] {
        let (calm, account) = one(engine, behaves).await;
        calm.bill(account, "2014-12").await.unwrap();
        let (expected, taken) = (calm.state(account).await, calm.taken());
        for step in 1..=2 {
            let (cut, account) = one(engine, behaves).await;
            assert!(cut.attempt(&ask(account), Cut::DiesAt(step)).await.is_none());
            cut.bill(account, "2014-12").await.unwrap();
            assert_eq!(cut.state(account).await, expected, "{behaves:?} cut at {step}");
            assert_eq!(cut.taken(), taken, "{behaves:?} cut at {step}");
        }
        let (lost, account) = one(engine, behaves).await;
        drop(lost.attempt(&ask(account), Cut::Never).await.unwrap().unwrap());
        lost.bill(account, "2014-12").await.unwrap();
        assert_eq!(lost.state(account).await, expected, "{behaves:?}: the settlement was lost");
        assert_eq!(lost.taken(), taken);
    }
}

/// Fault 4: a lost answer is asked for again under the same key.
async fn a_charge_whose_answer_was_lost_is_found_again(engine: EngineKind) {
    for fault in
        [Fault::BreakAfter, Fault::BadGateway, Fault::TooManyRequests { retry_after: None }]
    {
        let (company, account) = one(engine, TestCard::Good).await;
        company.gateway.script(When::Charge, fault.clone(), 1);
        if company.bill(account, "2014-12").await.is_err() {
            company.bill(account, "2014-12").await.unwrap();
        }
        assert_eq!(company.gateway.charges().len(), 1, "{fault:?}");
        assert_eq!(company.record(account, "2014-12").await.state, RecordState::Paid);
        company.state(account).await;
    }
}

/// Without the gateway's configuration nobody can say whether it was paid: it is not asked for again.
async fn a_charge_whose_answer_was_lost_waits_for_its_gateway(engine: EngineKind) {
    // The intent is stored; the gateway has answered.
    for (dies_at, taken) in [(1, 0), (2, 10_000)] {
        let (mut company, account) = one(engine, TestCard::Good).await;
        assert!(company.attempt(&ask(account), Cut::DiesAt(dies_at)).await.is_none());
        assert_eq!(company.taken(), taken);
        company.unconfigure("payments");
        let error = company.bill(account, "2014-12").await.unwrap_err();
        assert!(error.to_string().contains("`payments` must be configured"), "{error}");
        let record = company.record(account, "2014-12").await;
        assert_eq!((record.state, record.reason.as_str()), (RecordState::Pending, "charge"));
        company.pay_by_card();
        company.bill(account, "2014-12").await.unwrap();
        assert_eq!((company.gateway.charges().len(), company.taken()), (1, 10_000));
        assert_eq!(company.record(account, "2014-12").await.state, RecordState::Paid);
        company.state(account).await;
    }
}

/// A gateway forgets a key after a day; the payment is looked up before anything is charged.
async fn after_a_day_the_payment_is_looked_up_and_not_made_again(engine: EngineKind) {
    for behaves in [TestCard::Good, TestCard::Declined, TestCard::AuthenticationRequired] {
        let (calm, account) = one(engine, behaves).await;
        let reason = calm.bill(account, "2014-12").await.unwrap().result["reason"].clone();
        // With the effect, whose end was lost, and without, as with a restored database.
        for effect_is_lost in [false, true] {
            let (company, account) = one(engine, behaves).await;
            drop(company.attempt(&ask(account), Cut::Never).await.unwrap().unwrap());
            assert_eq!(company.effects().await, ["doing"]);
            if effect_is_lost {
                company.db.execute(Query::new("DELETE FROM effect")).await.unwrap();
            }
            company.gateway.forget_keys();
            company.set("2015-01-04T09:00:00Z");
            let done = company.bill(account, "2014-12").await.unwrap();
            assert_eq!(done.result["reason"], reason, "{behaves:?}");
            assert_eq!(company.gateway.charges().len(), calm.gateway.charges().len());
            assert_eq!(company.effects().await, ["done"]);
            company.state(account).await;
        }
    }
}

/// Fault 4 again: two workers bill the same months at the same time.
async fn two_at_once_charge_once(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let mut all = Vec::new();
    for number in 1..=10 {
        all.push(company.customer(number, "basic", TestCard::Good).await);
    }
    let worker = async || {
        for account in &all {
            for _ in 0..5 {
                // The other may hold the key; then it is asked again.
                if company.bill(*account, "2014-12").await.is_ok() {
                    break;
                }
            }
        }
    };
    tokio::join!(worker(), worker());
    for account in &all {
        company.bill(*account, "2014-12").await.unwrap();
        assert_eq!(company.record(*account, "2014-12").await.state, RecordState::Paid);
    }
    assert_eq!((company.gateway.charges().len(), company.taken()), (10, 100_000));
    assert_eq!(company.number("SELECT count(*) FROM invoice").await, 10);
    assert_eq!(company.number("SELECT count(*) FROM outgoing_email").await, 10);
    company.check_books().await;
}

async fn the_pdf_is_made_once_and_mailed_once(engine: EngineKind) {
    let (company, account) = one(engine, TestCard::Good).await;
    let done = company.run(&ask(account)).await.unwrap();
    let [task] = &done.follow_ups_of::<SendInvoice>()[..] else { panic!("{done:?}") };
    assert!(company.attempt(task, Cut::DiesAt(1)).await.is_none());
    drop(company.attempt(task, Cut::Never).await.unwrap().unwrap());
    assert_eq!(company.number("SELECT count(*) FROM invoice_file").await, 0);
    company.run(task).await.unwrap();
    let made = money::file(&company.db, &task.number).await.unwrap().unwrap();
    assert!(made.starts_with(b"%PDF-1.7"));
    company.run(task).await.unwrap();
    assert_eq!(money::file(&company.db, &task.number).await.unwrap().unwrap(), made);
    assert_eq!(company.mails().await, ["monthly_invoice"]);
    let attached =
        company.number("SELECT count(*) FROM email_attachment WHERE name = 'INV-000001.pdf'").await;
    assert_eq!(attached, 1);
    let error = company.run(&SendInvoice { number: "INV-9".to_owned() }).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no document INV-9");
}

testkit::on_each_engine!(
    a_cut_at_every_step_ends_as_if_nothing_had_happened,
    a_charge_whose_answer_was_lost_is_found_again,
    a_charge_whose_answer_was_lost_waits_for_its_gateway,
    after_a_day_the_payment_is_looked_up_and_not_made_again,
    two_at_once_charge_once,
    the_pdf_is_made_once_and_mailed_once,
);
