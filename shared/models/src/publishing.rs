//! Who may publish which stream: the streams' keys, and what a stream's name leads to.

use database::{DbError, Query, Row, Tx};
use values::{StreamId, Timestamp};

use crate::{Reader, batch};

/// SHA-256 of each stream's key; a stream without a row cannot be published.
pub(crate) const STREAM_KEY: &str = "CREATE TABLE stream_key (
  stream_id BLOB NOT NULL PRIMARY KEY REFERENCES stream (id), sha256 BLOB NOT NULL,
  updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";

/// What is known of a stream that someone wants to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishable {
    /// SHA-256 of its key; empty if it has none, which fits no key.
    pub key_sha256: Vec<u8>,
    /// Whether stream, project or account is deleted, or the stream belongs to no project.
    pub gone: bool,
    /// From when on its account is throttled.
    pub throttled_at: Option<Timestamp>,
}

/// Sets a stream's key, of which only the digest is stored.
pub async fn set_key(
    tx: &mut Tx<'_>,
    stream: StreamId,
    sha256: [u8; 32],
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO stream_key (stream_id, sha256, updated_at) VALUES ($1, $2, $3)
           ON CONFLICT (stream_id) DO UPDATE
             SET sha256 = excluded.sha256, updated_at = excluded.updated_at",
    );
    tx.execute(query.bind(stream).bind(sha256.to_vec()).bind(now)).await.map(|_| ())
}

/// Reads the digests of streams' keys, in no order; those without a key are left out.
pub async fn keys(
    mut reader: impl Reader,
    streams: &[StreamId],
) -> Result<Vec<(StreamId, [u8; 32])>, DbError> {
    let sql = ("SELECT stream_id, sha256 FROM stream_key WHERE stream_id IN", "");
    let rows = batch::select_in(&mut reader, sql, &[], streams, |id| *id).await?;
    let read = |row: &Row| {
        let stream: StreamId = row.get(0)?;
        let key = row.get::<Vec<u8>>(1)?.try_into();
        let refused = |_| DbError::Refused(format!("the key of {stream} is no SHA-256"));
        Ok((stream, key.map_err(refused)?))
    };
    rows.iter().map(read).collect()
}

/// Finds what a stream's name leads to; `None` if there never was such a stream.
pub async fn find(mut reader: impl Reader, name: &str) -> Result<Option<Publishable>, DbError> {
    let query = Query::new(
        "SELECT k.sha256, a.throttled_at, CASE WHEN a.id IS NULL OR s.deleted_at IS NOT NULL
             OR p.deleted_at IS NOT NULL OR a.deleted_at IS NOT NULL THEN 1 ELSE 0 END
           FROM stream s LEFT JOIN stream_key k ON k.stream_id = s.id
           LEFT JOIN project p ON p.id = s.project_id LEFT JOIN account a ON a.id = p.account_id
           WHERE s.name = $1",
    );
    let Some(row) = reader.first(query.bind(name)).await? else { return Ok(None) };
    Ok(Some(Publishable {
        key_sha256: row.get::<Option<Vec<u8>>>(0)?.unwrap_or_default(),
        throttled_at: row.get(1)?,
        gone: row.get::<i64>(2)? == 1,
    }))
}
