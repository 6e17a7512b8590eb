//! `main-worker tasks show`: everything about one task, its configuration redacted.

use anyhow::Result;
use envelope::{Envelope, Proof, RawJson, SealedSection};
use reporting::LogLine;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tasks::{AttemptDetail, TaskDetail, TaskState, TaskSummary};
use values::{TaskId, Timestamp};

use super::time;
use crate::app::App;
use crate::cli::output::printable;
use crate::cli::{Exit, Invocation, Output, exit};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    summary: TaskSummary,
    proof: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<TaskId>,
    children: Vec<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    configuration: Map<String, Value>,
    job_payload: Value,
    result: Value,
    attempts: Vec<Value>,
}

pub(super) async fn execute(invocation: &Invocation, task: TaskId) -> Result<Exit> {
    let app = invocation.open().await?;
    let detail = app.store.get(task).await.map_err(exit::of_store)?;
    let shown = shown(&app, detail);
    if invocation.output.is_json() {
        invocation.output.json(&shown);
    } else {
        print(invocation.output, &shown);
    }
    Ok(Exit::Completed)
}

fn shown(app: &App, detail: TaskDetail) -> Shown {
    let TaskDetail { summary, task, result, attempts, children } = detail;
    let configuration = redacted(app, &task.configuration);
    let proof = match task.proof.as_deref().map(str::parse::<Proof>) {
        Some(Ok(proof)) => format!("{} with key {}", proof.algorithm, proof.key_id),
        Some(Err(_)) => "cannot be read".to_owned(),
        None => "none".to_owned(),
    };
    Shown {
        summary,
        proof,
        parent: task.parent,
        children,
        timeout: task.timeout.map(|timeout| timeout.to_string()),
        configuration,
        job_payload: value(&String::from_utf8_lossy(&task.payload)),
        result: result.map_or(Value::Null, |text| value(&text)),
        attempts: attempts.into_iter().map(attempt).collect(),
    }
}

/// JSON as a value; a text that is none, as text.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn attempt(detail: AttemptDetail) -> Value {
    let AttemptDetail {
        attempt,
        started_at,
        finished_at,
        outcome,
        code,
        error,
        worker,
        release,
        log,
    } = detail;
    json!({
        "attempt": attempt, "startedAt": started_at, "finishedAt": finished_at,
        "outcome": outcome, "code": code, "error": error, "worker": worker, "release": release,
        "log": log.map_or(Value::Array(Vec::new()), |text| value(&text)),
    })
}

/// The sections by name: to which key each is sealed, never what is in it.
fn redacted(app: &App, bytes: &[u8]) -> Map<String, Value> {
    let limits = admission::limits(&app.manifest);
    let text = String::from_utf8_lossy(bytes);
    let sections = RawJson::parse(&*text, &limits).and_then(|configuration| {
        let job_payload = RawJson::empty_object();
        let (job_name, source) = (String::new(), String::new());
        Envelope { configuration, job_name, source, job_payload }.sections()
    });
    let mut shown = Map::new();
    for (name, section) in sections.unwrap_or_default() {
        let told = match SealedSection::from_json(&section) {
            Ok(Some(sealed)) => format!("[sealed to {}]", sealed.key_id),
            Ok(None) | Err(_) => reporting::REDACTED.to_owned(),
        };
        shown.insert(name, told.into());
    }
    shown
}

fn print(output: Output, shown: &Shown) {
    let summary = &shown.summary;
    let field = |name: &str, value: &str| {
        if !value.is_empty() && value != "-" {
            output.line(&format!("{name:<14} {}", printable(value)));
        }
    };
    field("task", &summary.task_id.to_string());
    field("job", &summary.job_name);
    field("source", &summary.source);
    field("state", summary.state.as_str());
    field("held because", summary.held.as_deref().unwrap_or_default());
    field("priority", &summary.priority.to_string());
    field("attempt", &format!("{} of {}", summary.attempt, summary.max_attempts));
    field("enqueued", &summary.enqueued_at.to_string());
    field("may run", &summary.run_at.to_string());
    field("started", &time(summary.started_at));
    field("ended", &time(summary.finished_at));
    field("host", summary.host.as_deref().unwrap_or_default());
    if summary.state != TaskState::Completed {
        field("error", summary.error.as_deref().unwrap_or_default());
    }
    field("labels", &summary.labels.join(", "));
    field("timeout", shown.timeout.as_deref().unwrap_or_default());
    field("proof", &shown.proof);
    field("parent", &shown.parent.map_or_else(String::new, |parent| parent.to_string()));
    // How far it had come when that was written down last: of no use once it is through.
    if let Some(progress) =
        summary.progress.as_ref().filter(|_| summary.state != TaskState::Completed)
    {
        field("progress", &format!("{:.0} % {}", progress.fraction * 100.0, progress.text));
    }
    for child in &shown.children {
        field("asked for", &child.to_string());
    }
    for (name, told) in &shown.configuration {
        field("configuration", &format!("{name} {}", told.as_str().unwrap_or_default()));
    }
    field("payload", &shown.job_payload.to_string());
    if !shown.result.is_null() {
        output.line("result");
        output.json(&shown.result);
    }
    for attempt in &shown.attempts {
        print_attempt(output, attempt);
    }
}

fn print_attempt(output: Output, attempt: &Value) {
    let text = |key: &str| match &attempt[key] {
        Value::String(text) => printable(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    output.line(&format!(
        "\nattempt {}: {} at {} by {} (release {})",
        text("attempt"),
        text("outcome"),
        text("finishedAt"),
        text("worker"),
        text("release")
    ));
    if !attempt["error"].is_null() {
        let (code, error) = (text("code"), text("error"));
        let error = error.strip_prefix(&format!("{code}: ")).unwrap_or(&error);
        output.line(&format!("  {code}: {error}"));
    }
    for line in attempt["log"].as_array().into_iter().flatten() {
        output.line(&format!("  {}", printable(&log_line(line))));
    }
}

/// `TIME LEVEL MESSAGE name=value ...`; what is no log line, as it is.
fn log_line(line: &Value) -> String {
    let Ok(line) = serde_json::from_value::<LogLine>(line.clone()) else {
        return line.to_string();
    };
    let LogLine { at_micros, level, message, fields } = line;
    let mut shown = format!("{} {level} {message}", Timestamp::from_micros(at_micros));
    for (name, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        shown.push(' ');
        shown.push_str(&name);
        shown.push('=');
        shown.push_str(&value);
    }
    shown
}
