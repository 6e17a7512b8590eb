//! The end of a month at 1 % of its size, on PostgreSQL, with workers that are killed.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::{AccountPlans, LedgerAccount};
use database::{Db, Query};
use main_worker::app::BUILT_IN_MANIFEST;
use main_worker::clock::SystemClock;
use main_worker::settings::Settings;
use main_worker::storage::{Access, Location};
use models::billing::{self as money, PaymentCard};
use models::{Account, BillingProvider, accounts, plans};
use payments::scripted::{Fault, ScriptedGateway, TestCard, When};
use serde_json::json;
use values::{AccountId, Clock, Currency, Month, Secret, Timestamp};

use crate::cli_shell::Shell;

/// Accounts; `MONTH_END_ACCOUNTS` sets another number for a run by hand.
const ACCOUNTS: u32 = 1_000;
/// Every account's one plan, in minor units.
const PRICE: i64 = 2_000;
/// How long the month may take, beside a second for each twenty accounts.
const PATIENCE: Duration = Duration::from_mins(3);

/// A company with accounts that all have a card.
struct Company {
    shell: Shell,
    gateway: ScriptedGateway,
    db: Db,
    accounts: u32,
    month: Month,
}

impl Company {
    async fn new(url: &str, accounts: u32) -> Self {
        let month = SystemClock.now().month().previous().unwrap();
        let mut shell = Shell::at(url);
        // What is tried again is so within the test's time.
        let built_in = BUILT_IN_MANIFEST.replace("backoff_base = \"1m\"", "backoff_base = \"1s\"");
        let manifest = format!(
            "{built_in}\n[domains.billing]\nfirst_month = \"{month}\"\n\
             close_after = \"1s\"\n[domains.billing.issuer]\nlegal_name = \"Example Streaming\"\n"
        );
        shell.write("worker.toml", manifest.as_bytes());
        let gateway = ScriptedGateway::start(Arc::new(SystemClock)).await.unwrap();
        gateway.set_delay(Duration::from_millis(1));
        let settings = gateway.settings();
        let section = json!({ "secretKey": settings.secret_key.expose(),
            "endpoint": settings.endpoint, "ratePerSecond": 100_000 });
        shell.set("MAIN_WORKER_SECTION_payments", &section.to_string());
        let database_url = Some(Secret::new(url.to_owned()));
        let location = Location::of(&Settings { database_url, ..Settings::default() }).unwrap();
        let db = location.connect(Access::Work).await.unwrap();
        let company = Self { shell, gateway, db, accounts, month };
        company.fill().await;
        company
    }

    async fn fill(&self) {
        let created = Timestamp::from_seconds(1_500_000_000);
        let mut work = self.db.begin().await.unwrap();
        let tx = &mut work.tx();
        for number in 0..self.accounts {
            let mut random = [0; 10];
            // The first bytes lose bits to the version and the variant of a UUID.
            random[6..].copy_from_slice(&number.to_be_bytes());
            let id = AccountId::new(created, random);
            let account = Account {
                id,
                name: format!("Account {number}"),
                billing_email: Some(format!("bills{number}@customer.example")),
                billing_provider: BillingProvider::Cine,
                unthrottleable: false,
                throttled_at: None,
                throttled_reason: None,
                created_at: created,
                updated_at: created,
                deleted_at: None,
            };
            accounts::upsert_many(tx, &[account]).await.unwrap();
            let held = AccountPlans { broadcast: vec!["solo".to_owned()], peer: Vec::new() };
            plans::change(tx, id, created, &held, "sign_up").await.unwrap();
            let customer = self.gateway.add_customer();
            let card = self.gateway.add_card(&customer, TestCard::Good);
            money::set_customer(tx, id, customer.as_str(), created).await.unwrap();
            let card = PaymentCard {
                id: card.to_string(),
                brand: "visa".to_owned(),
                last4: "4242".to_owned(),
                valid_through: "2040-01".parse().unwrap(),
                created_at: created,
                deleted_at: None,
            };
            money::set_card(tx, id, &card).await.unwrap();
        }
        work.commit().await.unwrap();
    }

