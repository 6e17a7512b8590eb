//! The worker looks after itself.

mod prune_history;
mod report_environment;

pub(crate) use prune_history::PruneHistory;
pub(crate) use report_environment::ReportEnvironment;
