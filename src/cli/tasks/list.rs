//! `main-worker tasks list`.

use anyhow::{Result, anyhow};
use tasks::{TaskFilter, TaskState, TaskSummary};
use values::{Source, TaskId, Timestamp, did_you_mean};

use crate::app::App;
use crate::cli::output::printable;
use crate::cli::{Exit, Invocation, bounds, exit, jobs};

/// Characters of an error or progress text in a list.
const LONGEST_NOTE: usize = 80;

/// Which tasks to list.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only these states: scheduled, available, running, completed, discarded, cancelled
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<TaskState>,
    /// Only this job
    #[arg(long, value_name = "JOB", value_parser = bounds::word)]
    job: Option<String>,
    /// Only from this source
    #[arg(long, value_name = "SOURCE", value_parser = bounds::word)]
    source: Option<String>,
    /// Only with this label
    #[arg(long, value_name = "TEXT", value_parser = bounds::word)]
    label: Option<String>,
    /// Only those enqueued at this time or later
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only those enqueued before this time
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Only those this worker's release does not accept
    #[arg(long, conflicts_with = "state")]
    held: bool,
    /// Tasks at the most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only those stored before this task: the last of a page gives the next page
    #[arg(long, value_name = "TASK")]
    before: Option<TaskId>,
}

pub(super) async fn execute(invocation: &Invocation, filter: Filter) -> Result<Exit> {
    let Filter { state, job, source, label, from, to, held, limit, before } = filter;
    let app = invocation.open().await?;
    let before_row = match before {
        Some(task) => Some(app.store.get(task).await.map_err(exit::of_store)?.summary.row),
        None => None,
    };
    let filter = TaskFilter {
        states: state,
        job: job.clone(),
        source: source.clone(),
        label,
        from,
        to,
        held,
        key_id: None,
        before_row,
        limit,
    };
    let lists_all = filter == TaskFilter { limit, ..TaskFilter::default() };
    let tasks = app.store.search(filter).await.map_err(exit::of_store)?;
    if tasks.is_empty() {
        // Tasks of a job or source that is no more can be listed; a misspelt name has none.
        if let Some(job) = job {
            jobs::find(invocation, &job)?;
        }
        if let Some(source) = source {
            check_source(&app, &source)?;
        }
    }
    let output = invocation.output;
    if output.is_json() {
        output.json(&tasks);
    } else if tasks.is_empty() {
        output.line(if lists_all { "no tasks" } else { "no such task" });
    } else {
        let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
        let head =
            ["TASK", "JOB", "SOURCE", "STATE", "PRIORITY", "ATTEMPT", "ENQUEUED", "LABELS", "NOTE"];
        output.table(&head, &rows);
        if let Some(last) = tasks.last().filter(|_| tasks.len() == limit as usize) {
            output.note(&format!("there may be more: --before {}", last.task_id));
        }
    }
    Ok(Exit::Completed)
}

/// Refuses a source that worker.toml does not know.
fn check_source(app: &App, name: &str) -> Result<()> {
    let sources = app.manifest.sources.keys().map(Source::as_str);
    if sources.clone().any(|source| source == name) {
        return Ok(());
    }
    let hint = match did_you_mean(name, sources.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the sources are {}", sources.collect::<Vec<_>>().join(", ")),
    };
    Err(anyhow!("there is no source `{}`; {hint}", printable(name)).context(Exit::Usage))
}

fn row(task: &TaskSummary) -> Vec<String> {
    let state = match &task.held {
        Some(code) => format!("held ({code})"),
        None => task.state.to_string(),
    };
    let progress = task.progress.as_ref().filter(|_| task.state == TaskState::Running);
    let note =
        progress.map(|progress| format!("{:.0} % {}", progress.fraction * 100.0, progress.text));
    let note = note.or_else(|| task.error.clone()).unwrap_or_default();
    vec![
        task.task_id.to_string(),
        task.job_name.clone(),
        task.source.clone(),
        state,
        task.priority.to_string(),
        format!("{}/{}", task.attempt, task.max_attempts),
        task.enqueued_at.to_string(),
        task.labels.join(","),
        note.chars().take(LONGEST_NOTE).collect(),
    ]
}
