//! `main-worker demo --month`: a month of a company, from its streams to its money.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use billing::{Balances, LedgerAccount, RecordState, format};
use contract::archival::ArchiveRecording;
use contract::billing::CloseMonth;
use contract::emails::CollectWaiting;
use contract::logs::DiscoverLogs;
use contract::usage::RollUpUsage;
use models::billing::{BillingRecord, balances, documents_of_month, file, records};
use models::outbox::{self, EmailState};
use models::{Account, accounts, usage};
use payments::scripted::ScriptedGateway;
use scheduling::TaskOptions;
use serde_json::json;
use values::{AccountId, Clock, Currency, Money, Month, Span};

use super::{Arguments, next, open, say};
use crate::app::App;
use crate::cli::{Exit, Invocation, Output};
use crate::clock::SystemClock;
use crate::demo::month::{
    ACCOUNTS, MAILS, Member, MonthClock, RECORDINGS, configuration, manifest, members, record,
    store, write_logs,
};
use crate::demo::{DemoFolder, human_bytes};
use crate::work::{WorkOptions, work};

/// How long before the month's end its last day is looked at.
const BEFORE_THE_END: Span = Span::from_hours(4);
/// How long after its end the month is closed.
const AFTER_THE_END: Span = Span::from_hours(54);
/// Rows that are read at the most; a month has far fewer.
const MAX_ROWS: u32 = 1_000;

/// What came of the month.
struct Found {
    accounts: BTreeMap<AccountId, Account>,
    records: BTreeMap<AccountId, BillingRecord>,
    upgraded: BTreeMap<AccountId, String>,
    counted_bytes: u64,
    ledger: Balances,
    invoices: Vec<PathBuf>,
    mails: usize,
    unsent: usize,
    recordings: usize,
    tasks: u64,
    discarded: u64,
}

pub(super) async fn execute(invocation: &Invocation, arguments: &Arguments) -> Result<Exit> {
    let (out, began) = (invocation.output, Instant::now());
    let month = SystemClock.now().month().previous().context("there is no month before this")?;
    let clock = Arc::new(MonthClock::at(month.end().before(BEFORE_THE_END)));
    // Paths stay right when the folder is entered.
    let place = std::path::absolute(&arguments.folder)?;
    let mut folder = DemoFolder::prepare(&place, arguments.force)
        .map_err(|error| anyhow!(error).context(Exit::Usage))?;
    say(
        out,
        &format!(
            "{} of a company with {ACCOUNTS} customers, in {}:",
            format::month(month),
            place.display()
        ),
    );
    let members = members(month)?;
    let gateway = ScriptedGateway::start(Arc::<MonthClock>::clone(&clock)).await?;
    folder.create(Path::new("worker.toml"))?.write_all(manifest(&place, month).as_bytes())?;
    let text = configuration(&gateway);
    folder.create(Path::new("configuration.json"))?.write_all(text.as_bytes())?;
    let (logs, bytes) = write_logs(&mut folder, month, &members)?;
    let streams: Vec<String> = members.iter().map(|member| member.stream.clone()).collect();
    let recordings = record(&mut folder, &streams, clock.now())?;
    let recorded = recordings.as_ref().map_or(0, Vec::len);
    std::env::set_current_dir(&place)
        .with_context(|| format!("cannot enter {}", place.display()))?;
    let app = open(invocation, Arc::<MonthClock>::clone(&clock)).await?;
    store(&app.db, &gateway, &members).await?;

    say(
        out,
        &format!(
            "  {} log files and {} recordings wait",
            logs.len(),
            recordings.as_ref().map_or(0, Vec::len)
        ),
    );
    if recordings.is_none() {
        say(out, "  (no recordings: ffmpeg and ffprobe are not installed)");
    }
    let mut done = stream(&app, recordings.unwrap_or_default()).await?;
    say(out, "  logs are counted, recordings archived, limits enforced");
    clock.jump(month.end().after(AFTER_THE_END));
    app.producer("scheduler")?
        .enqueue(&CloseMonth { month: Some(month), after: None }, TaskOptions::default())
        .await?;
    done.add(work_all(&app).await?);
    // What the clock asks for every five minutes.
    app.producer("scheduler")?.enqueue(&CollectWaiting {}, TaskOptions::default()).await?;
    done.add(work_all(&app).await?);
    say(out, "  the month is closed, invoices are charged, mails are written");
    let found = find(&app, &mut folder, month, &members, &done).await?;
    app.flush().await;
    let good = found.is_good(bytes, recorded);
    report(out, &found, &members, (bytes, good), began, &place);
    if !out.is_json() {
        next(out, &place, &commands(month));
        out.line("\nThe payment gateway of this demo has ended with it: what would be charged now waits.");
    }
    Ok(if good { Exit::Completed } else { Exit::Failed })
}

