//! Usage: per file and hour as metered, summed per stream and month, and per account and month.

pub(crate) mod file;
pub(crate) mod report;

use database::{DbError, Query, Tx};
use values::{AccountId, Month, ProjectId, RecordingId, StreamId, Timestamp, UsageKind};

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
    /// How much was sent.
    pub bandwidth: Bandwidth,
    /// Bytes of recordings that count for the month.
    pub storage_bytes: u64,
    /// Milliseconds that people spent in rooms.
    pub peer_milliseconds: u64,
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

/// The last month for which accounts that store something were marked.
pub(crate) const USAGE_SEEDED: &str = "CREATE TABLE usage_seeded (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), month INTEGER NOT NULL) STRICT, WITHOUT ROWID";
/// Months that are caught up with at the most, after a long rest.
const SEEDED_MONTHS_MAX: i64 = 24;

/// Marks an account to be summed again, from a month on.
pub(crate) async fn mark_account(
    tx: &mut Tx<'_>,
    account: AccountId,
    from: Month,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO usage_dirty (month, stream_id) VALUES ($1, $2)
           ON CONFLICT (month, stream_id) DO NOTHING",
    );
    tx.execute(query.bind(from).bind(account)).await?;
    let query = Query::new(
        "INSERT INTO usage_dirty (month, stream_id)
           SELECT month, account_id FROM usage_account_month
             WHERE account_id = $2 AND month > $1
           ON CONFLICT (month, stream_id) DO NOTHING",
    );
    tx.execute(query.bind(from).bind(account)).await.map(|_| ())
}

/// Marks the account of a recording whose storage changed at an instant.
pub(crate) async fn mark_recording(
    tx: &mut Tx<'_>,
    recording: RecordingId,
    at: Timestamp,
) -> Result<(), DbError> {
    lock(tx).await?;
    let query = Query::new(
        "SELECT p.account_id FROM recording r JOIN project p ON p.id = r.project_id
           WHERE r.id = $1",
    );
    match tx.first(query.bind(recording)).await? {
        Some(row) => mark_account(tx, row.get(0)?, at.month()).await,
        None => Ok(()),
    }
}

/// Marks the account of a project whose recordings went with it at an instant.
pub(crate) async fn mark_project(
    tx: &mut Tx<'_>,
    project: ProjectId,
    at: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "SELECT p.account_id FROM project p WHERE p.id = $1 AND EXISTS (
           SELECT 1 FROM recording r WHERE r.project_id = p.id)",
    );
    if let Some(row) = tx.first(query.bind(project)).await? {
        lock(tx).await?;
        mark_account(tx, row.get(0)?, at.month()).await?;
    }
    Ok(())
}

/// Marks every account that stores something once a month has begun: what is kept counts again.
pub(crate) async fn seed_month(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), DbError> {
    let this = now.month().index();
    let row = tx.first(Query::new("SELECT month FROM usage_seeded")).await?;
    let seeded = row.map(|row| row.get::<i64>(0)).transpose()?;
    let first = seeded.map_or(this, |month| (month + 1).max(this - SEEDED_MONTHS_MAX));
    if first > this {
        return Ok(());
    }
    for month in (first..=this).filter_map(Month::from_index) {
        let query = Query::new(
            "INSERT INTO usage_dirty (month, stream_id)
               SELECT DISTINCT CAST($1 AS BIGINT), p.account_id
                 FROM recording r JOIN project p ON p.id = r.project_id
                 WHERE r.catalogued_at < $2 AND (r.deleted_at IS NULL OR r.deleted_at >= $2)
               ON CONFLICT (month, stream_id) DO NOTHING",
        );
        tx.execute(query.bind(month).bind(month.end())).await?;
    }
    let query = Query::new(
        "INSERT INTO usage_seeded (id, month) VALUES (1, $1)
           ON CONFLICT (id) DO UPDATE SET month = excluded.month",
    );
    tx.execute(query.bind(this)).await.map(|_| ())
}
