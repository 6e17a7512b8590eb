//! What operators see: lists, details, depths and rejections.

use serde::Serialize;
use values::{TaskId, Timestamp};

use super::{Priority, Progress, StoredTask, TaskState};

/// A worker as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerRecord {
    /// Name from worker.toml.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// Fingerprint of registry and manifest.
    pub release: String,
}

/// Which tasks to list. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In one of these states; empty for all.
    pub states: Vec<TaskState>,
    /// Of this job.
    pub job: Option<String>,
    /// From this source.
    pub source: Option<String>,
    /// With this label.
    pub label: Option<String>,
    /// Enqueued at this instant or later.
    pub from: Option<Timestamp>,
    /// Enqueued before this instant.
    pub to: Option<Timestamp>,
    /// Only held ones.
    pub held: bool,
    /// Proven with this key.
    pub key_id: Option<String>,
    /// Rows before this one, for the next page: [`TaskSummary::row`].
    pub before_row: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// A line of a task list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSummary {
    /// Position in the store, newest highest.
    #[serde(skip)]
    pub row: i64,
    /// The task.
    pub task_id: TaskId,
    /// Its job.
    pub job_name: String,
    /// Who asked.
    pub source: String,
    /// Where it stands.
    pub state: TaskState,
    /// 0 to 2.
    pub priority: Priority,
    /// Attempts begun.
    pub attempt: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
    /// When it was stored.
    pub enqueued_at: Timestamp,
    /// When it may run, or could.
    pub run_at: Timestamp,
    /// When the latest attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The only host that may run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Why it is held, if it is: the rejection's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Its labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How far it has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Its latest error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One attempt that left a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptDetail {
    /// Counted from 1.
    pub attempt: u32,
    /// When it began, if it did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended: retry, discard, completed and so on.
    pub outcome: String,
    /// Stable word for what went wrong.
    pub code: Option<String>,
    /// The error.
    pub error: Option<String>,
    /// The worker: name, host and process.
    pub worker: Option<String>,
    /// Fingerprint of the release that ran it.
    pub release: Option<String>,
    /// Its log lines, a JSON array.
    pub log: Option<String>,
}

/// Everything about one task.
#[derive(Debug, Clone)]
pub struct TaskDetail {
    /// As in a list.
    pub summary: TaskSummary,
    /// As stored.
    pub task: StoredTask,
    /// What the job returned, JSON.
    pub result: Option<String>,
    /// Attempts that failed or logged, oldest first.
    pub attempts: Vec<AttemptDetail>,
    /// Tasks that its outcome asked for.
    pub children: Vec<TaskId>,
}

/// A task that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldTask {
    /// Its row.
    pub row: i64,
    /// The task.
    pub task_id: TaskId,
    /// Its job.
    pub job: String,
    /// The rejection's code.
    pub code: String,
    /// Since when.
    pub since: Timestamp,
}

/// Waiting and running tasks of a job in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueDepth {
    /// The job.
    pub job_name: String,
    /// The source.
    pub source: String,
    /// The state.
    pub state: TaskState,
    /// How many.
    pub count: u64,
    /// Since when the oldest could have run (or runs).
    pub oldest: Option<Timestamp>,
}

/// A refused request, to be counted and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionSeen {
    /// Stable code.
    pub code: String,
    /// Source as claimed, cut and cleaned.
    pub source: String,
    /// Job as claimed, cut and cleaned.
    pub job: String,
    /// What to change; no secret.
    pub message: String,
    /// The task, if it had been stored.
    pub task_id: Option<TaskId>,
    /// Which door: `enqueue`, `dispatch`, `run` and so on.
    pub door: String,
}

/// The refused requests of one code, source and job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectionRow {
    /// Stable code.
    pub code: String,
    /// Source as claimed.
    pub source: String,
    /// Job as claimed.
    pub job_name: String,
    /// The latest message.
    pub message: String,
    /// The latest door.
    pub door: String,
    /// The latest task.
    pub task_id: Option<TaskId>,
    /// How often.
    pub count: u64,
    /// The first one.
    pub first_at: Timestamp,
    /// The latest one.
    pub last_at: Timestamp,
}