/// What to try after a month, with what it shows.
fn commands(month: Month) -> Vec<(String, &'static str)> {
    let of_month = |command: &str| format!("billing {command} --month {month}");
    vec![
        (of_month("report"), "states, taxes and countries of the month"),
        (of_month("ledger"), "its entries, and that they come to zero"),
        ("emails list".to_owned(), "what became of every mail"),
        ("emails preview --folder previews".to_owned(), "every mail with sample data"),
        ("tasks list".to_owned(), "what ran"),
        ("export usage".to_owned(), "usage as JSON Lines"),
    ]
}

/// Tasks that ended.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    completed: u64,
    discarded: u64,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.completed += other.completed;
        self.discarded += other.discarded;
    }
}

/// Works until nothing is left to do now.
async fn work_all(app: &App) -> Result<Done> {
    let options = WorkOptions { until_empty: true, ..WorkOptions::default() };
    let end = work(app.clone(), options).await?;
    Ok(Done { completed: end.completed, discarded: end.discarded })
}

/// What is asked for while the month runs.
async fn stream(app: &App, recordings: Vec<PathBuf>) -> Result<Done> {
    let scheduler = app.producer("scheduler")?;
    scheduler.enqueue(&DiscoverLogs { log_source: None }, TaskOptions::default()).await?;
    let recorder = app.producer("media_host")?;
    for path in recordings {
        let task = ArchiveRecording {
            file: Some(fs::canonicalize(&path)?.display().to_string()),
            host: Some(app.host.clone()),
            object: None,
            stream_name: None,
        };
        recorder.enqueue(&task, TaskOptions::default()).await?;
    }
    let mut done = work_all(app).await?;
    scheduler.enqueue(&RollUpUsage { month: None }, TaskOptions::default()).await?;
    done.add(work_all(app).await?);
    Ok(done)
}

/// Reads what came of it, and puts the invoices into the folder.
async fn find(
    app: &App,
    folder: &mut DemoFolder,
    month: Month,
    members: &[Member],
    done: &Done,
) -> Result<Found> {
    let db = &app.db;
    let ids: Vec<AccountId> = members.iter().map(|member| member.account).collect();
    let rows = accounts::find(db, &ids).await?;
    let histories = models::plans::histories(db, &ids).await?;
    let mut upgraded = BTreeMap::new();
    for (account, history) in histories {
        if let [_, .., last] = &history[..] {
            upgraded.insert(account, last.plans.broadcast.join(", "));
        }
    }
    let used = usage::accounts_of_month(db, month, MAX_ROWS).await?;
    let mut invoices = Vec::new();
    for document in documents_of_month(db, month, "", MAX_ROWS).await? {
        let Some(pdf) = file(db, &document.number).await? else { continue };
        let path = Path::new("invoices").join(format!("{}.pdf", document.number));
        folder.create(&path)?.write_all(&pdf)?;
        invoices.push(path);
    }
    let mails = list(folder, MAILS, "eml")?;
    let unsent = outbox::newest(db, &[], MAX_ROWS).await?;
    let unsent = unsent.iter().filter(|mail| mail.state != EmailState::Sent).count();
    Ok(Found {
        accounts: rows.into_iter().map(|account| (account.id, account)).collect(),
        records: records(db, &ids, month)
            .await?
            .into_iter()
            .map(|row| (row.account, row))
            .collect(),
        upgraded,
        counted_bytes: used.iter().map(|row| row.usage.bandwidth.total_bytes).sum(),
        ledger: balances(db, None).await?,
        invoices,
        mails,
        unsent,
        recordings: list(folder, RECORDINGS, "mp4")?,
        tasks: done.completed,
        discarded: done.discarded,
    })
}

/// Lists files that the worker made, so that they go with the demonstration; counts those of a kind.
fn list(folder: &mut DemoFolder, below: &str, kind: &str) -> Result<usize> {
    let (mut open, mut count) = (vec![PathBuf::from(below)], 0);
    while let Some(name) = open.pop() {
        let path = folder.path().join(&name);
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = name.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(name);
            } else {
                count += usize::from(name.extension().is_some_and(|end| end == kind));
                folder.note(&name)?;
            }
        }
    }
    Ok(count)
}

impl Found {
    /// Whether everything that was streamed was counted and archived, and the books balance.
    fn is_good(&self, bytes: u64, recorded: usize) -> bool {
        let balanced = |currency: &Currency| self.ledger.difference(*currency) == 0;
        self.counted_bytes == bytes
            && self.recordings == recorded
            && self.discarded == 0
            && self.unsent == 0
            && self.ledger.currencies().iter().all(balanced)
    }

