//! What can go wrong with the store, by what a caller does about it.

use std::sync::Arc;

use database::DbError;
use values::{Source, TaskId};

use crate::TaskState;

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database failed; whether the batch is stored is unknown, repeating it is harmless.
    #[error("the task store is not available: {0}")]
    Unavailable(Arc<DbError>),
    /// The store was shut down.
    #[error("the task store was closed")]
    Closed,
    /// There is no such task, or it is beyond its retention.
    #[error("there is no task {task}; finished tasks are kept for the retention time only")]
    NotFound {
        /// The id that was asked for.
        task: TaskId,
    },
    /// The task is in a state that does not allow this.
    #[error("task {task} is {state}, which does not allow this; {hint}")]
    WrongState {
        /// The task.
        task: TaskId,
        /// Its state.
        state: TaskState,
        /// What would be possible.
        hint: &'static str,
    },
    /// So many tasks of the source wait or run already that these would be too many; none of the
    /// call is stored.
    #[error(
        "{waiting} tasks of the source `{from}` wait or run, and max_waiting allows {limit}; \
         try again later, or raise max_waiting of [sources.{from}] in worker.toml"
    )]
    QuotaExceeded {
        /// Who asks.
        from: Source,
        /// `max_waiting` of the source.
        limit: u64,
        /// Tasks of the source that wait or run.
        waiting: u64,
    },
}

impl StoreError {
    /// Whether the same call may succeed later with nothing changed but time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_transient(),
            Self::QuotaExceeded { from: _, limit: _, waiting: _ } => true,
            Self::Closed
            | Self::NotFound { task: _ }
            | Self::WrongState { task: _, state: _, hint: _ } => false,
        }
    }
}

impl values::Classify for StoreError {
    fn retry(&self) -> values::Retry {
        if self.is_transient() { values::Retry::Backoff } else { values::Retry::Never }
    }
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Closed => Self::Closed,
            other => Self::Unavailable(Arc::new(other)),
        }
    }
}
