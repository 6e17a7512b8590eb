//! What an attempt knows of itself.

use std::fmt;
use std::sync::Arc;

use tasks::Progress;
use tokio_util::sync::CancellationToken;
use values::{Clock, JobName, Source, TaskId, Timestamp};

use crate::{Effects, JobError};

/// Takes progress reports; writing them is somebody else's business.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// Takes what a person must hear of: a stable code, such as `queue_stuck`, and what happened.
pub type AlertSink = Arc<dyn Fn(&'static str, &str) + Send + Sync>;

/// What a context is made of.
#[derive(Clone)]
pub struct ContextParts {
    /// The task.
    pub task_id: TaskId,
    /// Its job.
    pub job: JobName,
    /// Who asked.
    pub source: Source,
    /// Counted from 1.
    pub attempt: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
    /// The clock of the run.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the attempt is to stop.
    pub cancellation: CancellationToken,
    /// Where progress goes.
    pub progress: ProgressSink,
    /// Where alerts go.
    pub alert: AlertSink,
    /// The effect ledger.
    pub effects: Effects,
}

impl fmt::Debug for ContextParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextParts")
            .field("task_id", &self.task_id)
            .field("job", &self.job)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What an attempt knows of itself, and the services every job has.
#[derive(Debug, Clone)]
pub struct Context {
    parts: ContextParts,
}

impl Context {
    /// Makes the context of an attempt.
    pub fn new(parts: ContextParts) -> Self {
        Self { parts }
    }

    /// The current instant; a job reads the time nowhere else.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// The task.
    pub fn task_id(&self) -> TaskId {
        self.parts.task_id
    }

    /// The job's name.
    pub fn job(&self) -> &JobName {
        &self.parts.job
    }

    /// Who asked.
    pub fn source(&self) -> &Source {
        &self.parts.source
    }

    /// The attempt, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.parts.attempt
    }

    /// Attempts allowed.
    pub fn max_attempts(&self) -> u32 {
        self.parts.max_attempts
    }

    /// Reports how far the attempt has come, from 0 to 1; cheap, and written at most once a second.
    pub fn progress(&self, fraction: f64, text: impl Into<String>) {
        let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
        (self.parts.progress)(Progress { fraction, text: text.into() });
    }

    /// Tells a person what cannot wait for a mail: in the log as an error, and through Sentry.
    ///
    /// `code` is stable and groups what is told; `message` holds no secret and no address.
    pub fn alert(&self, code: &'static str, message: &str) {
        (self.parts.alert)(code, message);
    }

    /// The ledger for everything the attempt does to the outside world.
    pub fn effects(&self) -> &Effects {
        &self.parts.effects
    }

    /// Fails with [`JobError::Cancelled`] if the attempt is to stop; call it between steps.
    pub fn check_cancelled(&self) -> Result<(), JobError> {
        if self.parts.cancellation.is_cancelled() { Err(JobError::Cancelled) } else { Ok(()) }
    }

    /// Waits until the attempt is to stop.
    pub async fn cancelled(&self) {
        self.parts.cancellation.cancelled().await;
    }

    /// The token behind [`Context::cancelled`], for work on other threads.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.parts.cancellation
    }
}
