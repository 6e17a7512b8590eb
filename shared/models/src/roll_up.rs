//! Month-to-date usage per account, from what changed since the last roll-up.

use std::collections::BTreeSet;

use database::{DbError, Query, Tx};
use values::{AccountId, Month, StreamId, Timestamp};

use crate::batch;

/// What one roll-up did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledUp {
    /// Accounts and months that were summed again.
    pub account_months: usize,
    /// Streams and months that belong to no account, and so stay unbilled.
    pub unassigned: usize,
    /// Whether more is waiting: call again, in a transaction of its own.
    pub more: bool,
}

/// Sums the accounts whose streams' usage changed; deleted projects and streams count too.
///
/// At most `limit` changed (stream, month) pairs are looked at, of one month or of all; whatever
/// else changed for the accounts behind them is done in the same go. The cost follows the streams
/// of those accounts, not the usage stored. Repeated until nothing is left, the result does not
/// depend on how the work was cut.
pub async fn roll_up(
    tx: &mut Tx<'_>,
    month: Option<Month>,
    limit: u32,
    now: Timestamp,
) -> Result<RolledUp, DbError> {
    let (first, last) = month.map_or((i64::MIN, i64::MAX), |m| (m.index(), m.index()));
    let query = Query::new(
        "SELECT d.month, d.stream_id, p.account_id FROM usage_dirty d
           LEFT JOIN stream s ON s.id = d.stream_id LEFT JOIN project p ON p.id = s.project_id
           WHERE d.month >= $1 AND d.month <= $2 ORDER BY d.month, d.stream_id LIMIT $3",
    );
    let mut touched: BTreeSet<(Month, AccountId)> = BTreeSet::new();
    let mut unassigned: Vec<(Month, StreamId)> = Vec::new();
    for row in tx.all(query.bind(first).bind(last).bind(limit)).await? {
        match row.get::<Option<AccountId>>(2)? {
            Some(account) => _ = touched.insert((row.get(0)?, account)),
            None => unassigned.push((row.get(0)?, row.get(1)?)),
        }
    }
    for (month, account) in &touched {
        sum(tx, *account, *month, now).await?;
    }
    for part in unassigned.chunk_by(|left, right| left.0 == right.0) {
        let sql = ("DELETE FROM usage_dirty WHERE month = $1 AND stream_id IN", "");
        let month = [part[0].0.into()];
        batch::execute_in(tx, sql, &month, part, |(_, stream)| *stream).await?;
    }
    let query = Query::new("SELECT 1 FROM usage_dirty WHERE month >= $1 AND month <= $2 LIMIT 1");
    let more = tx.first(query.bind(first).bind(last)).await?.is_some();
    Ok(RolledUp { account_months: touched.len(), unassigned: unassigned.len(), more })
}

async fn sum(
    tx: &mut Tx<'_>,
    account: AccountId,
    month: Month,
    now: Timestamp,
) -> Result<(), DbError> {
    // The marks go first: usage that arrives after this statement leaves a mark of its own.
    let query = Query::new(
        "DELETE FROM usage_dirty WHERE month = $2 AND stream_id IN (
           SELECT s.id FROM project p JOIN stream s ON s.project_id = p.id
             WHERE p.account_id = $1)",
    );
    tx.execute(query.bind(account).bind(month)).await?;
    let query = Query::new(
        "INSERT INTO usage_account_month (account_id, month, bandwidth_bytes, fms_bytes,
           hls_bytes, vod_bytes, lines, updated_at)
         SELECT $1, $2, CAST(coalesce(sum(u.bytes), 0) AS BIGINT),
           CAST(coalesce(sum(CASE u.kind WHEN 1 THEN u.bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(CASE u.kind WHEN 2 THEN u.bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(CASE u.kind WHEN 3 THEN u.bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(u.lines), 0) AS BIGINT), $3
           FROM project p JOIN stream s ON s.project_id = p.id
             JOIN usage_stream_month u ON u.stream_id = s.id AND u.month = $2
           WHERE p.account_id = $1
         ON CONFLICT (account_id, month) DO UPDATE SET
           bandwidth_bytes = excluded.bandwidth_bytes, fms_bytes = excluded.fms_bytes,
           hls_bytes = excluded.hls_bytes, vod_bytes = excluded.vod_bytes,
           lines = excluded.lines, updated_at = excluded.updated_at",
    );
    tx.execute(query.bind(account).bind(month).bind(now)).await?;
    Ok(())
}
