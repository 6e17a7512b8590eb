//! The task store: what is waiting, what runs, and what became of it.
//!
//! One trait, [`TaskStore`], in whole batches; one module per engine; one conformance suite
//! (`tests/conformance`). Tables are laid out for speed: a narrow hot row per waiting task, the
//! envelope written once, history apart. Worker processes hold *one* lease each, kept alive by a
//! counter, so that a heartbeat is one row whatever the number of tasks.
//!
//! **Invariant:** the store never looks into a payload, and never decides whether a task may run.

mod backoff;
mod clock;
mod engine;
mod error;
mod handover;
mod limits;
mod model;
mod postgres;
mod sqlite;
mod store;
mod window;

pub use backoff::Backoff;
pub use clock::ServerClock;
pub use error::StoreError;
pub use model::{
    AttemptDetail, AttemptReport, Conservation, Counts, Enqueued, FinalWrite, HeldTask, JobLimits,
    Lane, LaneCount, LeaseRequest, LeasedTask, LostTask, MAX_LOST, NewTask, Priority, Progress,
    QueueDepth, Reconciled, RejectionRow, RejectionSeen, Settle, Settled, Settlement, SourceLimits,
    StoredTask, TaskDetail, TaskFilter, TaskState, TaskSummary, Tick, WaitingTask, WorkerRecord,
};
pub use postgres::PostgresStore;
pub use sqlite::{SCHEMA, SqliteStore};
pub use store::{Beat, PruneLimits, Rescued, StoreFuture, TaskStore, random_bytes};
