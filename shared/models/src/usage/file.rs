//! The usage rows of one file, and the month sums that follow them.

use std::collections::{BTreeMap, BTreeSet};

use database::{DbError, Query, Tx};
use values::{LogFileId, Month, StreamId, Timestamp, UsageKind};

use crate::reader::whole;
use crate::roll_up::Change;
use crate::usage::lock;
use crate::{Reader, UsageRow, batch};

/// What became of the usage rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// Rows an earlier attempt had left.
    pub before: usize,
    /// Rows there are now: one for each stream, hour and kind.
    pub after: usize,
    /// Whether the two differ; if not, nothing was written.
    pub changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amount {
    bytes: i64,
    lines: i64,
    seconds: i64,
}

type Hours = BTreeMap<(StreamId, Timestamp, UsageKind), Amount>;
type Months = BTreeMap<(StreamId, Month, UsageKind), Amount>;

/// Checks that the file's usage can be stored: that no month of a stream sums to more than 2^63 - 1.
///
/// It is what completing the file would find out, told while the file can still be noted as failed.
///
/// # Errors
/// [`DbError::Refused`], which names the stream and the month.
pub async fn check(
    mut reader: impl Reader,
    file: LogFileId,
    usage: &[UsageRow],
) -> Result<(), DbError> {
    let months = difference(&stored(&mut reader, file).await?, &fold(usage)?)?;
    check_months(&mut reader, &months).await
}

/// Makes `usage` the rows of the file and moves the month sums by what changes.
pub(crate) async fn replace(
    tx: &mut Tx<'_>,
    file: LogFileId,
    usage: &[UsageRow],
) -> Result<Replaced, DbError> {
    let after = fold(usage)?;
    let before = stored(&mut &mut *tx, file).await?;
    let replaced = Replaced { before: before.len(), after: after.len(), changed: before != after };
    if !replaced.changed {
        return Ok(replaced);
    }
    if !before.is_empty() {
        let query = Query::new("DELETE FROM usage_hour WHERE log_file_id = $1");
        tx.execute(query.bind(file)).await?;
    }
    let rows: Vec<_> = after.iter().collect();
    let into = "INSERT INTO usage_hour
      (log_file_id, stream_id, hour, kind, bytes, lines, seconds) VALUES";
    batch::insert(tx, into, "", &rows, |((stream, hour, kind), amount)| {
        [
            file.into(),
            (*stream).into(),
            (*hour).into(),
            (*kind).into(),
            amount.bytes.into(),
            amount.lines.into(),
            amount.seconds.into(),
        ]
    })
    .await?;
    lock(tx).await?;
    move_months(tx, &difference(&before, &after)?).await?;
    Ok(replaced)
}

fn fold(usage: &[UsageRow]) -> Result<Hours, DbError> {
    let mut hours = Hours::new();
    for row in usage {
        let amount = Amount {
            bytes: whole("usage in bytes", row.bytes)?,
            lines: whole("usage in lines", row.lines)?,
            seconds: whole("usage in seconds", row.seconds)?,
        };
        let sum = hours.entry((row.stream_id, row.hour.hour_start(), row.kind)).or_default();
        *sum = add(*sum, amount)?;
    }
    Ok(hours)
}

async fn stored(reader: &mut impl Reader, file: LogFileId) -> Result<Hours, DbError> {
    let query = Query::new(
        "SELECT stream_id, hour, kind, bytes, lines, seconds FROM usage_hour
           WHERE log_file_id = $1",
    );
    let rows = reader.all(query.bind(file)).await?;
    let read = rows.iter().map(|row| {
        let amount = Amount { bytes: row.get(3)?, lines: row.get(4)?, seconds: row.get(5)? };
        Ok(((row.get(0)?, row.get(1)?, row.get(2)?), amount))
    });
    read.collect()
}

/// What has to be added to each month so that `before` becomes `after`, without zeros.
fn difference(before: &Hours, after: &Hours) -> Result<Months, DbError> {
    let mut months = Months::new();
    for ((stream, hour, kind), amount) in before {
        let taken = Amount { bytes: -amount.bytes, lines: -amount.lines, seconds: -amount.seconds };
        let sum = months.entry((*stream, hour.month(), *kind)).or_default();
        *sum = add(*sum, taken)?;
    }
    for ((stream, hour, kind), amount) in after {
        let sum = months.entry((*stream, hour.month(), *kind)).or_default();
        *sum = add(*sum, *amount)?;
    }
    months.retain(|_, amount| *amount != Amount::default());
    Ok(months)
}

fn add(left: Amount, right: Amount) -> Result<Amount, DbError> {
    let refused = || DbError::Refused("the usage of a file sums to more than 2^63 - 1".into());
    checked_add(left, right).ok_or_else(refused)
}

fn checked_add(left: Amount, right: Amount) -> Option<Amount> {
    Some(Amount {
        bytes: left.bytes.checked_add(right.bytes)?,
        lines: left.lines.checked_add(right.lines)?,
        seconds: left.seconds.checked_add(right.seconds)?,
    })
}

