//! What the gateway tells later, in any order and as often as it likes.

use billing::RecordState;
use contract::billing::{ApplyGatewayEvent, InvoiceAccount, InvoiceTrigger};
use database::{EngineKind, Query};
use models::billing::{self as money, GatewayEvent};
use payments::scripted::TestCard;
use serde_json::Value;
use testkit::Cut;
use values::AccountId;

use super::{Company, month};

const AT: &str = "2015-01-03T08:00:00Z";

/// Keeps the gateway's events as the door does, and returns their ids.
async fn keep(company: &Company) -> Vec<String> {
    let mut ids = Vec::new();
    for body in company.gateway.events() {
        let body: Value = serde_json::from_str(&body).unwrap();
        let about = &body["data"]["object"];
        let is_payment = about["object"] == "payment_intent";
        let event = GatewayEvent {
            id: body["id"].as_str().unwrap().to_owned(),
            name: body["type"].as_str().unwrap().to_owned(),
            payment: about["id"].as_str().filter(|_| is_payment).map(str::to_owned),
            created_at: company.now(),
            applied_at: None,
        };
        let mut work = company.db.begin().await.unwrap();
        let is_new = money::keep_event(&mut work.tx(), &event, company.now()).await.unwrap();
        assert!(is_new);
        assert!(!money::keep_event(&mut work.tx(), &event, company.now()).await.unwrap());
        work.commit().await.unwrap();
        ids.push(event.id);
    }
    ids
}

/// A month whose charge was made and never noted.
async fn unknown_end(engine: EngineKind, behaves: TestCard) -> (Company, AccountId) {
    let company = Company::new(engine, AT).await;
    let account_id = company.customer(1, "basic", behaves).await;
    let asked =
        InvoiceAccount { account_id, month: month("2014-12"), trigger: InvoiceTrigger::MonthlyRun };
    drop(company.attempt(&asked, Cut::Never).await);
    company.db.execute(Query::new("DELETE FROM effect")).await.unwrap();
    (company, account_id)
}

async fn a_late_result_settles_the_month_once(engine: EngineKind) {
    for (behaves, state) in
        [(TestCard::Good, RecordState::Paid), (TestCard::Declined, RecordState::Failed)]
    {
        let (company, account) = unknown_end(engine, behaves).await;
        let events = keep(&company).await;
        assert!(!events.is_empty());
        for event_id in events.iter().rev().chain(&events) {
            let event = ApplyGatewayEvent { event_id: event_id.clone() };
            drop(company.attempt(&event, Cut::DiesAt(1)).await);
            let done = company.run(&event).await.unwrap();
            company.send(&done).await;
        }
        assert_eq!(company.record(account, "2014-12").await.state, state);
        let after = company.state(account).await;
        let again = ApplyGatewayEvent { event_id: events[0].clone() };
        let done = company.run(&again).await.unwrap();
        assert_eq!(done.result["result"], "already_applied");
        company.bill(account, "2014-12").await.unwrap();
        assert_eq!(company.state(account).await, after);
        assert!(company.gateway.charges().len() <= 1);
    }
}

async fn an_event_about_nothing_of_ours_changes_nothing(engine: EngineKind) {
    let (company, account) = unknown_end(engine, TestCard::Good).await;
    let before = company.state_of_rows(account).await;
    for (id, payment) in [("evt_none", None), ("evt_strange", Some("pi_strange"))] {
        let event = GatewayEvent {
            id: id.to_owned(),
            name: "payment_intent.succeeded".to_owned(),
            payment: payment.map(str::to_owned),
            created_at: company.now(),
            applied_at: None,
        };
        let mut work = company.db.begin().await.unwrap();
        money::keep_event(&mut work.tx(), &event, company.now()).await.unwrap();
        work.commit().await.unwrap();
        let done = company.run(&ApplyGatewayEvent { event_id: id.to_owned() }).await.unwrap();
        assert_eq!(done.result["result"], "nothing_to_do");
    }
    assert_eq!(company.state_of_rows(account).await, before);
    let unknown = ApplyGatewayEvent { event_id: "evt_unkept".to_owned() };
    let error = company.run(&unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no such event in the inbox");
}

testkit::on_each_engine!(
    a_late_result_settles_the_month_once,
    an_event_about_nothing_of_ours_changes_nothing,
);