    /// What happened to a customer, in words.
    fn fate(&self, member: &Member) -> String {
        let mut words = Vec::new();
        if let Some(plan) = self.upgraded.get(&member.account) {
            words.push(format!("now {plan}"));
        }
        let throttled = self.accounts.get(&member.account);
        if let Some((at, reason)) =
            throttled.and_then(|a| Some((a.throttled_at?, a.throttled_reason?)))
        {
            words.push(format!("throttled from {} ({reason})", at.to_chrono().format("%Y-%m-%d")));
        }
        words.push(match self.records.get(&member.account) {
            Some(record) => format!("{} {}", record.state, format::money(record.bill.total)),
            None => "nothing to pay".to_owned(),
        });
        words.join(", ")
    }

    /// How many months are in each state, and what they come to.
    fn states(&self) -> BTreeMap<RecordState, (usize, i64)> {
        let mut states = BTreeMap::new();
        for record in self.records.values() {
            let (count, minor) = states.entry(record.state).or_insert((0, 0));
            *count += 1;
            *minor += record.bill.total.minor;
        }
        states
    }
}

fn dollars(minor: i128) -> String {
    let minor = i64::try_from(minor).unwrap_or(i64::MAX);
    format::money(Money { minor, currency: Currency::USD })
}

fn report(
    out: Output,
    found: &Found,
    members: &[Member],
    (bytes, good): (u64, bool),
    began: Instant,
    place: &Path,
) {
    let seconds = began.elapsed().as_secs_f64();
    if out.is_json() {
        let states: BTreeMap<String, _> = found
            .states()
            .into_iter()
            .map(|(state, (count, minor))| {
                (state.to_string(), json!({ "months": count, "minor": minor }))
            })
            .collect();
        let ledger: BTreeMap<&str, i128> = LedgerAccount::ALL
            .iter()
            .map(|account| (account.as_str(), found.ledger.of(*account, Currency::USD)))
            .collect();
        out.json(&json!({
            "folder": place, "good": good, "seconds": seconds, "tasks": found.tasks,
            "bytes": bytes, "countedBytes": found.counted_bytes, "recordings": found.recordings,
            "invoices": found.invoices.len(), "mails": found.mails, "unsentMails": found.unsent,
            "discarded": found.discarded, "months": states, "ledgerMinor": ledger,
            "throttled": found.accounts.values().filter(|a| a.throttled_at.is_some()).count(),
            "upgraded": found.upgraded.len(),
        }));
        return;
    }
    out.line("\nThe customers to whom something happened:\n");
    let shown = members.iter().filter(|member| !member.customer.shows.is_empty());
    let rows: Vec<Vec<String>> = shown
        .map(|member| {
            let customer = &member.customer;
            let cells = [customer.name.as_str(), customer.plan, customer.shows].map(str::to_owned);
            cells.into_iter().chain([found.fate(member)]).collect()
        })
        .collect();
    out.table(&["account", "plan", "what it shows", "what happened"], &rows);
    out.line("\nThe month of all customers:\n");
    let rows: Vec<Vec<String>> = found
        .states()
        .into_iter()
        .map(|(state, (count, minor))| {
            vec![state.to_string(), format!("{count:>6}"), format!("{:>12}", dollars(minor.into()))]
        })
        .collect();
    out.table(&["state", "months", "total"], &rows);
    out.line("\nThe ledger (a debit is positive):\n");
    let rows: Vec<Vec<String>> = LedgerAccount::ALL
        .iter()
        .map(|account| {
            let balance = dollars(found.ledger.of(*account, Currency::USD));
            vec![account.to_string(), format!("{balance:>12}")]
        })
        .collect();
    out.table(&["account", "balance"], &rows);
    let difference = dollars(found.ledger.difference(Currency::USD));
    out.line(&format!("The sum of all accounts is {difference}."));
    out.line(&format!(
        "\n{} of traffic, {} recordings, {} tasks, {} invoices and {} mails in {seconds:.1} s.",
        human_bytes(found.counted_bytes),
        found.recordings,
        found.tasks,
        found.invoices.len(),
        found.mails,
    ));
    if !good {
        out.line(&format!(
            "This is not what was generated ({} of traffic; {} tasks discarded, {} mails not sent): a bug.",
            human_bytes(bytes),
            found.discarded,
            found.unsent,
        ));
    }
    out.line(&format!("Look into {}: invoices/, {MAILS}/, {RECORDINGS}/.", place.display()));
}
