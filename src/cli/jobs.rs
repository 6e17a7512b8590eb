//! `main-worker jobs`: what may be asked for, by whom, and what runs.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use clap::Subcommand;
use contract::{Descriptor, Section};
use manifest::{JobRow, Manifest};
use serde::Serialize;
use serde_json::{Map, Value, json};
use values::Rate;

use super::output::printable;
use super::{Exit, Invocation, exit};
use crate::app::{App, read_manifest};

/// Arguments of `jobs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker jobs
  main-worker jobs show logs/process_log
  main-worker jobs pause logs/process_log
  main-worker jobs resume --all")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Jobs>,
}

#[derive(Debug, Subcommand)]
enum Jobs {
    /// List every job: limits, schedules and the sources that may ask for it
    List,
    /// Show one job: configuration, settings, JSON Schema, an example envelope
    Show {
        /// The job, such as logs/process_log
        name: String,
    },
    /// Let no worker start tasks of a job; what runs goes on
    Pause(Which),
    /// End a pause
    Resume(Which),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The job, such as logs/process_log
    name: Option<String>,
    /// All jobs at once
    #[arg(long)]
    all: bool,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    match arguments.command.unwrap_or(Jobs::List) {
        Jobs::List => list(invocation).await,
        Jobs::Show { name } => show(invocation, &name),
        Jobs::Pause(which) => pause(invocation, which, true).await,
        Jobs::Resume(which) => pause(invocation, which, false).await,
    }
}

/// Finds a job, or says which one was meant.
pub(super) fn find<'a>(invocation: &'a Invocation, name: &str) -> Result<&'a Descriptor> {
    let contract = &invocation.program.contract;
    contract.get(name).ok_or_else(|| {
        let hint = contract.suggest(name).map_or_else(
            || "`main-worker jobs` lists them".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        anyhow!("there is no job `{}`; {hint}", printable(name)).context(Exit::Usage)
    })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    job_name: String,
    description: &'static str,
    timeout: String,
    max_attempts: u32,
    max_concurrency: Option<u32>,
    rate_limit: Option<Rate>,
    priority: u8,
    sources: Vec<String>,
    schedules: Vec<String>,
    paused: bool,
}

async fn list(invocation: &Invocation) -> Result<Exit> {
    let app = invocation.open().await?;
    let paused = app.store.paused().await.map_err(exit::of_store)?;
    let is_paused = |job: &str| paused.iter().any(|name| name == "*" || name == job);
    let lines: Vec<Line> = app
        .contract
        .jobs()
        .iter()
        .map(|job| line(&app, job, is_paused(job.job.as_str())))
        .collect();
    if invocation.output.is_json() {
        invocation.output.json(&lines);
        return Ok(Exit::Completed);
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let state = if line.paused { "paused" } else { "runs" };
            let words =
                |list: &[String]| if list.is_empty() { "-".to_owned() } else { list.join(" ") };
            vec![
                line.job_name.clone(),
                state.to_owned(),
                line.timeout.clone(),
                line.max_attempts.to_string(),
                limits(line.max_concurrency, line.rate_limit).unwrap_or_else(|| "-".to_owned()),
                words(&line.sources),
                words(&line.schedules),
                line.description.to_owned(),
            ]
        })
        .collect();
    let head = [
        "JOB",
        "STATE",
        "TIMEOUT",
        "ATTEMPTS",
        "LIMITS",
        "MAY BE ASKED BY",
        "SCHEDULES",
        "WHAT IT DOES",
    ];
    invocation.output.table(&head, &rows);
    Ok(Exit::Completed)
}

fn line(app: &App, job: &Descriptor, paused: bool) -> Line {
    let row = app.manifest.jobs.get(&job.job).cloned().unwrap_or_default();
    Line {
        job_name: job.job.to_string(),
        description: job.description,
        timeout: row.timeout.to_string(),
        max_attempts: row.max_attempts,
        max_concurrency: row.max_concurrency,
        rate_limit: row.rate_limit,
        priority: row.priority,
        sources: sources(&app.manifest, job),
        schedules: schedules(&app.manifest, job),
        paused,
    }
}