/// Refuses what would take a month's sum beyond what a table keeps.
async fn check_months(reader: &mut impl Reader, months: &Months) -> Result<(), DbError> {
    let mut streams: Vec<StreamId> = months.keys().map(|(stream, _, _)| *stream).collect();
    streams.dedup();
    let sql = (
        "SELECT stream_id, month, kind, bytes, lines, seconds FROM usage_stream_month
           WHERE month >= $1 AND month <= $2 AND stream_id IN",
        "",
    );
    let first = months.keys().map(|(_, month, _)| *month).min();
    let last = months.keys().map(|(_, month, _)| *month).max();
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let fixed = [first.into(), last.into()];
    for row in batch::select_in(reader, sql, &fixed, &streams, |stream| *stream).await? {
        let (stream, month): (StreamId, Month) = (row.get(0)?, row.get(1)?);
        let Some(more) = months.get(&(stream, month, row.get(2)?)) else { continue };
        let sum = Amount { bytes: row.get(3)?, lines: row.get(4)?, seconds: row.get(5)? };
        if checked_add(sum, *more).is_none() {
            return Err(beyond(stream, month));
        }
    }
    Ok(())
}

fn beyond(stream: StreamId, month: Month) -> DbError {
    DbError::Refused(format!(
        "the usage of {stream} in {month} would sum to more than 2^63 - 1; \
         correct this file, or those that bring the month so near to it"
    ))
}

async fn move_months(tx: &mut Tx<'_>, months: &Months) -> Result<(), DbError> {
    let falls = |amount: &Amount| amount.bytes < 0 || amount.lines < 0 || amount.seconds < 0;
    let (falling, rising): (Vec<_>, Vec<_>) = months.iter().partition(|(_, amount)| falls(amount));
    let into = "INSERT INTO usage_stream_month
      (stream_id, month, kind, bytes, lines, seconds) VALUES";
    // A sum beyond 2^63 - 1 is left as it is, which the number of changed rows then shows.
    let conflict = "ON CONFLICT (stream_id, month, kind) DO UPDATE SET
      bytes = usage_stream_month.bytes + excluded.bytes,
      lines = usage_stream_month.lines + excluded.lines,
      seconds = usage_stream_month.seconds + excluded.seconds
      WHERE usage_stream_month.bytes <= 9223372036854775807 - excluded.bytes
        AND usage_stream_month.lines <= 9223372036854775807 - excluded.lines
        AND usage_stream_month.seconds <= 9223372036854775807 - excluded.seconds";
    let changed = batch::insert(tx, into, conflict, &rising, |((stream, month, kind), amount)| {
        [
            (*stream).into(),
            (*month).into(),
            (*kind).into(),
            amount.bytes.into(),
            amount.lines.into(),
            amount.seconds.into(),
        ]
    })
    .await?;
    if changed != rising.len() as u64 {
        // Read again, so that the refusal can name a stream whose sum has no room left.
        let rising = rising.into_iter().map(|(key, amount)| (*key, *amount)).collect();
        check_months(&mut &mut *tx, &rising).await?;
        return Err(DbError::Refused("a month's usage sums to more than 2^63 - 1".to_owned()));
    }
    for ((stream, month, kind), amount) in falling {
        lower(tx, (*stream, *month, *kind), *amount).await?;
    }
    let touched = months.keys().map(|(stream, month, _)| (*month, *stream)).collect();
    mark(tx, &touched).await
}

/// Has the account of each stream summed again for that month.
pub(crate) async fn mark(tx: &mut Tx<'_>, changes: &BTreeSet<Change>) -> Result<(), DbError> {
    let changes: Vec<&Change> = changes.iter().collect();
    let into = "INSERT INTO usage_dirty (month, stream_id) VALUES";
    let conflict = "ON CONFLICT (month, stream_id) DO NOTHING";
    batch::insert(tx, into, conflict, &changes, |(month, stream)| {
        [(*month).into(), (*stream).into()]
    })
    .await?;
    Ok(())
}

/// Changes a sum of which some part falls; a row of nothing is removed.
async fn lower(
    tx: &mut Tx<'_>,
    (stream, month, kind): (StreamId, Month, UsageKind),
    amount: Amount,
) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE usage_stream_month
           SET bytes = bytes + $4, lines = lines + $5, seconds = seconds + $6
           WHERE stream_id = $1 AND month = $2 AND kind = $3",
    );
    let query = query.bind(stream).bind(month).bind(kind);
    let query = query.bind(amount.bytes).bind(amount.lines).bind(amount.seconds);
    if tx.execute(query).await? == 0 {
        let message = format!("the usage of {stream} in {month} was to be lowered, but has no row");
        return Err(DbError::Refused(message));
    }
    let query = Query::new(
        "DELETE FROM usage_stream_month WHERE stream_id = $1 AND month = $2 AND kind = $3
           AND bytes = 0 AND lines = 0 AND seconds = 0",
    );
    tx.execute(query.bind(stream).bind(month).bind(kind)).await?;
    Ok(())
}