    fn worker(&self, name: &str) -> Child {
        let mut log = std::fs::File::options();
        let log = log.create(true).append(true).open(self.shell.path(name)).unwrap();
        let work = ["work", "--no-schedules", "--jobs", "billing/*", "--concurrency", "16"];
        let mut command = self.shell.command(&work);
        command.env("MAIN_WORKER_LOG", "warn").stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.first(Query::new(sql)).await.unwrap().unwrap().get(0).unwrap()
    }

    /// Waits until a count is reached.
    async fn until(&self, sql: &'static str, wanted: i64) {
        let began = Instant::now();
        let patience = PATIENCE + Duration::from_secs(u64::from(self.accounts / 20));
        loop {
            let found = self.count(sql).await;
            if found >= wanted {
                return;
            }
            let logs = ["left", "right"].map(|name| self.shell.read(name));
            assert!(began.elapsed() < patience, "{found} of {wanted}: {sql}\n{logs:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

const PAID: &str = "SELECT count(*) FROM billing_record WHERE state = 'paid'";
const MAILS: &str = "SELECT count(*) FROM outgoing_email WHERE kind = 'monthly_invoice'";

#[expect(clippy::disallowed_methods, reason = "how large a run by hand is, is no setting")]
fn accounts() -> u32 {
    let given = std::env::var("MONTH_END_ACCOUNTS").ok();
    given.map_or(ACCOUNTS, |text| text.parse().unwrap())
}

/// Fault 4: whatever dies, each month is charged once, and the ledger's difference is 0.00.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_ends_with_kills_and_every_account_is_charged_once() {
    let accounts = accounts();
    let all = i64::from(accounts);
    let database = crate::postgres_cli::migrated().await;
    let company = Company::new(database.url(), accounts).await;
    for fault in [Fault::BreakAfter, Fault::BadGateway, Fault::LockTimeout, Fault::MalformedAfter] {
        company.gateway.script(When::Charge, fault, 3);
    }
    let began = Instant::now();
    let payload = json!({ "month": company.month }).to_string();
    company.shell.enqueue(&["billing/close_month", &payload]);
    let mut workers = [company.worker("left"), company.worker("right")];
    for (kill, share) in [(0, 10), (1, 30), (0, 60)] {
        company.until(PAID, all * share / 100).await;
        workers[kill].kill().unwrap();
        workers[kill].wait().unwrap();
        workers[kill] = company.worker(if kill == 0 { "left" } else { "right" });
    }
    company.until(PAID, all).await;
    let paid_after = began.elapsed();
    company.until(MAILS, all).await;
    let mailed_after = began.elapsed();
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for charged in company.gateway.charges() {
        assert_eq!(charged.amount.minor, PRICE);
        *taken.entry(charged.key.unwrap()).or_default() += 1;
    }
    assert_eq!(taken.len(), usize::try_from(accounts).unwrap());
    assert!(taken.values().all(|times| *times == 1), "somebody paid twice");
    let books = money::balances(&company.db, None).await.unwrap();
    assert_eq!(books.difference(Currency::USD), 0);
    assert_eq!(books.of(LedgerAccount::Cash, Currency::USD), i128::from(all * PRICE));
    assert_eq!(books.of(LedgerAccount::Receivable, Currency::USD), 0);
    assert_eq!(money::unbalanced(&company.db, 1).await.unwrap(), [""; 0]);
    for sql in [
        "SELECT count(*) FROM invoice",
        "SELECT max(sequence) FROM invoice",
        "SELECT count(*) FROM invoice_file",
        "SELECT count(*) FROM payment_attempt WHERE state = 'accepted'",
    ] {
        assert_eq!(company.count(sql).await, all, "{sql}");
    }
    eprintln!("{accounts} accounts: paid after {paid_after:?}, with PDF and mail {mailed_after:?}");
}
