//! Money through the real jobs against a scripted gateway.

mod brakes;
mod cases;
mod corrections;
mod cuts;
mod events;
mod open_months;
mod refusals;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use billing::AccountPlans;
use contract::billing::{InvoiceAccount, InvoiceTrigger, SendInvoice};
use database::{EngineKind, Query};
use job::JobError;
use models::billing::{self as money, BillingDetails, BillingRecord, PaymentCard};
use models::{Account, BillingProvider, accounts, plans};
use payments::scripted::{ScriptedGateway, TestCard};
use serde_json::json;
use testkit::Done;
use values::{AccountId, Clock, Currency, Money, Month, Timestamp};

use crate::harness::Harness;

const DOMAIN: &str = "[domains.billing]\nfirst_month = \"2014-12\"\nclose_after = \"1h\"\n\
  tax_basis_points = { DE = 1900 }\n";
/// The plans that are shipped; `CHEAP` in settings names a file of them where solo costs 30 cents.
const CATALOGUE: &str = include_str!("../../../shared/billing/src/plans/catalogue.toml");
const ISSUER: &str = "[domains.billing.issuer]\nlegal_name = \"Example Streaming GmbH\"\n";

/// A bench whose gateway is scripted.
struct Company {
    harness: Harness,
    gateway: ScriptedGateway,
}

impl Deref for Company {
    type Target = Harness;

    fn deref(&self) -> &Harness {
        &self.harness
    }
}

impl DerefMut for Company {
    fn deref_mut(&mut self) -> &mut Harness {
        &mut self.harness
    }
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::USD }
}

fn broadcast(plan: &str) -> AccountPlans {
    AccountPlans { broadcast: vec![plan.to_owned()], peer: Vec::new() }
}

impl Company {
    /// A company at a time, whose customers are charged.
    async fn new(engine: EngineKind, at: &str) -> Self {
        let mut company = Self::by_hand(engine, at, "").await;
        company.pay_by_card();
        company
    }

    /// Charges customers from now on.
    fn pay_by_card(&mut self) {
        let settings = self.gateway.settings();
        self.configure(
            "payments",
            &json!({ "secretKey": settings.secret_key.expose(), "endpoint": settings.endpoint,
                "ratePerSecond": 100_000 }),
        );
    }

    /// The worker.toml of the bench, for what is no job.
    fn manifest() -> manifest::Manifest {
        let row = "[jobs.\"billing/close_month\"]\ntimeout = \"1m\"\n";
        manifest::Manifest::parse(&format!("{DOMAIN}{ISSUER}{row}"), &contract::contract().names())
            .unwrap()
    }

    /// A company whose customers pay by transfer, with more lines of `[domains.billing]`.
    async fn by_hand(engine: EngineKind, at: &str, lines: &str) -> Self {
        let harness = Harness::with(engine, |folder| {
            let cheap = folder.join("cheap.toml");
            std::fs::write(&cheap, CATALOGUE.replace("USD = 2_000", "USD = 30")).unwrap();
            let lines = lines.replace("CHEAP", cheap.to_str().unwrap());
            format!("{DOMAIN}{lines}{ISSUER}")
        })
        .await;
        harness.clock.set(at.parse().unwrap());
        let clock = Arc::clone(&harness.clock) as Arc<dyn Clock>;
        Self { gateway: ScriptedGateway::start(clock).await.unwrap(), harness }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn set(&self, at: &str) {
        self.clock.set(at.parse().unwrap());
    }

    /// Stores an account of the company's own.
    async fn account(&self, number: u8, held: &AccountPlans) -> AccountId {
        let created: Timestamp = "2014-06-01T00:00:00Z".parse().unwrap();
        let id = AccountId::new(created, [number; 10]);
        let account = Account {
            id,
            name: format!("Account <b>{number}</b> & Żółw"),
            billing_email: Some(format!("bills{number}@customer.example")),
            billing_provider: BillingProvider::Cine,
            unthrottleable: false,
            throttled_at: None,
            throttled_reason: None,
            created_at: created,
            updated_at: created,
            deleted_at: None,
        };
        self.put(&account, held).await;
        id
    }

    /// Stores an account, with what it holds since it was made.
    async fn put(&self, account: &Account, held: &AccountPlans) {
        let (id, created) = (account.id, account.created_at);
        let mut work = self.db.begin().await.unwrap();
        let tx = &mut work.tx();
        accounts::upsert_many(tx, std::slice::from_ref(account)).await.unwrap();
        plans::change(tx, id, created, held, "sign_up").await.unwrap();
        money::set_details(tx, id, &BillingDetails::default(), created).await.unwrap();
        work.commit().await.unwrap();
    }

    /// Adds a card to an account.
    async fn card(&self, id: AccountId, behaves: TestCard) -> payments::PaymentMethodId {
        let customer = self.gateway.add_customer();
        let card = self.gateway.add_card(&customer, behaves);
        let mut work = self.db.begin().await.unwrap();
        let tx = &mut work.tx();
        money::set_customer(tx, id, customer.as_str(), self.now()).await.unwrap();
        let stored = PaymentCard {
            id: card.to_string(),
            brand: "visa".to_owned(),
            last4: "4242".to_owned(),
            valid_through: month("2030-01"),
            created_at: self.now(),
            deleted_at: None,
        };
        money::set_card(tx, id, &stored).await.unwrap();
        work.commit().await.unwrap();
        card
    }

    /// A customer with a card.
    async fn customer(&self, number: u8, plan: &str, behaves: TestCard) -> AccountId {
        let id = self.account(number, &broadcast(plan)).await;
        self.card(id, behaves).await;
        id
    }

    /// Stores what an account used in a month.
    async fn usage(&self, id: AccountId, of: Month, figures: [i64; 3]) {
        let query = Query::new(
            "INSERT INTO usage_account_month (account_id, month, bandwidth_bytes, fms_bytes,
               hls_bytes, vod_bytes, lines, updated_at, storage_bytes, peer_milliseconds)
               VALUES ($1, $2, $3, 0, 0, 0, 0, 0, $4, $5)
               ON CONFLICT (account_id, month) DO UPDATE
                 SET bandwidth_bytes = excluded.bandwidth_bytes",
        );
        let query = query.bind(id).bind(of).bind(figures[0]).bind(figures[1]).bind(figures[2]);
        self.db.execute(query).await.unwrap();
    }

