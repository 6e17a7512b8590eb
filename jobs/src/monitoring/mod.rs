//! The worker looks after itself.

mod check_queues;
mod prune_history;
mod report_environment;

pub(crate) use check_queues::CheckQueues;
pub(crate) use prune_history::PruneHistory;
pub(crate) use report_environment::ReportEnvironment;
