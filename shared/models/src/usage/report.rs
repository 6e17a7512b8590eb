//! Sums for people and tables.

use database::{DbError, Query, Row};
use values::{AccountId, Month, ProjectId, StreamId};

use super::{AccountMonth, Bandwidth};
use crate::Reader;
use crate::reader::{amount, wide, wide_sum};

/// The sums of `usage_stream_month u`: all kinds, each kind, lines; two columns each.
macro_rules! by_kind {
    () => {
        concat!(
            wide_sum!("u.bytes"),
            ", ",
            wide_sum!("CASE u.kind WHEN 1 THEN u.bytes END"),
            ", ",
            wide_sum!("CASE u.kind WHEN 2 THEN u.bytes END"),
            ", ",
            wide_sum!("CASE u.kind WHEN 3 THEN u.bytes END"),
            ", ",
            wide_sum!("u.lines")
        )
    };
}
pub(crate) use by_kind;

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
           updated_at, storage_bytes, peer_milliseconds FROM usage_account_month WHERE account_id = $1 AND month = $2",
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
           updated_at, storage_bytes, peer_milliseconds FROM usage_account_month
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
           u.vod_bytes, u.lines, u.updated_at, u.storage_bytes, u.peer_milliseconds
           FROM usage_account_month u JOIN account a ON a.id = u.account_id
           WHERE u.month = $1 ORDER BY u.bandwidth_bytes DESC, u.account_id LIMIT $2",
    );
    let rows = reader.all(query.bind(month).bind(limit)).await?;
    let read = |row: &Row| Ok(AccountUsage { name: row.get(0)?, usage: read_month(row, 1)? });
    rows.iter().map(read).collect()
}

/// Adds up what all accounts used in a month; what no account pays for is not in it.
pub async fn month_total(mut reader: impl Reader, month: Month) -> Result<Bandwidth, DbError> {
    let query = Query::new(concat!(
        "SELECT ",
        wide_sum!("bandwidth_bytes"),
        ", ",
        wide_sum!("fms_bytes"),
        ", ",
        wide_sum!("hls_bytes"),
        ", ",
        wide_sum!("vod_bytes"),
        ", ",
        wide_sum!("lines"),
        " FROM usage_account_month WHERE month = $1"
    ));
    read_sum(reader.first(query.bind(month)).await?.as_ref())
}

/// Adds up what a stream used in a month, up to the last completed file.
pub async fn stream_month(
    mut reader: impl Reader,
    stream_id: StreamId,
    month: Month,
) -> Result<Bandwidth, DbError> {
    let query = Query::new(concat!(
        "SELECT ",
        by_kind!(),
        " FROM usage_stream_month u WHERE u.stream_id = $1 AND u.month = $2"
    ));
    read_sum(reader.first(query.bind(stream_id).bind(month)).await?.as_ref())
}

/// Adds up what the streams of a project used in a month, up to the last completed file.
pub async fn project_month(
    mut reader: impl Reader,
    project_id: ProjectId,
    month: Month,
) -> Result<Bandwidth, DbError> {
    let query = Query::new(concat!(
        "SELECT ",
        by_kind!(),
        " FROM stream s JOIN usage_stream_month u ON u.stream_id = s.id
           WHERE s.project_id = $1 AND u.month = $2"
    ));
    read_sum(reader.first(query.bind(project_id).bind(month)).await?.as_ref())
}

fn read_month(row: &Row, first: usize) -> Result<AccountMonth, DbError> {
    Ok(AccountMonth {
        account_id: row.get(first)?,
        month: row.get(first + 1)?,
        bandwidth: read_bandwidth(row, first + 2)?,
        updated_at: row.get(first + 7)?,
        storage_bytes: amount(row, first + 8)?,
        peer_milliseconds: amount(row, first + 9)?,
    })
}

fn read_sum(row: Option<&Row>) -> Result<Bandwidth, DbError> {
    let Some(row) = row else { return Ok(Bandwidth::default()) };
    let most = i64::MAX.cast_unsigned();
    let sum = |place: usize| {
        wide(row, 2 * place).map(|sum| u64::try_from(sum).map_or(most, |sum| sum.min(most)))
    };
    Ok(Bandwidth {
        total_bytes: sum(0)?,
        fms_bytes: sum(1)?,
        hls_bytes: sum(2)?,
        vod_bytes: sum(3)?,
        lines: sum(4)?,
    })
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
