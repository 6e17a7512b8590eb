//! The end of a month: how many accounts a worker bills per second, and what memory it takes.

use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use billing::AccountPlans;
use contract::billing::CloseMonth;
use database::{Db, DbError, Query};
use models::billing::{PaymentCard, set_card, set_customer};
use models::{Account, BillingProvider, accounts, plans};
use payments::scripted::{ScriptedGateway, TestCard};
use scheduling::TaskOptions;
use serde::Serialize;
use serde_json::json;
use values::{AccountId, Clock, Currency, Month, Span, Timestamp};

use super::Scratch;
use super::process::{program, quiet, read};
use crate::app::{App, BUILT_IN_MANIFEST, Program};
use crate::clock::SystemClock;

/// How long the gateway takes for an answer.
const GATEWAY: Duration = Duration::from_millis(1);
/// Attempts at once.
const CONCURRENCY: &str = "64";
/// Accounts of one transaction while they are made up.
const BATCH: u32 = 1_000;
/// Pause between two looks at the worker's memory.
const LOOK: Duration = Duration::from_millis(50);

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MonthEndReport {
    /// Accounts with a plan and a card.
    pub accounts: u32,
    /// Closing the month and charging all of them took so long, milliseconds.
    pub charged_ms: u64,
    /// Their PDFs, receipts and mails into a folder took so much longer.
    pub mailed_ms: u64,
    /// Accounts that were charged in a second.
    pub charged_per_second: u64,
    /// Accounts that were done in a second: charged, with PDF and mail.
    pub done_per_second: u64,
    /// The most memory of the worker, thousands of bytes.
    pub peak_rss_kb: u64,
    /// The sum of the ledger's accounts, in minor units.
    pub ledger_difference: i64,
}

/// Makes up accounts, and bills the month before this one with one worker.
pub async fn month_end(
    scratch: &Scratch,
    company: &Program,
    accounts: u32,
) -> Result<MonthEndReport> {
    let month = SystemClock.now().month().previous().context("there is no month before this")?;
    let manifest = format!(
        "{BUILT_IN_MANIFEST}\n[domains.billing]\nfirst_month = \"{month}\"\nclose_after = \"1s\"\n\
         [domains.billing.issuer]\nlegal_name = \"Example Streaming\"\n\
         [domains.emails]\nallowed_domains = [\"customer.example\"]\n"
    );
    std::fs::write(scratch.path().join("worker.toml"), manifest)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut settings = scratch.settings();
    settings.manifest = Some(scratch.path().join("worker.toml"));
    let app = App::open(settings, company, Arc::clone(&clock), reporting::Scrubber::new()).await?;
    let gateway = ScriptedGateway::start(clock).await?;
    gateway.set_delay(GATEWAY);
    fill(&app.db, &gateway, accounts).await?;
    let task = CloseMonth { month: Some(month), after: None };
    app.producer("operator")?.enqueue(&task, TaskOptions::default()).await?;
    let mail = ["--except", "billing/send_invoice,emails/*"];
    let (charged, rss) = work_off(scratch, &gateway, &mail).await?;
    ensure_charged(&app.db, accounts, month).await?;
    let (mailed, more) = work_off(scratch, &gateway, &[]).await?;
    ensure_mailed(&app.db, accounts).await?;
    let books = models::billing::balances(&app.db, None).await?;
    let per_second = |time: Duration| super::per_second(u64::from(accounts), time);
    Ok(MonthEndReport {
        accounts,
        charged_ms: u64::try_from(charged.as_millis())?,
        mailed_ms: u64::try_from(mailed.as_millis())?,
        charged_per_second: per_second(charged),
        done_per_second: per_second(charged + mailed),
        peak_rss_kb: rss.max(more),
        ledger_difference: i64::try_from(books.difference(Currency::USD))?,
    })
}

async fn ensure_charged(db: &Db, accounts: u32, month: Month) -> Result<()> {
    let paid = "SELECT count(*) FROM billing_record WHERE state = 'paid'";
    let paid = count(db, paid).await?;
    ensure!(paid == i64::from(accounts), "{paid} of {accounts} accounts were charged for {month}");
    Ok(())
}

