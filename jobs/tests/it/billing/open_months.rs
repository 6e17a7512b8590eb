//! A customer adds a card and pays what is open.

use billing::RecordState;
use contract::billing::CollectOpenMonths;
use database::{EngineKind, Query};
use job::JobError;
use models::{ThrottledReason, throttles};
use payments::scripted::TestCard;
use testkit::Cut;
use values::AccountId;

use super::{Company, broadcast, month, usd};

const AT: &str = "2015-02-03T08:00:00Z";

/// An account without a card whose two months are open, throttled for want of a card.
async fn two_open(engine: EngineKind) -> (Company, AccountId) {
    let company = Company::new(engine, AT).await;
    let account = company.account(1, &broadcast("basic")).await;
    for of in ["2014-12", "2015-01"] {
        let done = company.bill(account, of).await.unwrap();
        assert_eq!(done.result["reason"], "no_card");
    }
    let mut work = company.db.begin().await.unwrap();
    let since = (company.now(), ThrottledReason::OverLimit);
    throttles::throttle(&mut work.tx(), account, since, company.now()).await.unwrap();
    work.commit().await.unwrap();
    (company, account)
}

fn agree(account_id: AccountId, total: i64) -> CollectOpenMonths {
    let months = vec![month("2014-12"), month("2015-01")];
    CollectOpenMonths { account_id, months, agreed_total: usd(total) }
}

/// Fault 9: a month without a card is open, not waived, and is collected when there is a card.
async fn a_new_card_pays_the_agreed_months_and_lifts_the_throttle(engine: EngineKind) {
    let (company, account) = two_open(engine).await;
    assert_eq!(company.number("SELECT count(*) FROM invoice").await, 0);
    company.card(account, TestCard::Good).await;
    // The run does not charge what the customer has not agreed to.
    let done = company.bill(account, "2014-12").await.unwrap();
    assert_eq!(done.result["reason"], "account_throttled");
    for step in [1, 2, 3, 5] {
        company.attempt(&agree(account, 20_000), Cut::DiesAt(step)).await;
    }
    drop(company.attempt(&agree(account, 20_000), Cut::Never).await.unwrap().unwrap());
    let done = company.run(&agree(account, 20_000)).await.unwrap();
    company.send(&done).await;
    assert_eq!(done.result["paid"], true);
    assert_eq!((company.gateway.charges().len(), company.taken()), (2, 20_000));
    for of in ["2014-12", "2015-01"] {
        assert_eq!(company.record(account, of).await.state, RecordState::Paid);
    }
    assert_eq!(company.get(account).await.throttled_at, None);
    assert_eq!(
        company.mails().await,
        ["monthly_invoice", "monthly_invoice", "throttle_lifted", "admin:throttle_lifted"]
    );
    let after = company.state(account).await;
    company.run(&agree(account, 20_000)).await.unwrap();
    assert_eq!(company.state(account).await, after);
}

async fn another_total_than_the_agreed_one_charges_nothing(engine: EngineKind) {
    let (company, account) = two_open(engine).await;
    company.card(account, TestCard::Good).await;
    for wrong in [
        agree(account, 19_999),
        CollectOpenMonths { months: vec![month("2014-11")], ..agree(account, 0) },
        agree(AccountId::new(company.now(), [9; 10]), 20_000),
    ] {
        let error = company.run(&wrong).await.unwrap_err();
        assert!(matches!(error, JobError::Permanent(_)), "{error}");
    }
    let error = company.run(&agree(account, 19_999)).await.unwrap_err();
    let told = "the months add up to $200.00, the customer agreed to $199.99";
    assert_eq!(error.to_string(), told);
    assert_eq!(company.taken(), 0);
    assert!(company.get(account).await.throttled_at.is_some());
}

/// The customer's word is needed, and a refused month that is left keeps the throttle.
async fn a_throttle_ends_only_when_no_refused_month_is_left(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.account(1, &broadcast("basic")).await;
    let card = company.card(account, TestCard::Declined).await;
    for of in ["2014-12", "2015-01"] {
        company.bill(account, of).await.unwrap();
    }
    let throttled_at = company.get(account).await.throttled_at;
    assert!(throttled_at.is_some());
    company.gateway.set_card(&card, TestCard::Good);
    let nothing = CollectOpenMonths { months: Vec::new(), ..agree(account, 0) };
    let error = company.run(&nothing).await.unwrap_err();
    assert_eq!(error.to_string(), "`months` is empty; name those the customer agreed to");
    let half = CollectOpenMonths { months: vec![month("2015-01")], ..agree(account, 10_000) };
    let done = company.run(&half).await.unwrap();
    assert_eq!((done.result["paid"].as_bool(), company.taken()), (Some(true), 10_000));
    assert_eq!(company.get(account).await.throttled_at, throttled_at);
    company.db.execute(Query::new("DELETE FROM effect")).await.unwrap(); // it is another task
    let rest = CollectOpenMonths { months: vec![month("2014-12")], ..agree(account, 10_000) };
    company.run(&rest).await.unwrap();
    assert_eq!((company.get(account).await.throttled_at, company.taken()), (None, 20_000));
}

async fn a_declined_new_card_leaves_the_throttle(engine: EngineKind) {
    let (company, account) = two_open(engine).await;
    company.card(account, TestCard::Declined).await;
    let done = company.run(&agree(account, 20_000)).await.unwrap();
    company.send(&done).await;
    assert_eq!(done.result["paid"], false);
    assert_eq!(company.taken(), 0);
    assert!(company.get(account).await.throttled_at.is_some());
    assert_eq!(company.record(account, "2015-01").await.state, RecordState::Failed);
    company.state(account).await;
}

testkit::on_each_engine!(
    a_new_card_pays_the_agreed_months_and_lifts_the_throttle,
    another_total_than_the_agreed_one_charges_nothing,
    a_throttle_ends_only_when_no_refused_month_is_left,
    a_declined_new_card_leaves_the_throttle,
);
