//! `main-worker demo`: logs become usage, before your eyes.

mod month;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use contract::Payload;
use contract::logs::DiscoverLogs;
use contract::usage::RollUpUsage;
use envelope::Algorithm;
use models::transfer::{ImportOptions, Importer};
use models::usage::{AccountUsage, accounts_of_month};
use scheduling::{EnqueueError, TaskOptions};
use serde::Serialize;
use serde_json::json;
use values::{Clock, Source, Span, Timestamp};

use super::{Exit, Invocation, Output};
use crate::app::App;
use crate::clock::SystemClock;
use crate::demo::{
    Company, DemoFolder, Expected, Watch, WrittenLogs, human_bytes, manifest, write_logs,
};
use crate::home::{DEFAULT_FOLDER, Home, key_id};
use crate::settings::Settings;
use crate::work::{WorkOptions, work};

/// Accounts that are shown at the most.
const MAX_ACCOUNTS: u32 = 1_000;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder to fill; it must be empty or missing
    #[arg(long, value_name = "DIR", default_value = "demo")]
    folder: PathBuf,
    /// Make an earlier demo in that folder anew; removes only what it made
    #[arg(long)]
    force: bool,
    /// A whole month with fifty customers: recordings, limits, invoices, mails
    #[arg(long)]
    month: bool,
}

/// An envelope, its keys in the order of the documentation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    configuration: BTreeMap<String, String>,
    job_name: &'static str,
    source: &'static str,
    job_payload: RollUpUsage,
}

/// What the demonstration found out.
struct Found {
    accounts: Vec<AccountUsage>,
    tasks: u64,
    working: Duration,
    discarded: u64,
    rejection: (Asked, admission::Rejection),
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    if arguments.month {
        return month::execute(invocation, &arguments).await;
    }
    let out = invocation.output;
    let began = Instant::now();
    let now = SystemClock.now();
    let day = Timestamp::from_seconds(now.as_seconds().div_euclid(86_400) * 86_400);
    let day = day.before(Span::from_days(1));
    let company = Company::new(now);
    let mut folder = DemoFolder::prepare(&arguments.folder, arguments.force)
        .map_err(|error| anyhow!(error).context(Exit::Usage))?;
    say(
        out,
        &format!("Making a small company and a day of its logs in {} ...", folder.path().display()),
    );
    folder.create(Path::new("worker.toml"))?.write_all(manifest().as_bytes())?;
    let lines = company.json_lines();
    folder.create(Path::new("company.jsonl"))?.write_all(lines.as_bytes())?;
    let logs = write_logs(&mut folder, &company, day)?;
    let (accounts, projects, streams) = company.counts();
    say(
        out,
        &format!(
            "  {accounts} accounts, {projects} projects, {streams} streams; {} files with {} lines, {} unpacked",
            logs.files.len(),
            grouped(logs.lines),
            human_bytes(logs.bytes),
        ),
    );
    let path = folder.path().to_owned();
    std::env::set_current_dir(&path).with_context(|| format!("cannot enter {}", path.display()))?;
    let app = open(invocation, Arc::new(SystemClock)).await?;
    import(&app, &lines, now).await?;
    let found = run(&app, &logs, day, out).await?;
    app.flush().await;
    let matches = report(out, &found, &logs, &company, began.elapsed(), &path);
    Ok(if matches { Exit::Completed } else { Exit::Failed })
}

/// Puts the program together in the demonstration's folder, whatever the environment says.
async fn open(invocation: &Invocation, clock: Arc<dyn Clock>) -> Result<App> {
    let now = clock.now();
    let home = Home::at(Path::new(DEFAULT_FOLDER));
    let home = Home::open(home.folder(), &home.database_path(), now)?;
    let mut keys = home.read_keys()?;
    for name in ["api", "media_host"] {
        let source: Source = name.parse().expect("a source of this program");
        keys.add_proof_key(&source, Algorithm::Mac, &key_id(name, 1), now)?;
    }
    home.write_keys(&keys)?;
    let settings = Settings {
        home: Some(DEFAULT_FOLDER.into()),
        manifest: Some("worker.toml".into()),
        no_color: invocation.settings.no_color,
        ..Settings::default()
    };
    App::open(settings, &invocation.program, clock, invocation.scrubber.clone()).await
}

async fn import(app: &App, lines: &str, now: Timestamp) -> Result<()> {
    let mut importer = Importer::new(app.db.clone(), ImportOptions::default(), now);
    for (number, line) in (1..).zip(lines.lines()) {
        importer.push_line(number, line.as_bytes()).await?;
    }
    importer.finish().await?;
    Ok(())
}

/// Asks for the work, watches it being done, and reads what came of it.
async fn run(app: &App, logs: &WrittenLogs, day: Timestamp, out: Output) -> Result<Found> {
    say(out, "The scheduler asks for logs/discover_logs; the worker finds and counts the logs:");
    let scheduler = app.producer("scheduler")?;
    let began = Instant::now();
    scheduler.enqueue(&DiscoverLogs { log_source: None }, TaskOptions::default()).await?;
    let mut watch = Watch::new(app.clone(), logs.files.clone());
    let mut looks = tokio::time::interval(watch.every());
    let options = WorkOptions { until_empty: true, ..WorkOptions::default() };
    let mut working = std::pin::pin!(work(app.clone(), options));
    let end = loop {
        tokio::select! {
            end = &mut working => break end?,
            _ = looks.tick() => watch.look().await?,
        }
    };
    let working = began.elapsed();
    let tasks = watch.finish().await?;
    let accounts = accounts_of_month(&app.db, day.month(), MAX_ACCOUNTS).await?;
    let rejection = ask_as_api(app).await?;
    Ok(Found { accounts, tasks, working, discarded: end.discarded, rejection })
}

