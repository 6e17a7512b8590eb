//! Each job through its real struct, on real databases, folders and object storage.

mod bad_input;
mod cases;
mod discover_logs;
mod harness;
mod logs;
mod monitoring;
mod process_log;
mod roll_up_usage;
#[cfg(feature = "s3")]
mod s3;
