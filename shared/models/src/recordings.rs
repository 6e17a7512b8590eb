//! The catalogue of recordings: what is stored for whom, and since when.
//!
//! A recording's row is made before its object is stored, so that no object is ever without one;
//! it counts from `catalogued_at` on, when the object is known to be there. Rows stay when their
//! object is deleted: the months before keep their figures.

use database::{DbError, Query, Row, Tx};
use values::{AccountId, Month, ProjectId, RecordingId, StreamId, Timestamp};

use crate::reader::{optional_amount, whole, wide, wide_sum};
use crate::usage::mark_recording;
use crate::{Reader, batch};

mod archive;

pub use archive::{Archive, ArchiveState, Remuxed, archive, archived_before, begin, note};

/// Names tried for one recording until one is free.
const NAMES_TRIED: u32 = 1_000;

/// A recording of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// The stream it was made of.
    pub stream_id: StreamId,
    /// The project of that stream.
    pub project_id: ProjectId,
    /// Its file name, unique within the stream for ever.
    pub name: String,
    /// Where the object is, below the store's location; unique for ever.
    pub object_key: String,
    /// Where a picture of it is.
    pub poster_key: Option<String>,
    /// SHA-256 of the file it was made from; unknown for objects that were adopted.
    pub source_sha256: Option<Vec<u8>>,
    /// The object's length; unknown until it is catalogued.
    pub size_bytes: Option<u64>,
    /// How long it plays, in milliseconds.
    pub duration_ms: Option<u64>,
    /// When the file it was made from was last written.
    pub recorded_at: Option<Timestamp>,
    /// When its row was made.
    pub reserved_at: Timestamp,
    /// When its object was found to be stored: it counts from that month on.
    pub catalogued_at: Option<Timestamp>,
    /// When it was deleted: it counts until the month before.
    pub deleted_at: Option<Timestamp>,
}

/// A recording that wants a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The id it gets if it is new.
    pub id: RecordingId,
    /// The stream it was made of.
    pub stream_id: StreamId,
    /// The project of that stream.
    pub project_id: ProjectId,
    /// The folder of the project's objects, without a slash at its end.
    pub folder: String,
    /// Its file name without ending.
    pub stem: String,
    /// SHA-256 of the file it was made from.
    pub source_sha256: Vec<u8>,
    /// How long it plays, in milliseconds.
    pub duration_ms: Option<u64>,
    /// When the file it was made from was last written.
    pub recorded_at: Option<Timestamp>,
}

/// What is known of a recording once its object is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// The object's length.
    pub size_bytes: u64,
    /// Where a picture of it is.
    pub poster_key: Option<String>,
}

/// Where a project's recordings are announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address, `https://...`.
    pub url: String,
    /// The key that signs what is sent there.
    pub secret: String,
}

const COLUMNS: &str = "SELECT id, stream_id, project_id, name, object_key, poster_key,
  source_sha256, size_bytes, duration_ms, recorded_at, reserved_at, catalogued_at, deleted_at
  FROM recording ";