/// Asks for what the API may not ask for.
async fn ask_as_api(app: &App) -> Result<(Asked, admission::Rejection)> {
    let payload = RollUpUsage { month: None };
    let envelope = Asked {
        configuration: BTreeMap::new(),
        job_name: RollUpUsage::JOB,
        source: "api",
        job_payload: payload.clone(),
    };
    match app.producer("api")?.enqueue(&payload, TaskOptions::default()).await {
        Err(EnqueueError::Rejected(rejection)) => Ok((envelope, rejection)),
        Err(error) => Err(error.into()),
        Ok(_) => Err(anyhow!("the allow-list of worker.toml lets source `api` ask for this")),
    }
}

/// Prints what was found; `true` if it is what was generated.
fn report(
    out: Output,
    found: &Found,
    logs: &WrittenLogs,
    company: &Company,
    whole: Duration,
    path: &Path,
) -> bool {
    let counted: BTreeMap<_, _> = found
        .accounts
        .iter()
        .map(|row| {
            let bandwidth = &row.usage.bandwidth;
            let (hls, vod, rtmp) = (bandwidth.hls_bytes, bandwidth.vod_bytes, bandwidth.fms_bytes);
            (row.usage.account_id, Expected { hls, vod, rtmp })
        })
        .collect();
    let matches = counted == logs.expected && found.discarded == 0;
    let expected: u64 = logs.expected.values().map(Expected::total).sum();
    let total: u64 = counted.values().map(Expected::total).sum();
    let rate = rate(logs.lines, found.working);
    if out.is_json() {
        out.json(&json!({
            "folder": path, "files": logs.files.len(), "lines": logs.lines, "tasks": found.tasks,
            "seconds": whole.as_secs_f64(), "linesPerSecond": rate, "accounts": counted.len(),
            "totalBytes": total, "expectedBytes": expected, "matches": matches,
            "rejection": found.rejection.1,
        }));
        return matches;
    }
    refusal(out, &found.rejection);
    out.line("\nUsage per account:\n");
    usage_table(out, found, company);
    out.line(&if matches {
        format!("\nThe total of {} is what was generated, to the byte.", human_bytes(total))
    } else {
        format!("\nThe total is {total} bytes, but {expected} were generated: this is a bug.")
    });
    out.line(&format!(
        "{} tasks and {} lines in {:.2} s ({} lines/s); all in all {:.2} s.",
        found.tasks,
        grouped(logs.lines),
        found.working.as_secs_f64(),
        grouped(rate),
        whole.as_secs_f64(),
    ));
    next(out, path, &COMMANDS.map(|(command, what)| (command.to_owned(), what)));
    matches
}

fn refusal(out: Output, (envelope, rejection): &(Asked, admission::Rejection)) {
    out.line("\nThe API asks for something that worker.toml does not let it ask for:\n");
    let text = serde_json::to_string_pretty(envelope).expect("plain JSON");
    for line in text.lines() {
        out.line(&format!("  {line}"));
    }
    out.line(&format!("\n  refused: {}\n  {}", rejection.code, rejection.message));
}

fn usage_table(out: Output, found: &Found, company: &Company) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for row in &found.accounts {
        let bandwidth = &row.usage.bandwidth;
        let bytes =
            [bandwidth.hls_bytes, bandwidth.vod_bytes, bandwidth.fms_bytes, bandwidth.total_bytes];
        let projects = company.projects_of(row.usage.account_id).to_string();
        let mut cells = vec![row.name.clone(), projects];
        cells.extend(bytes.map(|bytes| format!("{:>9}", human_bytes(bytes))));
        rows.push(cells);
    }
    let head = ["HLS", "VOD", "RTMP", "total"].map(|cell| format!("{cell:>9}"));
    let mut cells = vec!["account", "projects"];
    cells.extend(head.iter().map(String::as_str));
    out.table(&cells, &rows);
}

/// What to try after a day, with what it shows.
const COMMANDS: [(&str, &str); 7] = [
    ("tasks list", "what ran"),
    ("tasks rejections", "what was refused"),
    ("jobs show logs/process_log", "what a job expects"),
    ("export usage", "usage as JSON Lines"),
    ("enqueue monitoring/report_environment", "ask for work"),
    ("work --until-empty", "do it"),
    ("work --listen 127.0.0.1:9100", "a worker with schedules and metrics"),
];

/// Commands that work in the folder as it is now.
fn next(out: Output, path: &Path, commands: &[(String, &str)]) {
    let program = program();
    out.line("\nWhat to try next:\n");
    out.line(&format!("  cd {}", path.display()));
    for (command, what) in commands {
        out.line(&format!("  {program} {command:<38} # {what}"));
    }
}

/// How this program is called from another folder.
fn program() -> String {
    std::env::current_exe().map_or("main-worker".to_owned(), |path| path.display().to_string())
}

fn rate(count: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000) / millis
}

/// Groups digits by thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn say(out: Output, text: &str) {
    if !out.is_json() {
        out.line(text);
    }
}
