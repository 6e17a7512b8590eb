//! Sums for people and tables.

use database::{DbError, Query, Row};
use values::{AccountId, Month, ProjectId, StreamId};

use super::{AccountMonth, Bandwidth};
use crate::Reader;
use crate::reader::amount;

/// An account's usage of a month, with the account's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountUsage {
    /// The account's name.
    pub name: String,
    /// What it used.
    pub usage: AccountMonth,
}

/// Finds what an account used in a month, as the last roll-up summed it.
pub async fn account_month(
    mut reader: impl Reader,
    account_id: AccountId,
    month: Month,
) -> Result<Option<AccountMonth>, DbError> {
    let query = Query::new(
        "SELECT account_id, month, bandwidth_bytes, fms_bytes, hls_bytes, vod_bytes, lines,
           updated_at FROM usage_account_month WHERE account_id = $1 AND month = $2",
    );
    let row = reader.first(query.bind(account_id).bind(month)).await?;
    row.as_ref().map(|row| read_month(row, 0)).transpose()
}

/// Reads at most `limit` sums in the order of (account, month) after `after`.
pub async fn account_months(
    mut reader: impl Reader,
    after: Option<(AccountId, Month)>,
    limit: u32,
) -> Result<Vec<AccountMonth>, DbError> {
    let query = Query::new(
        "SELECT account_id, month, bandwidth_bytes, fms_bytes, hls_bytes, vod_bytes, lines,
           updated_at FROM usage_account_month
           WHERE (account_id, month) > ($1, $2) ORDER BY account_id, month LIMIT $3",
    );
    let account = after.map_or_else(Vec::new, |(account, _)| account.as_bytes().to_vec());
    let month = after.map_or(i64::MIN, |(_, month)| month.index());
    let rows = reader.all(query.bind(account).bind(month).bind(limit)).await?;
    rows.iter().map(|row| read_month(row, 0)).collect()
}

/// Finds the accounts that used most in a month, at most `limit`, most first.
pub async fn accounts_of_month(
    mut reader: impl Reader,
    month: Month,
    limit: u32,
) -> Result<Vec<AccountUsage>, DbError> {
    let query = Query::new(
        "SELECT a.name, u.account_id, u.month, u.bandwidth_bytes, u.fms_bytes, u.hls_bytes,
           u.vod_bytes, u.lines, u.updated_at
           FROM usage_account_month u JOIN account a ON a.id = u.account_id
           WHERE u.month = $1 ORDER BY u.bandwidth_bytes DESC, u.account_id LIMIT $2",
    );
    let rows = reader.all(query.bind(month).bind(limit)).await?;
    let read = |row: &Row| Ok(AccountUsage { name: row.get(0)?, usage: read_month(row, 1)? });
    rows.iter().map(read).collect()
}

/// Adds up what all accounts used in a month; what no account pays for is not in it.
pub async fn month_total(mut reader: impl Reader, month: Month) -> Result<Bandwidth, DbError> {
    let query = Query::new(
        "SELECT CAST(coalesce(sum(bandwidth_bytes), 0) AS BIGINT),
           CAST(coalesce(sum(fms_bytes), 0) AS BIGINT),
           CAST(coalesce(sum(hls_bytes), 0) AS BIGINT),
           CAST(coalesce(sum(vod_bytes), 0) AS BIGINT), CAST(coalesce(sum(lines), 0) AS BIGINT)
           FROM usage_account_month WHERE month = $1",
    );
    read_sum(reader.first(query.bind(month)).await?.as_ref())
}

/// Adds up what a stream used in a month, up to the last completed file.
pub async fn stream_month(
    mut reader: impl Reader,
    stream_id: StreamId,
    month: Month,
) -> Result<Bandwidth, DbError> {
    let query = Query::new(
        "SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT),
           CAST(coalesce(sum(CASE kind WHEN 1 THEN bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(CASE kind WHEN 2 THEN bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(CASE kind WHEN 3 THEN bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(lines), 0) AS BIGINT)
           FROM usage_stream_month WHERE stream_id = $1 AND month = $2",
    );
    read_sum(reader.first(query.bind(stream_id).bind(month)).await?.as_ref())
}

/// Adds up what the streams of a project used in a month, up to the last completed file.
pub async fn project_month(
    mut reader: impl Reader,
    project_id: ProjectId,
    month: Month,
) -> Result<Bandwidth, DbError> {
    let query = Query::new(
        "SELECT CAST(coalesce(sum(u.bytes), 0) AS BIGINT),
           CAST(coalesce(sum(CASE u.kind WHEN 1 THEN u.bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(CASE u.kind WHEN 2 THEN u.bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(CASE u.kind WHEN 3 THEN u.bytes END), 0) AS BIGINT),
           CAST(coalesce(sum(u.lines), 0) AS BIGINT)
           FROM stream s JOIN usage_stream_month u ON u.stream_id = s.id
           WHERE s.project_id = $1 AND u.month = $2",
    );
    read_sum(reader.first(query.bind(project_id).bind(month)).await?.as_ref())
}

fn read_month(row: &Row, first: usize) -> Result<AccountMonth, DbError> {
    Ok(AccountMonth {
        account_id: row.get(first)?,
        month: row.get(first + 1)?,
        bandwidth: read_bandwidth(row, first + 2)?,
        updated_at: row.get(first + 7)?,
    })
}

fn read_sum(row: Option<&Row>) -> Result<Bandwidth, DbError> {
    row.map_or_else(|| Ok(Bandwidth::default()), |row| read_bandwidth(row, 0))
}

fn read_bandwidth(row: &Row, first: usize) -> Result<Bandwidth, DbError> {
    Ok(Bandwidth {
        total_bytes: amount(row, first)?,
        fms_bytes: amount(row, first + 1)?,
        hls_bytes: amount(row, first + 2)?,
        vod_bytes: amount(row, first + 3)?,
        lines: amount(row, first + 4)?,
    })
}
