//! The acceptance cases of the bill, each through the real job.

use billing::AccountPlans;
use contract::billing::{InvoiceAccount, InvoiceTrigger};
use database::EngineKind;
use models::billing::{self as money, BillingRecord, PaymentCard};
use models::{Account, BillingProvider, ThrottledReason};
use payments::scripted::TestCard;
use serde_json::{Value, json};
use testkit::Cut;
use values::{AccountId, Month, Timestamp};

use super::Company;

const CASES: &str = include_str!("../../../../shared/billing/tests/cases/billing.json");

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| text.parse().unwrap())
}

fn month(case: &Value) -> Month {
    case["month"].as_str().unwrap().parse().unwrap()
}

/// Stores the account of a case with what it holds, what it used, and its cards.
async fn store(company: &Company, case: &Value) -> AccountId {
    let of = &case["account"];
    let created = time(&of["createdAt"]).unwrap();
    let id = AccountId::new(created, [7; 10]);
    let reason = of["throttledReason"].as_str();
    let account = Account {
        id,
        name: of["name"].as_str().unwrap().to_owned(),
        billing_email: of["billingEmail"].as_str().map(str::to_owned),
        billing_provider: of["billingProvider"]
            .as_str()
            .unwrap()
            .parse::<BillingProvider>()
            .unwrap(),
        unthrottleable: false,
        throttled_at: time(&of["throttledAt"]),
        throttled_reason: reason.map(|word| word.parse::<ThrottledReason>().unwrap()),
        created_at: created,
        updated_at: created,
        deleted_at: time(&of["deletedAt"]),
    };
    let held: AccountPlans = serde_json::from_value(of["productPlans"].clone()).unwrap();
    company.put(&account, &held).await;
    let figure = |name: &str| case["usage"][name].as_i64().unwrap_or(0);
    let used = [figure("bandwidth"), figure("storage"), figure("peerMilliseconds")];
    company.usage(id, month(case), used).await;
    if of["stripeCustomerId"].is_string() {
        let customer = company.gateway.add_customer();
        let behaves = match case["gateway"]["result"].as_str().unwrap() {
            "declined" => TestCard::InsufficientFunds,
            _ => TestCard::Good,
        };
        let mut work = company.db.begin().await.unwrap();
        let tx = &mut work.tx();
        money::set_customer(tx, id, customer.as_str(), created).await.unwrap();
        for card in of["cards"].as_array().unwrap() {
            let card = PaymentCard {
                id: company.gateway.add_card(&customer, behaves).to_string(),
                brand: "visa".to_owned(),
                last4: "4242".to_owned(),
                valid_through: "2030-01".parse().unwrap(),
                created_at: created,
                deleted_at: time(&card["deletedAt"]),
            };
            money::set_card(tx, id, &card).await.unwrap();
        }
        work.commit().await.unwrap();
    }
    id
}

/// Brings the months of a case's earlier records to their states, through the jobs.
async fn settle_before(company: &Company, account: AccountId, case: &Value) {
    for record in case["priorRecords"].as_array().unwrap() {
        let asked = InvoiceAccount {
            account_id: account,
            month: month(record),
            trigger: InvoiceTrigger::MonthlyRun,
        };
        match record["state"].as_str().unwrap() {
            "paid" => {
                company.run(&asked).await.unwrap();
            }
            // The gateway has charged, and nobody noted it.
            "pending" => drop(company.attempt(&asked, Cut::Never).await),
            other => panic!("no case has an earlier record `{other}`"),
        }
    }
}

/// Faults 4 (a month charged again), 5 (an account newer than the month), 6 (floating point, and a
/// receipt that differs), 7 (declines told by their text) and 9 (no card is no waiver).
async fn every_case_of_the_bill_is_settled_as_it_says(engine: EngineKind) {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let company = Company::new(engine, case["runAt"].as_str().unwrap()).await;
        let account = store(&company, case).await;
        settle_before(&company, account, case).await;
        let before = company.taken();
        let (id, expect) = (&case["id"], &case["expect"]);
        let month = month(case);
        let asked =
            InvoiceAccount { account_id: account, month, trigger: InvoiceTrigger::MonthlyRun };
        let concurrent = case["gateway"]["concurrentRuns"].is_u64();
        let done = if concurrent {
            let (left, right) = tokio::join!(company.run(&asked), company.run(&asked));
            left.or(right).unwrap()
        } else {
            company.run(&asked).await.unwrap()
        };
        company.send(&done).await;
        assert_eq!(done.result["reason"], expect["reason"], "{id}");
        let record = money::record(&company.db, account, month).await.unwrap();
        let word = record.as_ref().map(|record| json!(record.state.as_str()));
        assert_eq!(word.unwrap_or(Value::Null), expect["recordState"], "{id}");
        let new_charge = expect["newCharge"] != json!(false);
        let taken = company.taken() - if new_charge { before } else { 0 };
        assert_eq!(taken, expect["chargedCents"], "{id}");
        if let Some(record) = record.filter(|_| expect["reason"] != "already_paid") {
            check_record(&company, &record, case).await;
        }
        let throttled = company.get(account).await.throttled_at;
        if let Some(until) = time(&expect["throttle"]["effectiveAt"]) {
            assert_eq!(throttled, Some(until), "{id}");
        }
        let after = company.state(account).await;
        company.run(&asked).await.unwrap();
        assert_eq!(company.state(account).await, after, "{id}: a second task changes nothing");
    }
}

async fn check_record(company: &Company, record: &BillingRecord, case: &Value) {
    let (id, expect) = (&case["id"], &case["expect"]);
    assert_eq!(record.bill.total.minor, expect["amountCents"], "{id}");
    assert_eq!(record.bill.list_price.minor, expect["listPriceCents"], "{id}");
    assert_eq!(record.bill.prorated, expect["prorated"], "{id}");
    let mails: Vec<String> = company.mails().await;
    let mut expected: Vec<&str> = expect["mails"].as_array().unwrap().iter().map(kind).collect();
    expected.sort_unstable();
    let mut found: Vec<&str> = mails.iter().map(String::as_str).collect();
    if !case["priorRecords"].as_array().unwrap().is_empty() {
        found.truncate(1); // the earlier month was mailed too
    }
    found.sort_unstable();
    assert_eq!(found, expected, "{id}");
    if let Some(total) = expect["receiptTotal"].as_str() {
        let data = company.texts("SELECT data FROM outgoing_email ORDER BY created_at").await;
        let data: Value = serde_json::from_str(data.last().unwrap()).unwrap();
        let shown = billing::format::money(record.bill.total).replace(',', "");
        assert_eq!(shown, total, "{id}");
        assert_eq!(data["total"]["minor"], record.bill.total.minor, "{id}: {data}");
    }
}

/// How a case's mail is called here.
fn kind(mail: &Value) -> &str {
    match mail.as_str().unwrap() {
        "customer:monthly_invoice" => "monthly_invoice",
        "customer:throttled_card_declined" => "card_declined",
        "admin:card_declined" => "admin:card_declined",
        "admin:throttled_account" => "admin:throttled",
        other => panic!("no case has the mail `{other}`"),
    }
}

testkit::on_each_engine!(every_case_of_the_bill_is_settled_as_it_says);
