//! `main-worker billing`: what a month will cost, what it cost, and the brakes.

mod brakes;
mod import;
mod invoices;
mod ledger;
mod plans;
mod preview;
mod report;
mod shadow;
mod sheet;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use job::JobError;
use models::billing::{self as money, Figures, LateUsage};
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
  main-worker billing plans
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
    /// Show the plans that are sold: names, prices and limits
    Plans {
        /// The month whose version of the catalogue is shown; the current one when absent
        #[arg(long, value_name = "YYYY-MM")]
        month: Option<Month>,
        /// Print comma-separated values instead of a table
        #[arg(long)]
        csv: bool,
    },
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
        /// Why; kept, and shown by preview and approve
        #[arg(long, value_name = "TEXT", value_parser = bounds::word)]
        reason: String,
    },
    /// Let charges go on
    Resume,
    /// Read billing details, cards and months that were settled elsewhere from JSON Lines
    #[command(after_help = "Lines:
  {\"kind\":\"details\",\"accountId\":\"acct_...\",\"details\":{\"currency\":\"USD\",\"country\":\"GB\"}}
  {\"kind\":\"card\",\"accountId\":\"acct_...\",\"customer\":\"cus_1\",\"card\":\"pm_1\",\"brand\":\"visa\",
   \"last4\":\"4242\",\"validThrough\":\"2030-01\"}
  {\"kind\":\"month\",\"accountId\":\"acct_...\",\"month\":\"2026-10\",\"state\":\"paid\",
   \"totalMinor\":10000,\"currency\":\"USD\"}
Each on one line; docs/billing.md has every key. One bad line, and nothing is stored.

Example:
  main-worker billing import customers.jsonl")]
    Import {
        /// File of JSON Lines, see docs/billing.md; `-` for stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Compare a month with the invoices of another system; nothing is charged. Ends with 70 if
    /// they differ
    Compare {
        #[command(flatten)]
        of: Of,
        /// The other system's invoices, JSON Lines of accountId, totalMinor (tax included) and
        /// currency; `-` for stdin
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
        Billing::Plans { month, csv } => plans::execute(invocation, month, csv).await,
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

/// Lists late usage; an account whose figures cannot be has the reason on its row.
async fn late_usage(invocation: &Invocation, of: Of) -> Result<Exit> {
    let app = invocation.open().await?;
    let late = money::late_usage(&app.db, of.month, LATE_MAX).await?;
    let mut sheet = Sheet::new(&[
        "ACCOUNT",
        "BILLED BANDWIDTH BYTES",
        "BANDWIDTH BYTES",
        "BILLED STORAGE BYTES",
        "STORAGE BYTES",
        "BILLED PEER MS",
        "PEER MS",
        "PROBLEM",
    ]);
    let (mut rows, mut broken) = (Vec::new(), 0_u64);
    for LateUsage { account, frozen, now } in &late {
        let problem = frozen.usage().and(now.usage()).err().map(|error| error.to_string());
        broken += u64::from(problem.is_some());
        sheet.add(vec![
            account.to_string(),
            frozen.bandwidth_bytes.to_string(),
            now.bandwidth_bytes.to_string(),
            frozen.storage_bytes.to_string(),
            now.storage_bytes.to_string(),
            frozen.peer_milliseconds.to_string(),
            now.peer_milliseconds.to_string(),
            problem.clone().unwrap_or_default(),
        ]);
        let mut row =
            json!({ "accountId": account, "billed": figures(*frozen), "now": figures(*now) });
        if let Some(problem) = problem {
            row["problem"] = problem.into();
        }
        rows.push(row);
    }
    let json = json!({ "month": of.month, "accounts": rows });
    sheet.print(invocation.output, of.csv, &json, "no usage arrived after the month was frozen");
    if broken == 0 {
        return Ok(Exit::Completed);
    }
    let told = format!(
        "usage of {broken} accounts cannot be; correct their rows of usage_account_month, or \
         import the logs anew and enqueue usage/roll_up_usage"
    );
    invocation.output.error(&told);
    Ok(Exit::Failed)
}

fn figures(usage: Figures) -> serde_json::Value {
    json!({ "bandwidthBytes": usage.bandwidth_bytes, "storageBytes": usage.storage_bytes,
        "peerMilliseconds": usage.peer_milliseconds })
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

/// The lines of a file of JSON Lines, or of stdin for `-`, each with its number; empty ones are left out.
fn lines(path: &std::path::Path) -> Result<Vec<(usize, String)>> {
    let text = match path {
        path if path == std::path::Path::new("-") => std::io::read_to_string(std::io::stdin()),
        path => std::fs::read_to_string(path),
    };
    let text = text
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(|error| error.context(Exit::Usage))?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim().to_owned()));
    Ok(lines.filter(|(_, line)| !line.is_empty()).collect())
}
