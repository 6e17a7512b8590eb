//! How far the archival of one file has come: its task's recorded steps.

use database::{DbError, Query, Tx};
use values::{RecordingId, StreamId, TaskId, Timestamp};

use crate::Reader;
use crate::reader::{optional_amount, whole};
use crate::words::words;

/// Characters of a reason that are kept.
const MAX_REASON_CHARS: usize = 1_000;

words! {
    /// Where the archival of a file stands.
    ArchiveState, "a state of an archival":
    /// Begun, not finished.
    Working = "working",
    /// Stored and catalogued.
    Archived = "archived",
    /// Deleted, as its stream is not recorded.
    Dropped = "dropped",
    /// Put aside for a person to look at.
    Quarantined = "quarantined",
}

/// The archival of one file by one task, with each step that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The file: `host:path` or `object:key`.
    pub source: String,
    /// The task.
    pub task_id: TaskId,
    /// Where it stands.
    pub state: ArchiveState,
    /// The stream it belongs to.
    pub stream_id: Option<StreamId>,
    /// Whether it is kept; decided once.
    pub keep: Option<bool>,
    /// How long it plays, in milliseconds; present once it was probed.
    pub duration_ms: Option<u64>,
    /// The MP4 that was made of it.
    pub remuxed: Option<Remuxed>,
    /// The recording it becomes.
    pub recording_id: Option<RecordingId>,
    /// Why it was put aside.
    pub reason: Option<String>,
}

/// The MP4 that was made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remuxed {
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of the file it was made from.
    pub source_sha256: Vec<u8>,
}

/// Notes that a task begins with a file; returns what its earlier attempts have done.
pub async fn begin(
    tx: &mut Tx<'_>,
    source: &str,
    task_id: TaskId,
    now: Timestamp,
) -> Result<Archive, DbError> {
    let query = Query::new(
        "INSERT INTO archive (source, task_id, state, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $4) ON CONFLICT (source, task_id) DO NOTHING",
    );
    tx.execute(query.bind(source).bind(task_id).bind(ArchiveState::Working).bind(now)).await?;
    let found = archive(&mut *tx, source, task_id).await?;
    found.ok_or_else(|| DbError::Refused("an archival vanished while it was begun".to_owned()))
}

/// Finds the archival of a file by a task.
pub async fn archive(
    mut reader: impl Reader,
    source: &str,
    task_id: TaskId,
) -> Result<Option<Archive>, DbError> {
    let query = Query::new(
        "SELECT state, stream_id, keep, duration_ms, mp4_bytes, source_sha256, recording_id, reason
           FROM archive WHERE source = $1 AND task_id = $2",
    );
    let Some(row) = reader.first(query.bind(source).bind(task_id)).await? else { return Ok(None) };
    let remuxed = match (optional_amount(&row, 4)?, row.get::<Option<Vec<u8>>>(5)?) {
        (Some(size_bytes), Some(source_sha256)) => Some(Remuxed { size_bytes, source_sha256 }),
        _ => None,
    };
    Ok(Some(Archive {
        source: source.to_owned(),
        task_id,
        state: row.get(0)?,
        stream_id: row.get(1)?,
        keep: row.get(2)?,
        duration_ms: optional_amount(&row, 3)?,
        remuxed,
        recording_id: row.get(6)?,
        reason: row.get(7)?,
    }))
}

/// Tells whether any task is through with a file of this name, and how it ended last.
pub async fn archived_before(
    mut reader: impl Reader,
    source: &str,
) -> Result<Option<ArchiveState>, DbError> {
    let query = Query::new(
        "SELECT state FROM archive WHERE source = $1 AND state <> $2
           ORDER BY updated_at DESC LIMIT 1",
    );
    let row = reader.first(query.bind(source).bind(ArchiveState::Working)).await?;
    row.map(|row| row.get(0)).transpose()
}

/// Notes how far the archival has come: everything that `archive` says. Once it has come to its end,
/// an attempt that others took for dead changes nothing.
pub async fn note(tx: &mut Tx<'_>, archive: &Archive, now: Timestamp) -> Result<(), DbError> {
    let Archive {
        source,
        task_id,
        state,
        stream_id,
        keep,
        duration_ms,
        remuxed,
        recording_id,
        reason,
    } = archive;
    let size = remuxed.as_ref().map(|made| whole("the size of a recording", made.size_bytes));
    let reason: Option<String> =
        reason.as_ref().map(|reason| reason.chars().take(MAX_REASON_CHARS).collect());
    let query = Query::new(
        "UPDATE archive SET state = $3, stream_id = $4, keep = $5, duration_ms = $6,
           mp4_bytes = $7, source_sha256 = $8, recording_id = coalesce($9, recording_id),
           reason = $10, updated_at = $11
           WHERE source = $1 AND task_id = $2 AND state = $12",
    );
    let query = query.bind(source.as_str()).bind(*task_id).bind(*state).bind(*stream_id);
    let query = query.bind(*keep).bind(duration_ms.map(u64::cast_signed)).bind(size.transpose()?);
    let query = query.bind(remuxed.as_ref().map(|made| made.source_sha256.clone()));
    let query = query.bind(*recording_id).bind(reason).bind(now);
    tx.execute(query.bind(ArchiveState::Working)).await.map(|_| ())
}
