//! The task store: what is waiting, what runs, and what became of it.
//!
//! One trait, [`TaskStore`], in whole batches; one module per engine; one conformance suite
//! (`tests/conformance`). Tables are laid out for speed: a narrow hot row per waiting task, the
//! envelope written once, history apart. Worker processes hold *one* lease each, kept alive by a
//! counter, so that a heartbeat is one row whatever the number of tasks.
//!
//! **Invariant:** the store never looks into a payload, and never decides whether a task may run.

mod backoff;
mod error;
mod model;
mod sqlite;
mod store;

pub use backoff::Backoff;
pub use error::StoreError;
pub use model::{
    AttemptDetail, AttemptReport, Enqueued, FinalWrite, HeldTask, Lane, LeaseRequest, LeasedTask,
    NewTask, Priority, Progress, QueueDepth, RejectionRow, RejectionSeen, Settle, Settled,
    Settlement, StoredTask, TaskDetail, TaskFilter, TaskState, TaskSummary, Tick, WorkerRecord,
};
pub use sqlite::{SCHEMA, SqliteStore};
pub use store::{Beat, PruneLimits, Rescued, StoreFuture, TaskStore, random_bytes};
