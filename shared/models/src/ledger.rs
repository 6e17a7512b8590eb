//! The log ledger: which files were found, and what became of each.

use database::{DbError, Query, Row, Tx};
use values::{LogFileId, Timestamp};

use crate::reader::{optional_amount, whole};
use crate::usage::file::{Replaced, replace};
use crate::words::words;
use crate::{Reader, UsageRow, batch};

mod marker;
mod outcome;

pub use marker::{LogMarker, marker, set_marker};
pub use outcome::{FileOutcome, FileTotals, MAX_PROBLEM_BYTES};

/// Characters of a file's error that are kept.
const MAX_ERROR_CHARS: usize = 1_000;

words! {
    /// Where a file stands.
    LogState, "a state of a log file":
    /// Found in a listing or begun, not finished.
    Discovered = "discovered",
    /// Its usage is stored.
    Complete = "complete",
    /// The last attempt failed; a later one may complete it.
    Failed = "failed",
}

/// One file of a log source, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its id, which its usage rows carry.
    pub id: LogFileId,
    /// The log source it was found in.
    pub log_source: String,
    /// Its key below the source's location; unique within the source.
    pub key: String,
    /// Where it stands.
    pub state: LogState,
    /// Its size as stored, compressed.
    pub size_bytes: Option<u64>,
    /// Its lines, once complete.
    pub lines: Option<u64>,
    /// The bytes it meters, once complete.
    pub bytes: Option<u64>,
    /// How often it was begun.
    pub attempts: u32,
    /// When it was first seen.
    pub discovered_at: Timestamp,
    /// When it was last begun.
    pub started_at: Option<Timestamp>,
    /// When it was last completed.
    pub completed_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What became of its lines: a JSON object of counts.
    pub line_counts: Option<String>,
    /// The first lines with errors: a JSON array.
    pub problems: Option<String>,
}

/// A file that a listing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The id it gets if it is new.
    pub id: LogFileId,
    /// The log source it was found in.
    pub log_source: String,
    /// Its key below the source's location.
    pub key: String,
    /// Its size as stored, compressed.
    pub size_bytes: u64,
}

/// Finds those keys that have no complete row, in the order given: what is to be processed.
pub async fn unprocessed(
    mut reader: impl Reader,
    log_source: &str,
    keys: &[String],
) -> Result<Vec<String>, DbError> {
    let sql =
        ("SELECT key FROM log_file WHERE state = 'complete' AND log_source = $1 AND key IN", "");
    let fixed = [log_source.into()];
    let rows = batch::select_in(&mut reader, sql, &fixed, keys, String::clone).await?;
    let complete: Result<std::collections::HashSet<String>, DbError> =
        rows.iter().map(|row| row.get(0)).collect();
    let complete = complete?;
    Ok(keys.iter().filter(|key| !complete.contains(*key)).cloned().collect())
}

/// Notes files that a listing found; those the ledger knows stay as they are. Returns new ones.
///
/// # Errors
/// [`DbError::Refused`] for a size beyond 2^63 - 1.
pub async fn record_discovered(
    tx: &mut Tx<'_>,
    files: &[Discovered],
    now: Timestamp,
) -> Result<u64, DbError> {
    for file in files {
        whole("the size of a log file", file.size_bytes)?;
    }
    let into = "INSERT INTO log_file
      (id, log_source, key, state, size_bytes, attempts, discovered_at) VALUES";
    let conflict = "ON CONFLICT (log_source, key) DO NOTHING";
    batch::insert(tx, into, conflict, files, |file| {
        [
            file.id.into(),
            file.log_source.as_str().into(),
            file.key.as_str().into(),
            LogState::Discovered.into(),
            file.size_bytes.cast_signed().into(),
            0_i64.into(),
            now.into(),
        ]
    })
    .await
}

/// Notes that an attempt at a file begins, whether or not a listing found it; returns its row.
///
/// `new_id` is the id it gets if the ledger does not know it. A complete file stays complete.
pub async fn begin_file(
    tx: &mut Tx<'_>,
    log_source: &str,
    key: &str,
    new_id: LogFileId,
    now: Timestamp,
) -> Result<LogFile, DbError> {
    let query = Query::new(
        "INSERT INTO log_file (id, log_source, key, state, attempts, discovered_at, started_at)
           VALUES ($1, $2, $3, $4, 1, $5, $5)
           ON CONFLICT (log_source, key) DO UPDATE
           SET attempts = log_file.attempts + 1, started_at = excluded.started_at",
    );
    let query = query.bind(new_id).bind(log_source).bind(key).bind(LogState::Discovered);
    tx.execute(query.bind(now)).await?;
    let file = get(&mut *tx, log_source, key).await?;
    file.ok_or_else(|| DbError::Refused(format!("log file `{key}` vanished while it was begun")))
}