/// Gives a recording a row, or finds the one that the same file of the same stream has.
///
/// A name that another file has is followed by `-2`, `-3` ...; nothing is overwritten.
///
/// # Errors
/// [`DbError::Refused`] when too many names are taken.
pub async fn reserve(
    tx: &mut Tx<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Recording, DbError> {
    for number in 1..=NAMES_TRIED {
        if let Some(row) = of_file(&mut *tx, wanted.stream_id, &wanted.source_sha256).await? {
            return Ok(row);
        }
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let name = format!("{}{suffix}.mp4", wanted.stem);
        let key = format!("{}/{name}", wanted.folder);
        let query = Query::new(
            "INSERT INTO recording (id, stream_id, project_id, name, object_key, source_sha256,
               duration_ms, recorded_at, reserved_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT DO NOTHING",
        );
        let query = query.bind(wanted.id).bind(wanted.stream_id).bind(wanted.project_id);
        let query = query.bind(name.as_str()).bind(key.as_str()).bind(wanted.source_sha256.clone());
        let query = query.bind(wanted.duration_ms.map(u64::cast_signed)).bind(wanted.recorded_at);
        tx.execute(query.bind(now)).await?;
    }
    let stem = &wanted.stem;
    Err(DbError::Refused(format!("more than {NAMES_TRIED} recordings are called `{stem}`")))
}

/// Finds the recording that was made of a file of a stream, deleted or not.
async fn of_file(
    mut reader: impl Reader,
    stream: StreamId,
    sha256: &[u8],
) -> Result<Option<Recording>, DbError> {
    let query = Query::built(format!("{COLUMNS} WHERE stream_id = $1 AND source_sha256 = $2"));
    let row = reader.first(query.bind(stream).bind(sha256)).await?;
    row.map(|row| read(&row)).transpose()
}

/// Takes a stored object into the catalogue: the recording counts from now on.
///
/// One that is catalogued already keeps its time and size.
pub async fn catalogue(
    tx: &mut Tx<'_>,
    id: RecordingId,
    object: &StoredObject,
    now: Timestamp,
) -> Result<(), DbError> {
    let size = whole("the size of a recording", object.size_bytes)?;
    let query = Query::new(
        "UPDATE recording SET size_bytes = $2, poster_key = $3, catalogued_at = $4
           WHERE id = $1 AND catalogued_at IS NULL",
    );
    let query = query.bind(id).bind(size).bind(object.poster_key.as_deref());
    match tx.execute(query.bind(now)).await? {
        0 => Ok(()),
        _ => mark_recording(tx, id, now).await,
    }
}

/// Notes that the object of a catalogued recording was missing and is stored again; `false` if the
/// recording is deleted by now. The time from which it counts stays.
pub async fn restore(
    tx: &mut Tx<'_>,
    id: RecordingId,
    object: &StoredObject,
    now: Timestamp,
) -> Result<bool, DbError> {
    let size = whole("the size of a recording", object.size_bytes)?;
    let query = Query::new(
        "UPDATE recording SET size_bytes = $2, poster_key = coalesce($3, poster_key)
           WHERE id = $1 AND catalogued_at IS NOT NULL AND deleted_at IS NULL",
    );
    let query = query.bind(id).bind(size).bind(object.poster_key.as_deref());
    let is_kept = tx.execute(query).await? == 1;
    if is_kept {
        mark_recording(tx, id, now).await?;
    }
    Ok(is_kept)
}

/// Takes an object into the catalogue that was found without a row; `false` if it has one.
pub async fn adopt(tx: &mut Tx<'_>, recording: &Recording) -> Result<bool, DbError> {
    let size = whole("the size of a recording", recording.size_bytes.unwrap_or(0))?;
    let query = Query::new(
        "INSERT INTO recording (id, stream_id, project_id, name, object_key, size_bytes,
           recorded_at, reserved_at, catalogued_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT DO NOTHING",
    );
    let query = query.bind(recording.id).bind(recording.stream_id).bind(recording.project_id);
    let query = query.bind(recording.name.as_str()).bind(recording.object_key.as_str()).bind(size);
    let query = query.bind(recording.recorded_at).bind(recording.reserved_at);
    let adopted = tx.execute(query.bind(recording.catalogued_at)).await? == 1;
    if let (true, Some(at)) = (adopted, recording.catalogued_at) {
        mark_recording(tx, recording.id, at).await?;
    }
    Ok(adopted)
}

/// Marks a recording as deleted; one that is deleted already keeps its time.
pub async fn delete(tx: &mut Tx<'_>, id: RecordingId, now: Timestamp) -> Result<(), DbError> {
    let query =
        Query::new("UPDATE recording SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL");
    match tx.execute(query.bind(id).bind(now)).await? {
        0 => Ok(()),
        _ => mark_recording(tx, id, now).await,
    }
}

/// Finds a recording, deleted or not.
pub async fn get(mut reader: impl Reader, id: RecordingId) -> Result<Option<Recording>, DbError> {
    let query = Query::built(format!("{COLUMNS} WHERE id = $1"));
    reader.first(query.bind(id)).await?.map(|row| read(&row)).transpose()
}

/// Finds the recording of an object, deleted or not.
pub async fn by_key(mut reader: impl Reader, key: &str) -> Result<Option<Recording>, DbError> {
    let query = Query::built(format!("{COLUMNS} WHERE object_key = $1"));
    reader.first(query.bind(key)).await?.map(|row| read(&row)).transpose()
}

/// Finds which of these objects have a row, deleted or not.
pub async fn known_keys(mut reader: impl Reader, keys: &[String]) -> Result<Vec<String>, DbError> {
    let sql = ("SELECT object_key FROM recording WHERE object_key IN", "");
    let rows = batch::select_in(&mut reader, sql, &[], keys, String::clone).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Reads at most `limit` recordings of a project whose objects should be there, by key.
pub async fn stored_page(
    mut reader: impl Reader,
    project: ProjectId,
    after: &str,
    limit: u32,
) -> Result<Vec<Recording>, DbError> {
    let query = Query::built(format!(
        "{COLUMNS} WHERE project_id = $1 AND object_key > $2 AND catalogued_at IS NOT NULL
           AND deleted_at IS NULL ORDER BY object_key LIMIT $3"
    ));
    let rows = reader.all(query.bind(project).bind(after).bind(limit)).await?;
    rows.iter().map(read).collect()
}

/// Reads at most `limit` recordings in the order of their ids, newest first, below `before`.
///
/// `project` is the only one whose recordings are read; `all` adds those that are not catalogued
/// yet and those that were deleted.
pub async fn newest(
    mut reader: impl Reader,
    project: Option<ProjectId>,
    all: bool,
    before: Option<RecordingId>,
    limit: u32,
) -> Result<Vec<Recording>, DbError> {
    let only = if all { "" } else { "AND catalogued_at IS NOT NULL AND deleted_at IS NULL" };
    let of_project = if project.is_some() { "AND project_id = $3" } else { "" };
    // Ids begin with their time.
    let query = Query::built(format!(
        "{COLUMNS} WHERE id < $1 {only} {of_project} ORDER BY id DESC LIMIT $2"
    ));
    let before = before.unwrap_or_else(|| RecordingId::from_bytes([u8::MAX; 16]));
    let query = query.bind(before).bind(limit);
    let query = match project {
        Some(project) => query.bind(project),
        None => query,
    };
    reader.all(query).await?.iter().map(read).collect()
}

/// Sums what an account stores in a month, in bytes.
///
/// A recording counts with its full size if it was catalogued in or before the month and neither it
/// nor its project was deleted before the month's end. Recordings of deleted streams count.
pub async fn stored_bytes(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<u128, DbError> {
    let query = Query::new(concat!(
        "SELECT ",
        wide_sum!("r.size_bytes"),
        " FROM project p JOIN recording r ON r.project_id = p.id
           WHERE p.account_id = $1 AND r.catalogued_at < $2
             AND (r.deleted_at IS NULL OR r.deleted_at >= $2)
             AND (p.deleted_at IS NULL OR p.deleted_at >= $2)"
    ));
    let row = reader.first(query.bind(account).bind(month.end())).await?;
    wide(&row.expect("a sum without groups is one row"), 0)
}

/// Sums what an account stores now, whatever the month, in bytes.
pub async fn stored_now(mut reader: impl Reader, account: AccountId) -> Result<u128, DbError> {
    let query = Query::new(concat!(
        "SELECT ",
        wide_sum!("r.size_bytes"),
        " FROM project p JOIN recording r ON r.project_id = p.id
           WHERE p.account_id = $1 AND r.catalogued_at IS NOT NULL
             AND r.deleted_at IS NULL AND p.deleted_at IS NULL"
    ));
    let row = reader.first(query.bind(account)).await?;
    wide(&row.expect("a sum without groups is one row"), 0)
}

/// Says where a project's recordings are announced; replaces what was said before.
pub async fn set_webhook(
    tx: &mut Tx<'_>,
    project: ProjectId,
    webhook: &Webhook,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO recording_webhook (project_id, url, secret, updated_at)
           VALUES ($1, $2, $3, $4) ON CONFLICT (project_id) DO UPDATE
           SET url = excluded.url, secret = excluded.secret, updated_at = excluded.updated_at",
    );
    let query = query.bind(project).bind(webhook.url.as_str()).bind(webhook.secret.as_str());
    tx.execute(query.bind(now)).await.map(|_| ())
}

/// Has a project's recordings announced to nobody.
pub async fn remove_webhook(tx: &mut Tx<'_>, project: ProjectId) -> Result<(), DbError> {
    let query = Query::new("DELETE FROM recording_webhook WHERE project_id = $1");
    tx.execute(query.bind(project)).await.map(|_| ())
}

/// Finds where a project's recordings are announced, if anywhere.
pub async fn webhook(
    mut reader: impl Reader,
    project: ProjectId,
) -> Result<Option<Webhook>, DbError> {
    let query = Query::new("SELECT url, secret FROM recording_webhook WHERE project_id = $1");
    let row = reader.first(query.bind(project)).await?;
    row.map(|row| Ok(Webhook { url: row.get(0)?, secret: row.get(1)? })).transpose()
}

fn read(row: &Row) -> Result<Recording, DbError> {
    Ok(Recording {
        id: row.get(0)?,
        stream_id: row.get(1)?,
        project_id: row.get(2)?,
        name: row.get(3)?,
        object_key: row.get(4)?,
        poster_key: row.get(5)?,
        source_sha256: row.get(6)?,
        size_bytes: optional_amount(row, 7)?,
        duration_ms: optional_amount(row, 8)?,
        recorded_at: row.get(9)?,
        reserved_at: row.get(10)?,
        catalogued_at: row.get(11)?,
        deleted_at: row.get(12)?,
    })
}
