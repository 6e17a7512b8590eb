//! `--wait`: until the task has ended.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::Serialize;
use serde_json::value::RawValue;
use tasks::{Enqueued, TaskDetail, TaskState};
use values::{Span, TaskId};

use crate::app::App;
use crate::cli::{Exit, Invocation, exit};

/// The first pause between two looks, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    task_id: TaskId,
    existing: bool,
    state: TaskState,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Prints the result; the exit code says how the task ended.
pub(super) async fn until_ended(
    invocation: &Invocation,
    app: &App,
    enqueued: Enqueued,
    limit: Span,
) -> Result<Exit> {
    let output = invocation.output;
    if !output.is_json() {
        output.note(&enqueued.task_id.to_string());
    }
    let detail = poll(app, enqueued.task_id, limit).await?;
    let state = detail.summary.state;
    let result = detail.result.and_then(|text| RawValue::from_string(text).ok());
    let error = detail.summary.error.filter(|_| state != TaskState::Completed);
    if output.is_json() {
        let Enqueued { task_id, existing } = enqueued;
        output.json(&Report { task_id, existing, state, result, error });
    } else if state == TaskState::Completed {
        let value: serde_json::Value =
            result.map_or(Ok(serde_json::Value::Null), |text| serde_json::from_str(text.get()))?;
        output.json(&value);
    } else {
        let error = error.map_or_else(String::new, |error| format!(": {error}"));
        output.error(&format!("task {} was {state}{error}", enqueued.task_id));
    }
    Ok(match state {
        TaskState::Completed => Exit::Completed,
        TaskState::Cancelled => Exit::NotNow,
        TaskState::Discarded => Exit::Failed,
        TaskState::Scheduled | TaskState::Available | TaskState::Running => Exit::TryAgain,
    })
}

async fn poll(app: &App, task: TaskId, limit: Span) -> Result<TaskDetail> {
    let began = Instant::now();
    let mut pause = PAUSES.0;
    loop {
        let detail = app.store.get(task).await.map_err(exit::of_store)?;
        if detail.summary.state.is_final() {
            return Ok(detail);
        }
        if began.elapsed() >= limit.to_std() {
            let state = detail.summary.state;
            let error = anyhow!(
                "task {task} is {state} after {limit}; it stays in the queue: main-worker tasks show {task}"
            );
            return Err(error.context(Exit::TryAgain));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
