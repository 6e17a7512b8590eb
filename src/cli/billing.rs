//! `main-worker billing`: what a month will cost, what it cost, and the brakes.

mod brakes;
mod import;
mod invoices;
mod ledger;
mod preview;
mod report;
mod shadow;
mod sheet;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use job::JobError;
use models::billing::{self as money, LateUsage};
use serde_json::json;
use values::{Money, Month};

use self::sheet::Sheet;
use super::{Exit, Invocation, bounds};

/// Accounts with late usage that are listed at the most.
const LATE_MAX: u32 = 100_000;

/// Arguments of `billing`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker billing preview --month 2026-10
  main-worker billing approve --month 2026-10 --by ann
  main-worker billing report --month 2026-10 --output json
  main-worker billing ledger --month 2026-10 --entries --csv > ledger.csv
  main-worker billing stop --reason 'wrong prices'")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Billing,
}

#[derive(Debug, Subcommand)]
enum Billing {
    /// Show what a month's run would charge; nothing is charged or frozen
    Preview(Of),
    /// Show what became of a month: states, revenue and tax by country, receivables by age
    Report(Of),
    /// Show the ledger's sums of a month, or its entries for the accounts department
    Ledger {
        #[command(flatten)]
        of: Of,
        /// Print every posting instead of the sums
        #[arg(long)]
        entries: bool,
    },
    /// List usage that arrived after its month was frozen, and is on no bill
    LateUsage(Of),
    /// Write the PDFs of a month's invoices and credit notes into a folder
    Invoices {
        /// The month
        #[arg(long, value_name = "YYYY-MM")]
        month: Month,
        /// The folder; made if it is not there
        #[arg(long, value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Approve the totals of a month's run that waits; without --by they are only shown
    Approve {
        /// The month
        #[arg(long, value_name = "YYYY-MM")]
        month: Month,
        /// Who approves
        #[arg(long, value_name = "NAME", value_parser = bounds::word)]
        by: Option<String>,
    },
    /// Stop all charges at once, until `resume`
    Stop {
        /// Why, kept and shown
        #[arg(long, value_name = "TEXT", value_parser = bounds::word)]
        reason: String,
    },
    /// Let charges go on
    Resume,
    /// Read billing details, cards and months that were settled elsewhere from JSON Lines
    Import {
        /// File of JSON Lines, see docs/billing.md
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Compare a month with the invoices of another system; nothing is charged
    Compare {
        #[command(flatten)]
        of: Of,
        /// The other system's invoices, JSON Lines of accountId, totalMinor and currency
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Which month, and how it is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Of {
    /// The month
    #[arg(long, value_name = "YYYY-MM")]
    month: Month,
    /// Print comma-separated values instead of tables
    #[arg(long)]
    csv: bool,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    match arguments.command {
        Billing::Preview(of) => preview::execute(invocation, of).await,
        Billing::Report(of) => report::execute(invocation, of).await,
        Billing::Ledger { of, entries: false } => ledger::sums(invocation, of).await,
        Billing::Ledger { of, entries: true } => ledger::entries(invocation, of).await,
        Billing::LateUsage(of) => late_usage(invocation, of).await,
        Billing::Invoices { month, folder } => invoices::execute(invocation, month, &folder).await,
        Billing::Approve { month, by } => brakes::approve(invocation, month, by.as_deref()).await,
        Billing::Stop { reason } => brakes::stop(invocation, Some(&reason)).await,
        Billing::Resume => brakes::stop(invocation, None).await,
        Billing::Import { file } => import::execute(invocation, &file).await,
        Billing::Compare { of, file } => shadow::execute(invocation, of, &file).await,
    }
}

async fn late_usage(invocation: &Invocation, of: Of) -> Result<Exit> {
    let app = invocation.open().await?;
    let late = money::late_usage(&app.db, of.month, LATE_MAX).await?;
    let mut sheet = Sheet::new(&[
        "ACCOUNT",
        "BILLED BANDWIDTH",
        "BANDWIDTH",
        "BILLED STORAGE",
        "STORAGE",
        "BILLED PEER MS",
        "PEER MS",
    ]);
    for LateUsage { account, frozen, now } in &late {
        sheet.add(vec![
            account.to_string(),
            frozen.bandwidth_bytes.to_string(),
            now.bandwidth_bytes.to_string(),
            frozen.storage_bytes.to_string(),
            now.storage_bytes.to_string(),
            frozen.peer_milliseconds.to_string(),
            now.peer_milliseconds.to_string(),
        ]);
    }
    let figures = |usage: billing::Usage| {
        json!({ "bandwidthBytes": usage.bandwidth_bytes, "storageBytes": usage.storage_bytes,
            "peerMilliseconds": usage.peer_milliseconds })
    };
    let json = late.iter().map(|late| {
        json!({ "accountId": late.account, "billed": figures(late.frozen), "now": figures(late.now) })
    });
    let json = json!({ "month": of.month, "accounts": json.collect::<Vec<_>>() });
    sheet.print(invocation.output, of.csv, &json, "no usage arrived after the month was frozen");
    Ok(Exit::Completed)
}

/// An amount without its currency, as people and spreadsheets read it: `1234.50`.
fn amount(minor: i128) -> String {
    let (sign, whole) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    format!("{sign}{}.{:02}", whole / 100, whole % 100)
}

/// An amount with its currency.
fn shown(money: Money) -> String {
    format!("{} {}", amount(money.minor.into()), money.currency)
}

/// An error of a job's code, as a command ends with it.
fn of_job(error: &JobError) -> anyhow::Error {
    let exit = match error {
        JobError::Retryable { .. } => Exit::TryAgain,
        JobError::Permanent(_) | JobError::Cancelled => Exit::Failed,
    };
    anyhow::anyhow!(error.chain()).context(exit)
}

/// The lines of a file of JSON Lines, each with its number; empty ones are left out.
fn lines(path: &std::path::Path) -> Result<Vec<(usize, String)>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(|error| error.context(Exit::Usage))?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim().to_owned()));
    Ok(lines.filter(|(_, line)| !line.is_empty()).collect())
}
