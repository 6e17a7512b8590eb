//! Each job through its real struct, on real databases, folders and object storage.

#[cfg(test)]
mod archival;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod billing;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod discover_logs;
#[cfg(test)]
mod emails;
#[cfg(test)]
mod enforce_limits;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod heard;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod marketplace;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod peer_time;
#[cfg(test)]
mod process_log;
#[cfg(test)]
mod roll_up_usage;
#[cfg(feature = "s3")]
#[cfg(test)]
mod s3;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod worker_toml;