/// Completes a file: its usage replaces whatever an earlier attempt stored, month sums follow.
///
/// Everything happens in the caller's transaction. Rows of the same stream, hour and kind are
/// added up. The same usage again changes nothing but the ledger row.
///
/// # Errors
/// [`DbError::Refused`] if the ledger has no such file, or a sum goes beyond 2^63 - 1.
pub async fn complete_file(
    tx: &mut Tx<'_>,
    id: LogFileId,
    outcome: &FileOutcome,
    usage: &[UsageRow],
    now: Timestamp,
) -> Result<Replaced, DbError> {
    // The ledger row first: it makes two attempts at one file follow each other on any engine.
    let query = Query::new(
        "UPDATE log_file SET state = $2, size_bytes = $3, lines = $4, bytes = $5,
           line_counts = $6, problems = $7, error = NULL, completed_at = $8 WHERE id = $1",
    );
    let query = query
        .bind(id)
        .bind(LogState::Complete)
        .bind(whole("the size of a log file", outcome.totals.size_bytes)?)
        .bind(whole("the number of lines", outcome.totals.lines)?)
        .bind(whole("the bytes of a log file", outcome.totals.bytes)?)
        .bind(outcome.line_counts.as_str())
        .bind(outcome.problems.as_str())
        .bind(now);
    if tx.execute(query).await? == 0 {
        return Err(DbError::Refused(format!("the ledger has no log file {id}; begin it first")));
    }
    replace(tx, id, usage).await
}

/// Notes why an attempt failed; tells whether the row changed, which a complete one does not.
pub async fn fail_file(tx: &mut Tx<'_>, id: LogFileId, error: &str) -> Result<bool, DbError> {
    let error: String = error.chars().take(MAX_ERROR_CHARS).collect();
    let query =
        Query::new("UPDATE log_file SET state = $2, error = $3 WHERE id = $1 AND state <> $4");
    let query = query.bind(id).bind(LogState::Failed).bind(error).bind(LogState::Complete);
    Ok(tx.execute(query).await? == 1)
}

/// Finds a file by its source and key.
pub async fn get(
    mut reader: impl Reader,
    log_source: &str,
    key: &str,
) -> Result<Option<LogFile>, DbError> {
    let query = Query::new(
        "SELECT id, log_source, key, state, size_bytes, lines, bytes, attempts, discovered_at,
           started_at, completed_at, error, line_counts, problems
           FROM log_file WHERE log_source = $1 AND key = $2",
    );
    let row = reader.first(query.bind(log_source).bind(key)).await?;
    row.as_ref().map(read).transpose()
}

/// How many files stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerCounts {
    /// Files found or begun, not finished.
    pub discovered: u64,
    /// Files whose usage is stored.
    pub complete: u64,
    /// Files whose last attempt failed.
    pub failed: u64,
}

/// Counts the files of all log sources by state.
pub async fn counts(mut reader: impl Reader) -> Result<LedgerCounts, DbError> {
    let query = Query::new("SELECT state, count(*) FROM log_file GROUP BY state");
    let mut counts = LedgerCounts::default();
    for row in reader.all(query).await? {
        let count = crate::reader::amount(&row, 1)?;
        match row.get::<LogState>(0)? {
            LogState::Discovered => counts.discovered = count,
            LogState::Complete => counts.complete = count,
            LogState::Failed => counts.failed = count,
        }
    }
    Ok(counts)
}

fn read(row: &Row) -> Result<LogFile, DbError> {
    Ok(LogFile {
        id: row.get(0)?,
        log_source: row.get(1)?,
        key: row.get(2)?,
        state: row.get(3)?,
        size_bytes: optional_amount(row, 4)?,
        lines: optional_amount(row, 5)?,
        bytes: optional_amount(row, 6)?,
        attempts: row.get(7)?,
        discovered_at: row.get(8)?,
        started_at: row.get(9)?,
        completed_at: row.get(10)?,
        error: row.get(11)?,
        line_counts: row.get(12)?,
        problems: row.get(13)?,
    })
}
