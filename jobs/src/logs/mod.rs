//! Edge logs become usage.

mod discover_logs;
mod process_log;
mod source;

pub(crate) use discover_logs::DiscoverLogs;
pub(crate) use process_log::ProcessLog;
