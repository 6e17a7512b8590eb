//! Usage: per file and hour as metered, summed per stream and month, and per account and month.

pub(crate) mod file;
pub(crate) mod report;

use database::{DbError, Tx};
use values::{AccountId, Month, StreamId, Timestamp, UsageKind};

pub use file::{Replaced, check};
pub use report::{
    AccountUsage, account_month, account_months, accounts_of_month, month_total, project_month,
    stream_month,
};

/// What one file meters for one stream, hour and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRow {
    /// The stream that was watched.
    pub stream_id: StreamId,
    /// An instant within the UTC hour; stored as the hour's start.
    pub hour: Timestamp,
    /// How it was watched.
    pub kind: UsageKind,
    /// Bytes served.
    pub bytes: u64,
    /// Lines that say so.
    pub lines: u64,
    /// Seconds watched, where the log tells.
    pub seconds: u64,
}

/// Bandwidth of a month by kind.
///
/// What sums to more than 2^63 - 1 is shown as 2^63 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// All kinds together.
    pub total_bytes: u64,
    /// Live over RTMP.
    pub fms_bytes: u64,
    /// Live over HTTP.
    pub hls_bytes: u64,
    /// Recordings.
    pub vod_bytes: u64,
    /// Log lines behind it.
    pub lines: u64,
}

/// What an account used in a month, as the last roll-up summed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountMonth {
    /// Whose usage.
    pub account_id: AccountId,
    /// Of which month.
    pub month: Month,
    /// How much.
    pub bandwidth: Bandwidth,
    /// When a roll-up last changed it.
    pub updated_at: Timestamp,
}

/// Makes whoever changes month sums, or what they are summed by, wait for each other.
///
/// The settlement of a group of tasks changes sums of many files in one transaction, so no order of
/// single rows would keep two of them from a deadlock. On SQLite all writers are one anyway.
pub(crate) async fn lock(tx: &mut Tx<'_>) -> Result<(), DbError> {
    tx.lock("models: usage").await
}