async fn ensure_mailed(db: &Db, accounts: u32) -> Result<()> {
    let states =
        "SELECT CASE state WHEN 'sent' THEN state ELSE state || coalesce(': ' || message, '')
      END, count(*) FROM outgoing_email GROUP BY 1 ORDER BY 1";
    let rows = db.all(Query::new(states)).await?;
    let states: Vec<(String, i64)> =
        rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect::<Result<_, DbError>>()?;
    let sent: i64 = states.iter().filter(|(state, _)| state == "sent").map(|s| s.1).sum();
    ensure!(sent == i64::from(accounts), "not every invoice was mailed: {states:?}");
    Ok(())
}

async fn count(db: &Db, sql: &'static str) -> Result<i64> {
    Ok(db.first(Query::new(sql)).await?.context("a count is one row")?.get(0)?)
}

/// Stores accounts that each have a plan and a card.
async fn fill(db: &Db, gateway: &ScriptedGateway, count: u32) -> Result<()> {
    let created = SystemClock.now().before(Span::from_days(400));
    let held = AccountPlans { broadcast: vec!["solo".to_owned()], peer: Vec::new() };
    for first in (0..count).step_by(BATCH as usize) {
        let rows: Vec<Account> =
            (first..count.min(first + BATCH)).map(|number| account(number, created)).collect();
        let mut work = db.begin().await?;
        let tx = &mut work.tx();
        accounts::upsert_many(tx, &rows).await?;
        for account in &rows {
            plans::change(tx, account.id, created, &held, "sign_up").await?;
            let customer = gateway.add_customer();
            let id = gateway.add_card(&customer, TestCard::Good).to_string();
            set_customer(tx, account.id, customer.as_str(), created).await?;
            let card = PaymentCard {
                id,
                brand: "visa".to_owned(),
                last4: "4242".to_owned(),
                valid_through: Month::new(2099, 1).expect("a month"),
                created_at: created,
                deleted_at: None,
            };
            set_card(tx, account.id, &card).await?;
        }
        work.commit().await?;
    }
    Ok(())
}

fn account(number: u32, created: Timestamp) -> Account {
    let mut random = [0; 10];
    // The first bytes lose bits to the version and the variant of a UUID.
    random[6..].copy_from_slice(&number.to_be_bytes());
    Account {
        id: AccountId::new(created, random),
        name: format!("Account {number}"),
        billing_email: Some(format!("bills{number}@customer.example")),
        billing_provider: BillingProvider::Cine,
        unthrottleable: false,
        throttled_at: None,
        throttled_reason: None,
        created_at: created,
        updated_at: created,
        deleted_at: None,
    }
}

/// Lets a worker of the company end what waits; returns how long that took, and its memory.
async fn work_off(
    scratch: &Scratch,
    gateway: &ScriptedGateway,
    more: &[&str],
) -> Result<(Duration, u64)> {
    let settings = gateway.settings();
    let section = json!({ "secretKey": settings.secret_key.expose(),
        "endpoint": settings.endpoint, "ratePerSecond": settings.rate_per_second });
    let arguments = ["work", "--until-empty", "--no-schedules", "--concurrency", CONCURRENCY];
    let mut command = program(scratch, &[&arguments[..], more].concat());
    command.env("MAIN_WORKER_SECTION_payments", section.to_string());
    command.env("MAIN_WORKER_LOG", "error");
    let began = Instant::now();
    let mut child = quiet_but_errors(command).spawn()?;
    let mut peak = 0;
    loop {
        // A process that has ended tells nothing more.
        peak = peak_kb(&child).unwrap_or(peak).max(peak);
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the worker ended with {status}");
            return Ok((began.elapsed(), peak));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn quiet_but_errors(command: Command) -> Command {
    let mut command = quiet(command);
    command.stderr(std::process::Stdio::inherit());
    command
}

fn peak_kb(child: &Child) -> Option<u64> {
    let text = read(&format!("/proc/{}/status", child.id())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
