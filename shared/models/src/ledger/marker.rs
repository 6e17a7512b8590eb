//! How far each log source has been listed.

use database::{DbError, Query, Row, Tx};
use values::Timestamp;

use crate::Reader;

/// How far a log source has been listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMarker {
    /// The log source.
    pub log_source: String,
    /// Where an unfinished listing goes on: the last key it looked at.
    pub listed_until_key: Option<String>,
    /// What was last written before this instant has been listed, up to that key if there is one.
    pub listed_until: Timestamp,
}

/// Finds how far a log source has been listed; `None` before the first listing.
pub async fn marker(
    mut reader: impl Reader,
    log_source: &str,
) -> Result<Option<LogMarker>, DbError> {
    let query = Query::new(
        "SELECT log_source, listed_until_key, listed_until FROM log_marker WHERE log_source = $1",
    );
    let row = reader.first(query.bind(log_source)).await?;
    let read = |row: Row| {
        Ok(LogMarker {
            log_source: row.get(0)?,
            listed_until_key: row.get(1)?,
            listed_until: row.get(2)?,
        })
    };
    row.map(read).transpose()
}

/// Notes how far a log source has been listed.
pub async fn set_marker(
    tx: &mut Tx<'_>,
    marker: &LogMarker,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO log_marker (log_source, listed_until_key, listed_until, updated_at)
           VALUES ($1, $2, $3, $4) ON CONFLICT (log_source) DO UPDATE SET
           listed_until_key = excluded.listed_until_key, listed_until = excluded.listed_until,
           updated_at = excluded.updated_at",
    );
    let query = query.bind(marker.log_source.as_str()).bind(marker.listed_until_key.as_deref());
    tx.execute(query.bind(marker.listed_until).bind(now)).await?;
    Ok(())
}
