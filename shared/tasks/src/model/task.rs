//! Tasks: as they are asked for, as they lie in the store, as a worker holds them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use envelope::{Proof, RawJson, Stamp};
use serde::{Deserialize, Serialize};
use values::{JobName, Rate, Source, Span, TaskId, Timestamp};

/// 0, 1 or 2; 2 is highest, as on IronWorker.
pub type Priority = u8;

/// Where a task stands. *Held* is not a state but a reason to wait: see [`crate::TaskSummary::held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for its time.
    Scheduled,
    /// Waits for a worker.
    Available,
    /// A worker holds it.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly: the dead letters.
    Discarded,
    /// Ended on request.
    Cancelled,
}

impl TaskState {
    /// All states, in the order of a task's life.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Available,
        Self::Running,
        Self::Completed,
        Self::Discarded,
        Self::Cancelled,
    ];

    /// Whether the task will not run again by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Discarded | Self::Cancelled)
    }

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TaskState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is not a state of a task; the states are {all}")
        })
    }
}

/// A tick of a schedule; enqueued at most once however many workers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// Name of the schedule.
    pub schedule: String,
    /// The instant the schedule names, not when it was noticed.
    pub nominal_at: Timestamp,
}

/// A task to be stored: the request, its proof, and what the store needs to know.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// What is proven together with the envelope.
    pub stamp: Stamp,
    /// The job.
    pub job: JobName,
    /// Who asks.
    pub source: Source,
    /// `configuration`, sealed where it is secret; bytes as proven.
    pub configuration: RawJson,
    /// `jobPayload`; bytes as proven.
    pub payload: RawJson,
    /// The proof; absent only where the manifest does not ask for one.
    pub proof: Option<Proof>,
    /// The only host that may run it.
    pub host: Option<String>,
    /// A time limit shorter or longer than the job's own.
    pub timeout: Option<Span>,
    /// Words to find the task by.
    pub labels: Vec<String>,
    /// How long the unique key blocks after enqueueing even if the task has ended.
    pub unique_for: Option<Span>,
    /// The task whose outcome asked for this one.
    pub parent: Option<TaskId>,
    /// The tick it stands for.
    pub tick: Option<Tick>,
    /// How many tasks of its source may wait or run, this one included; `None` for any number.
    pub max_waiting: Option<u64>,
}

/// What became of a task that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Enqueued {
    /// The task that stands for the request now.
    pub task_id: TaskId,
    /// Whether it was there before: same id, same unique key, or same tick.
    pub existing: bool,
}

/// A queue within the queue: tasks of one job from one source for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The job.
    pub job: JobName,
    /// Who asked.
    pub source: Source,
    /// The only host that may run them.
    pub host: Option<String>,
}

/// How many tasks of a job may run at once and start in a while, over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLimits {
    /// The job.
    pub job: JobName,
    /// The most leases at a time; those held ready count.
    pub max_concurrency: Option<u32>,
    /// The most starts; tasks with such a limit are never held ready.
    pub rate: Option<Rate>,
}

impl JobLimits {
    /// Takes a job that has no limits.
    pub fn none(job: JobName) -> Self {
        Self { job, max_concurrency: None, rate: None }
    }
}

/// How many tasks from a source may run at once and start in a while, over all workers and jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLimits {
    /// The source.
    pub source: Source,
    /// The most leases at a time; those held ready count.
    pub max_concurrency: Option<u32>,
    /// The most starts; tasks with such a limit are never held ready.
    pub rate: Option<Rate>,
}

/// What a worker wants to have.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The worker, as registered.
    pub worker: i64,
    /// Its host.
    pub host: String,
    /// The jobs it may run, with their limits.
    pub jobs: Arc<[JobLimits]>,
    /// The sources that have limits; all others have none.
    pub sources: Arc<[SourceLimits]>,
    /// Tasks to start now; they count as attempts.
    pub start: usize,
    /// Further tasks to hold ready; they do not count until [`crate::TaskStore::start`].
    pub hold: usize,
    /// Only tasks of a higher priority than this.
    pub above: Option<Priority>,
    /// How long to wait for a first task if there is none.
    pub wait: Span,
}

/// A task as it lies in the store, its bytes not yet trusted.
#[derive(Debug, Clone)]
pub struct StoredTask {
    /// The id of the row, not proven by itself.
    pub task_id: TaskId,
    /// The job, as text of the row.
    pub job: String,
    /// The source, as text of the row.
    pub source: String,
    /// The only host that may run it.
    pub host: Option<String>,
    /// `configuration`, as stored.
    pub configuration: Vec<u8>,
    /// `jobPayload`, as stored.
    pub payload: Vec<u8>,
    /// The stamp, as stored JSON.
    pub stamp: String,
    /// The proof, as stored text.
    pub proof: Option<String>,
    /// A time limit of its own.
    pub timeout: Option<Span>,
    /// Its labels.
    pub labels: Vec<String>,
    /// The task that asked for it.
    pub parent: Option<TaskId>,
    /// When it was stored.
    pub enqueued_at: Timestamp,
}

/// A task that waits: for its time, for a worker, or for a release that accepts it.
#[derive(Debug, Clone)]
pub struct WaitingTask {
    /// Its row.
    pub row: i64,
    /// Attempts begun so far.
    pub attempt: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
    /// Its priority now.
    pub priority: Priority,
    /// The task.
    pub task: StoredTask,
}

/// A task that this worker holds.
#[derive(Debug, Clone)]
pub struct LeasedTask {
    /// Its row; with the token what settles it.
    pub row: i64,
    /// The fencing token of this lease.
    pub token: i64,
    /// Whether it was leased to be started at once.
    pub started: bool,
    /// Attempts begun so far, this one included once started.
    pub attempt: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
    /// Its priority now.
    pub priority: Priority,
    /// Since when it could have run.
    pub run_at: Timestamp,
    /// When it was leased, by the store's clock.
    pub leased_at: Timestamp,
    /// The task.
    pub task: StoredTask,
}
