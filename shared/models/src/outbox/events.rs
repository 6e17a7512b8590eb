//! What the company's own people are to know, until it is in a mail to them.

use database::{DbError, Query, Row, Tx};
use values::Timestamp;

use crate::Reader;

/// Something the company's own people are to know; ids and figures, never documents or secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What makes it the same event as another: told once.
    pub unique_key: String,
    /// Whether it goes out by itself, at once; else it waits for the digest.
    pub is_alert: bool,
    /// The event as JSON, as the mail about it takes it.
    pub data: String,
    /// When it happened.
    pub at: Timestamp,
}

/// An event that is in no mail yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedEvent {
    /// What makes it the same event as another.
    pub unique_key: String,
    /// The event as JSON.
    pub data: String,
    /// When it happened.
    pub at: Timestamp,
}

/// Notes an event for the company's own people; `false` if it is noted already.
pub async fn note_event(tx: &mut Tx<'_>, event: &NewEvent) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO admin_event (unique_key, is_alert, data, at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (unique_key) DO NOTHING",
    );
    let query = query.bind(event.unique_key.as_str()).bind(event.is_alert);
    Ok(tx.execute(query.bind(event.data.as_str()).bind(event.at)).await? == 1)
}

/// Reads at most `limit` events that are in no mail yet and happened before `until`, oldest first.
pub async fn open_events(
    mut reader: impl Reader,
    is_alert: bool,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<NotedEvent>, DbError> {
    let query = Query::new(
        "SELECT unique_key, data, at FROM admin_event
           WHERE told_at IS NULL AND is_alert = $1 AND at < $2 ORDER BY at, unique_key LIMIT $3",
    );
    let rows = reader.all(query.bind(is_alert).bind(until).bind(limit)).await?;
    let event =
        |row: &Row| Ok(NotedEvent { unique_key: row.get(0)?, data: row.get(1)?, at: row.get(2)? });
    rows.iter().map(event).collect()
}

/// Notes that these events are in a mail that is added with it.
///
/// # Errors
/// [`DbError::Busy`] if another transaction has told one of them meanwhile.
pub async fn close_events(
    tx: &mut Tx<'_>,
    unique_keys: &[String],
    now: Timestamp,
) -> Result<(), DbError> {
    let sql = ("UPDATE admin_event SET told_at = $1 WHERE unique_key IN", "AND told_at IS NULL");
    let fixed = [now.into()];
    let closed = crate::batch::execute_in(tx, sql, &fixed, unique_keys, String::clone).await?;
    if closed == unique_keys.len() as u64 { Ok(()) } else { Err(DbError::Busy) }
}
