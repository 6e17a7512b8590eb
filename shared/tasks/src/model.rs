//! What goes into the store and comes out of it.

mod settlement;
mod task;
mod view;

pub(crate) use settlement::chain;
pub use settlement::{AttemptReport, FinalWrite, Progress, Settle, Settled, Settlement};
pub use task::{
    Enqueued, Lane, LeaseRequest, LeasedTask, NewTask, Priority, StoredTask, TaskState, Tick,
};
pub use view::{
    AttemptDetail, HeldTask, QueueDepth, RejectionRow, RejectionSeen, TaskDetail, TaskFilter,
    TaskSummary, WorkerRecord,
};
