//! What goes into the store and comes out of it.

mod count;
mod settlement;
mod task;
mod view;

pub use count::{Conservation, Counts, LaneCount, LostTask, MAX_LOST, Reconciled};
pub(crate) use settlement::chain;
pub use settlement::{AttemptReport, FinalWrite, Progress, Settle, Settled, Settlement};
pub use task::{
    Enqueued, JobLimits, Lane, LeaseRequest, LeasedTask, NewTask, Priority, SourceLimits,
    StoredTask, TaskState, Tick, WaitingTask,
};
pub use view::{
    AttemptDetail, HeldTask, QueueDepth, RejectionRow, RejectionSeen, TaskDetail, TaskFilter,
    TaskSummary, WorkerRecord,
};