/// Limits as a person reads them, such as `4 at once, 100/1m`; none if there is none.
fn limits(max_concurrency: Option<u32>, rate_limit: Option<Rate>) -> Option<String> {
    let most = max_concurrency.map(|most| format!("{most} at once"));
    let rate = rate_limit.map(|rate| rate.to_string());
    let words: Vec<String> = most.into_iter().chain(rate).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// A source and, where it has any, its limits: `api (50 at once, 1000/1m)`.
fn with_limits(manifest: &Manifest, source: &str) -> String {
    let rules = manifest.sources.iter().find(|(name, _)| name.as_str() == source);
    let words = rules.and_then(|(_, rules)| limits(rules.max_concurrency, rules.rate_limit));
    words.map_or_else(|| source.to_owned(), |words| format!("{source} ({words})"))
}

fn sources(manifest: &Manifest, job: &Descriptor) -> Vec<String> {
    let allowed = manifest.sources.iter().filter(|(_, rules)| rules.allows(&job.job));
    allowed.map(|(source, _)| source.to_string()).collect()
}

fn schedules(manifest: &Manifest, job: &Descriptor) -> Vec<String> {
    let of_job = manifest.schedules.values().filter(|schedule| schedule.job == job.job);
    of_job.map(|schedule| schedule.name.clone()).collect()
}

fn show(invocation: &Invocation, name: &str) -> Result<Exit> {
    let job = find(invocation, name)?;
    let (manifest, _) = read_manifest(&invocation.settings, &invocation.program)
        .map_err(|error| error.context(Exit::Settings))?;
    let row = manifest.jobs.get(&job.job).cloned().unwrap_or_default();
    let (sources, schedules) = (sources(&manifest, job), schedules(&manifest, job));
    let operator = sources.iter().find(|source| *source == "operator");
    let source = operator.or(sources.first()).map_or("operator", String::as_str);
    let envelope = json!({
        "configuration": example_configuration(job.sections),
        "jobName": job.job,
        "source": source,
        "jobPayload": job.example(),
    });
    let output = invocation.output;
    if output.is_json() {
        output.json(&json!({
            "jobName": job.job,
            "description": job.description,
            "sources": sources,
            "schedules": schedules,
            "sections": job.sections,
            "row": row_values(&row).into_iter().collect::<BTreeMap<_, _>>(),
            "schema": job.schema(),
            "example": job.example(),
            "envelope": envelope,
        }));
        return Ok(Exit::Completed);
    }
    output.line(&format!("{}: {}\n", job.job, job.description));
    let list = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let asked_by: Vec<String> = sources.iter().map(|name| with_limits(&manifest, name)).collect();
    output.line(&format!("may be asked by   {}", list(&asked_by)));
    output.line(&format!("schedules         {}", list(&schedules)));
    for (key, value) in row_values(&row) {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        output.line(&format!("{key:<17} {}", printable(&value)));
    }
    output.line("\nconfiguration");
    if job.sections.is_empty() {
        output.line("  none");
    }
    for section in job.sections {
        output.line(&format!("  {}", described(section)));
    }
    output.line("\nJSON Schema of jobPayload");
    output.json(&job.schema());
    output.line("\nan envelope");
    output.json(&envelope);
    Ok(Exit::Completed)
}

fn described(section: &Section) -> String {
    let Section { name, origin, required, description, check: _ } = section;
    let need = if *required { "required" } else { "optional" };
    let from = match origin {
        contract::Origin::Worker => "from the worker's own configuration",
        contract::Origin::Envelope => "from the envelope, sealed",
        contract::Origin::Either => {
            "from the envelope, sealed, or from the worker's own configuration"
        }
    };
    format!("{name} ({need}, {from}): {description}")
}

/// Sections an envelope must bring, with a placeholder for the sealed text.
fn example_configuration(sections: &[Section]) -> Map<String, Value> {
    let brought = sections
        .iter()
        .filter(|section| section.required && section.origin == contract::Origin::Envelope);
    brought.map(|section| (section.name.to_owned(), "sealed:v1:KEY:...".into())).collect()
}

fn row_values(row: &JobRow) -> Vec<(&'static str, Value)> {
    let JobRow {
        timeout,
        max_attempts,
        max_concurrency,
        rate_limit,
        priority,
        backoff_base,
        backoff_max,
        settings,
    } = row;
    vec![
        ("timeout", timeout.to_string().into()),
        ("max_attempts", (*max_attempts).into()),
        ("max_concurrency", max_concurrency.map_or_else(|| "unlimited".into(), Value::from)),
        ("rate_limit", rate_limit.map_or_else(|| "unlimited".into(), |r| r.to_string().into())),
        ("priority", (*priority).into()),
        ("backoff_base", backoff_base.to_string().into()),
        ("backoff_max", backoff_max.to_string().into()),
        ("settings", Value::Object(settings.clone())),
    ]
}

async fn pause(invocation: &Invocation, which: Which, stop: bool) -> Result<Exit> {
    let is_all = which.name.is_none();
    let job = match &which.name {
        Some(name) => Some(find(invocation, name)?.job.to_string()),
        None => None,
    };
    let app = invocation.open().await?;
    let shown = job.clone().map_or_else(|| "all jobs".to_owned(), |job| format!("`{job}`"));
    let changed = if stop {
        app.store.pause(job).await.map_err(exit::of_store)?;
        true
    } else {
        app.store.resume(job).await.map_err(exit::of_store)?
    };
    let paused = app.store.paused().await.map_err(exit::of_store)?;
    let output = invocation.output;
    if output.is_json() {
        output.json(&json!({ "changed": changed, "paused": paused }));
        return Ok(Exit::Completed);
    }
    output.line(&match (stop, changed) {
        (true, _) => format!("{shown}: paused; running tasks go on, waiting ones stay"),
        (false, true) => format!("{shown}: resumed"),
        (false, false) => format!("{shown}: no such pause"),
    });
    if !stop && paused.iter().any(|name| name == "*") {
        output.note("all jobs are still paused: main-worker jobs resume --all");
    } else if !stop && is_all && !paused.is_empty() {
        let names = paused.join(", ");
        output
            .note(&format!("paused by name, and still so: {names}; main-worker jobs resume NAME"));
    }
    Ok(Exit::Completed)
}