    /// Bills a month as the run does, with what follows at once.
    async fn bill(&self, account_id: AccountId, of: &str) -> Result<Done, JobError> {
        self.bill_as(account_id, of, InvoiceTrigger::MonthlyRun).await
    }

    async fn bill_as(
        &self,
        account_id: AccountId,
        of: &str,
        trigger: InvoiceTrigger,
    ) -> Result<Done, JobError> {
        let done = self.run(&InvoiceAccount { account_id, month: month(of), trigger }).await?;
        self.send(&done).await;
        Ok(done)
    }

    /// Runs the tasks that make and mail PDFs.
    async fn send(&self, done: &Done) {
        for task in done.follow_ups_of::<SendInvoice>() {
            self.run(&task).await.unwrap();
        }
    }

    async fn record(&self, account: AccountId, of: &str) -> BillingRecord {
        money::record(&self.db, account, month(of)).await.unwrap().unwrap()
    }

    async fn get(&self, account: AccountId) -> Account {
        accounts::get(&self.db, account).await.unwrap().unwrap()
    }

    /// What the gateway took in all, in minor units.
    fn taken(&self) -> i64 {
        self.gateway.charges().iter().map(|charged| charged.amount.minor).sum()
    }

    /// The states of all effects.
    async fn effects(&self) -> Vec<String> {
        self.texts("SELECT state FROM effect ORDER BY key").await
    }

    /// The rows of a query of one text each.
    async fn texts(&self, sql: &'static str) -> Vec<String> {
        let rows = self.db.all(Query::new(sql)).await.unwrap();
        rows.iter().map(|row| row.get(0).unwrap()).collect()
    }

    /// Mails to customers and events for admins, by kind.
    async fn mails(&self) -> Vec<String> {
        let mut mails = self.texts("SELECT kind FROM outgoing_email ORDER BY unique_key").await;
        for data in self.texts("SELECT data FROM admin_event ORDER BY unique_key").await {
            let data: serde_json::Value = serde_json::from_str(&data).unwrap();
            mails.push(format!("admin:{}", data["kind"].as_str().unwrap()));
        }
        mails
    }

    /// What is in the books, and that they balance to zero.
    async fn state(&self, account: AccountId) -> Vec<String> {
        self.check_books().await;
        self.state_of_rows(account).await
    }

    async fn state_of_rows(&self, account: AccountId) -> Vec<String> {
        let mut found = Vec::new();
        for sql in [
            "SELECT state || ' ' || total || ' ' || refusals || ' ' || reason FROM billing_record
               ORDER BY month",
            "SELECT number || ' ' || net || ' ' || paid || ' ' || refunded || ' ' || credited
               FROM invoice ORDER BY number",
            "SELECT number FROM invoice_file ORDER BY number",
            "SELECT key || ' ' || state || ' ' || amount FROM payment_attempt ORDER BY key",
            "SELECT key || ' ' || state FROM payment_refund ORDER BY key",
            "SELECT event || ' ' || ledger_account || ' ' || minor FROM ledger_entry
               ORDER BY event, ledger_account",
            "SELECT unique_key || ' ' || kind FROM outgoing_email ORDER BY unique_key",
            "SELECT unique_key FROM admin_event ORDER BY unique_key",
        ] {
            found.extend(self.texts(sql).await);
        }
        let account = self.get(account).await;
        found.push(format!("{:?} {:?}", account.throttled_at, account.throttled_reason));
        found
    }

    /// Fault 6: sums are integers, and every event of the ledger comes to zero.
    async fn check_books(&self) {
        let books = money::balances(&self.db, None).await.unwrap();
        assert_eq!(books.difference(Currency::USD), 0);
        assert_eq!(money::unbalanced(&self.db, 1).await.unwrap(), [""; 0]);
        let cash = books.of(billing::LedgerAccount::Cash, Currency::USD);
        let refunded: i64 =
            self.gateway.charges().iter().map(|charged| charged.refunded_minor).sum();
        let by_hand = self
            .number(
                "SELECT CAST(coalesce(sum(minor), 0) AS BIGINT) FROM ledger_entry
                   WHERE event LIKE 'payment/%' AND ledger_account = 'cash'",
            )
            .await;
        assert_eq!(cash, i128::from(self.taken() - refunded + by_hand), "cash is what was taken");
    }
}
