//! `main-worker tasks`: what waits, what runs and what became of it.

mod list;
mod show;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use values::{TaskId, Timestamp};

use super::{Exit, Invocation, bounds, exit};

/// Tasks changed by one command at the most.
const MAX_IDS: usize = 1_000;

/// Arguments of `tasks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker tasks list --state available,running --job logs/process_log
  main-worker tasks list --state discarded --from 2026-11-01T00:00:00Z
  main-worker tasks show task_01...
  main-worker tasks retry task_01... task_01...")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Tasks,
}

#[derive(Debug, Subcommand)]
enum Tasks {
    /// List tasks, newest first
    List(list::Filter),
    /// Show everything about one task: attempts, errors, log lines, result
    Show {
        /// The task's id
        #[arg(value_name = "TASK")]
        task: TaskId,
    },
    /// Cancel tasks: waiting ones at once, running ones are asked to stop
    Cancel(Ids),
    /// Make scheduled or ended tasks run again now
    Retry(Ids),
    /// Move waiting tasks to the dead letters
    Discard {
        #[command(flatten)]
        ids: Ids,
        /// Why, kept with the tasks
        #[arg(long, value_name = "TEXT", default_value = "discarded by the operator", value_parser = bounds::word)]
        reason: String,
    },
    /// Count waiting and running tasks by job, source and state
    Depth,
    /// List refused requests by code, source and job, latest first
    Rejections {
        /// Lines at the most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
}

#[derive(Debug, clap::Args)]
struct Ids {
    /// The tasks' ids
    #[arg(value_name = "TASK", required = true, num_args = 1..=MAX_IDS)]
    tasks: Vec<TaskId>,
}

/// What is done to each of several tasks.
#[derive(Debug)]
enum Change {
    Cancel,
    Retry,
    Discard(String),
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    match arguments.command {
        Tasks::List(filter) => list::execute(invocation, filter).await,
        Tasks::Show { task } => show::execute(invocation, task).await,
        Tasks::Cancel(ids) => change(invocation, ids, &Change::Cancel).await,
        Tasks::Retry(ids) => change(invocation, ids, &Change::Retry).await,
        Tasks::Discard { ids, reason } => change(invocation, ids, &Change::Discard(reason)).await,
        Tasks::Depth => depth(invocation).await,
        Tasks::Rejections { limit } => rejections(invocation, limit).await,
    }
}

/// Changes each task; one that cannot be changed does not keep the others from it.
async fn change(invocation: &Invocation, ids: Ids, change: &Change) -> Result<Exit> {
    let app = invocation.open().await?;
    let output = invocation.output;
    let mut answers = Vec::with_capacity(ids.tasks.len());
    let mut exit = Exit::Completed;
    for task in ids.tasks {
        let changed = match change {
            Change::Cancel => app.store.cancel(task).await.map(|state| match state {
                tasks::TaskState::Running => "asked to stop",
                _ => "cancelled",
            }),
            Change::Retry => app.store.retry(task).await.map(|()| "available"),
            Change::Discard(reason) => {
                app.store.discard(task, reason.clone()).await.map(|()| "discarded")
            }
        };
        match changed {
            Ok(now) if output.is_json() => answers.push(json!({ "taskId": task, "now": now })),
            Ok(now) => output.line(&format!("{task}  {now}")),
            Err(error) => {
                let error = exit::of_store(error);
                exit = error.downcast_ref::<Exit>().copied().unwrap_or(Exit::Failed);
                let text = exit::describe(&error);
                if output.is_json() {
                    answers.push(json!({ "taskId": task, "error": text }));
                } else {
                    output.error(&text);
                }
            }
        }
    }
    if output.is_json() {
        output.json(&answers);
    }
    Ok(exit)
}

async fn depth(invocation: &Invocation) -> Result<Exit> {
    let app = invocation.open().await?;
    let depths = app.store.depths().await.map_err(exit::of_store)?;
    let output = invocation.output;
    if output.is_json() {
        output.json(&depths);
    } else if depths.is_empty() {
        output.line("nothing waits and nothing runs");
    } else {
        let rows: Vec<Vec<String>> = depths
            .into_iter()
            .map(|d| {
                let count = d.count.to_string();
                vec![d.job_name, d.source, d.state.to_string(), count, time(d.oldest)]
            })
            .collect();
        output.table(&["JOB", "SOURCE", "STATE", "TASKS", "OLDEST SINCE"], &rows);
    }
    Ok(Exit::Completed)
}

async fn rejections(invocation: &Invocation, limit: u32) -> Result<Exit> {
    let app = invocation.open().await?;
    let rejections = app.store.rejections(limit).await.map_err(exit::of_store)?;
    let output = invocation.output;
    if output.is_json() {
        output.json(&rejections);
    } else if rejections.is_empty() {
        output.line("no request was refused");
    } else {
        let rows: Vec<Vec<String>> = rejections
            .into_iter()
            .map(|r| {
                let (count, last) = (r.count.to_string(), r.last_at.to_string());
                vec![r.code, r.source, r.job_name, count, last, r.door, r.message]
            })
            .collect();
        let head = ["CODE", "SOURCE", "JOB", "TIMES", "LATEST", "DOOR", "WHAT TO CHANGE"];
        output.table(&head, &rows);
    }
    Ok(Exit::Completed)
}

/// A time, or a dash.
fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}
