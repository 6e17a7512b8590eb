//! `main-worker schedules`: what the clock asks for.

use anyhow::{Result, anyhow};
use clap::Subcommand;
use envelope::RawJson;
use manifest::{Manifest, Schedule};
use scheduling::{EnqueueError, TaskOptions};
use serde_json::{Value, json};
use tasks::{TaskFilter, TaskSummary};
use values::{Clock, Timestamp, did_you_mean};

use super::output::printable;
use super::{Exit, Invocation, enqueue, exit};
use crate::app::read_manifest;
use crate::clock::SystemClock;

/// Ticks shown of a schedule at the most.
const MAX_TICKS: u16 = 1_000;

/// Arguments of `schedules`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker schedules list
  main-worker schedules next roll-up-usage --count 10
  main-worker schedules next --from 2026-10-25T00:00:00Z
  main-worker schedules run discover-logs")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Schedules,
}

#[derive(Debug, Subcommand)]
enum Schedules {
    /// List every schedule with its next tick and its latest task
    List,
    /// Print the next ticks, of one schedule or of all
    Next {
        /// The schedule; all when absent
        name: Option<String>,
        /// Ticks of each schedule
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_TICKS)))]
        count: u16,
        /// Ticks after this time; now when absent
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
    },
    /// Enqueue a schedule's job now, as its source, beside its ticks
    Run {
        /// The schedule
        name: String,
    },
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    match arguments.command {
        Schedules::List => list(invocation).await,
        Schedules::Next { name, count, from } => next(invocation, name.as_deref(), count, from),
        Schedules::Run { name } => run(invocation, &name).await,
    }
}

fn find<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a Schedule> {
    manifest.schedules.get(name).ok_or_else(|| {
        let names = manifest.schedules.keys().map(String::as_str);
        let hint = did_you_mean(name, names).map_or_else(
            || "`main-worker schedules list` shows them".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        anyhow!("there is no schedule `{}`; {hint}", printable(name)).context(Exit::Usage)
    })
}

async fn list(invocation: &Invocation) -> Result<Exit> {
    let app = invocation.open().await?;
    let now = app.clock.now();
    let mut lines = Vec::with_capacity(app.manifest.schedules.len());
    for schedule in app.manifest.schedules.values() {
        // The scheduler labels its tasks; the label outlives neither them nor their retention.
        let filter = TaskFilter {
            label: Some(format!("schedule:{}", schedule.name)),
            limit: 1,
            ..TaskFilter::default()
        };
        let last = app.store.search(filter).await.map_err(exit::of_store)?.pop();
        lines.push((schedule, schedule.cron.next_after(now), last));
    }
    let output = invocation.output;
    if output.is_json() {
        let lines: Vec<Value> =
            lines.iter().map(|(s, next, last)| as_json(s, *next, last.as_ref())).collect();
        output.json(&lines);
        return Ok(Exit::Completed);
    }
    let rows: Vec<Vec<String>> = lines
        .into_iter()
        .map(|(schedule, next, last)| {
            let last = last.map_or_else(
                || "-".to_owned(),
                |task| format!("{} {}", task.enqueued_at, task.state),
            );
            vec![
                schedule.name.clone(),
                schedule.job.to_string(),
                schedule.cron.expression().to_owned(),
                schedule.cron.zone().to_string(),
                next.map_or_else(|| "never".to_owned(), |at| at.to_string()),
                last,
                schedule.missed.as_str().to_owned(),
            ]
        })
        .collect();
    let head = ["SCHEDULE", "JOB", "CRON", "ZONE", "NEXT", "LATEST TASK", "IF MISSED"];
    output.table(&head, &rows);
    Ok(Exit::Completed)
}

fn as_json(schedule: &Schedule, next: Option<Timestamp>, last: Option<&TaskSummary>) -> Value {
    json!({
        "name": schedule.name, "jobName": schedule.job, "source": schedule.source,
        "cron": schedule.cron.expression(), "timeZone": schedule.cron.zone().name(),
        "missed": schedule.missed.as_str(), "next": next, "latestTask": last,
    })
}

fn next(
    invocation: &Invocation,
    name: Option<&str>,
    count: u16,
    from: Option<Timestamp>,
) -> Result<Exit> {
    let (manifest, _) = read_manifest(&invocation.settings, &invocation.program)
        .map_err(|error| error.context(Exit::Settings))?;
    let schedules: Vec<&Schedule> = match name {
        Some(name) => vec![find(&manifest, name)?],
        None => manifest.schedules.values().collect(),
    };
    let mut ticks = Vec::new();
    for schedule in schedules {
        let mut at = from.unwrap_or_else(|| SystemClock.now());
        for _ in 0..count {
            let Some(next) = schedule.cron.next_after(at) else { break };
            ticks.push((next, schedule));
            at = next;
        }
    }
    ticks.sort_by_key(|(at, schedule)| (*at, schedule.name.as_str()));
    let output = invocation.output;
    if output.is_json() {
        let ticks: Vec<Value> = ticks
            .iter()
            .map(|(at, schedule)| json!({ "at": at, "name": schedule.name, "jobName": schedule.job }))
            .collect();
        output.json(&ticks);
        return Ok(Exit::Completed);
    }
    let rows: Vec<Vec<String>> = ticks
        .iter()
        .map(|(at, schedule)| {
            let local = at.to_chrono().with_timezone(&schedule.cron.zone()).format("%a %F %T %Z");
            vec![at.to_string(), local.to_string(), schedule.name.clone(), schedule.job.to_string()]
        })
        .collect();
    output.table(&["TICK", "LOCAL TIME", "SCHEDULE", "JOB"], &rows);
    Ok(Exit::Completed)
}

async fn run(invocation: &Invocation, name: &str) -> Result<Exit> {
    let app = invocation.open().await?;
    let schedule = find(&app.manifest, name)?;
    let producer =
        app.producer(schedule.source.as_str()).map_err(|error| error.context(Exit::Settings))?;
    let payload = RawJson::from_value(&schedule.payload)?;
    let options = TaskOptions {
        priority: Some(schedule.priority),
        labels: vec![format!("schedule:{name}"), "by-hand".to_owned()],
        ..TaskOptions::default()
    };
    let job = schedule.job.as_str();
    let enqueued = producer.enqueue_raw(job, &RawJson::empty_object(), payload, options).await;
    let enqueued = enqueued.map_err(|error| match error {
        EnqueueError::Store(error) => exit::of_store(error),
        other => anyhow::Error::from(other).context(Exit::Rejected),
    })?;
    enqueue::tell(invocation, enqueued);
    app.flush().await;
    Ok(Exit::Completed)
}
