//! Live streams: in the pool, or handed to a project for good.

use std::collections::HashMap;

use database::{DbError, Query, Row, Tx};
use values::{ProjectId, StreamId, Timestamp};

use crate::{Reader, batch, usage};

/// The instance that streams are on unless they say otherwise.
pub const DEFAULT_INSTANCE: &str = "cines";

/// A live stream. Its name and, once it has one, its project never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its id.
    pub id: StreamId,
    /// The project it was handed to; `None` in the pool, where nobody pays for it.
    pub project_id: Option<ProjectId>,
    /// What paths and logs call it; unique for ever, also after its deletion.
    pub name: String,
    /// The instance it is published on.
    pub instance_name: String,
    /// Whether it is recorded.
    pub record: bool,
    /// When it was handed to its project.
    pub assigned_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was deleted; rows stay, and its bandwidth still counts.
    pub deleted_at: Option<Timestamp>,
}

/// What a log line needs to know of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRef {
    /// Its id.
    pub id: StreamId,
    /// The instance it is published on.
    pub instance_name: String,
}

/// Stores streams; one that is there already keeps its name and, if it has one, its project.
///
/// A stream that leaves the pool brings its usage along: its months are summed again.
///
/// # Errors
/// [`DbError::Constraint`] for a project that is not there and a name that is taken.
pub async fn upsert_many(tx: &mut Tx<'_>, streams: &[Stream]) -> Result<(), DbError> {
    let assigned: Vec<StreamId> =
        streams.iter().filter(|stream| stream.project_id.is_some()).map(|s| s.id).collect();
    mark_pooled_dirty(tx, &assigned).await?;
    let into = "INSERT INTO stream (id, project_id, name, instance_name, record, assigned_at,
      created_at, updated_at, deleted_at) VALUES";
    let conflict = "ON CONFLICT (id) DO UPDATE SET
      project_id = coalesce(stream.project_id, excluded.project_id),
      instance_name = excluded.instance_name, record = excluded.record,
      assigned_at = excluded.assigned_at, created_at = excluded.created_at,
      updated_at = excluded.updated_at, deleted_at = excluded.deleted_at";
    let streams = batch::last_of_each(streams, |stream| stream.id);
    batch::insert(tx, into, conflict, &streams, |stream| {
        [
            stream.id.into(),
            stream.project_id.into(),
            stream.name.as_str().into(),
            stream.instance_name.as_str().into(),
            stream.record.into(),
            stream.assigned_at.into(),
            stream.created_at.into(),
            stream.updated_at.into(),
            stream.deleted_at.into(),
        ]
    })
    .await?;
    Ok(())
}

/// Hands a stream of the pool to a project; tells whether it was free to be handed out.
///
/// # Errors
/// [`DbError::Constraint`] for a project that is not there.
pub async fn assign(
    tx: &mut Tx<'_>,
    id: StreamId,
    project_id: ProjectId,
    now: Timestamp,
) -> Result<bool, DbError> {
    mark_pooled_dirty(tx, &[id]).await?;
    let query = Query::new(
        "UPDATE stream SET project_id = $2, assigned_at = $3, updated_at = $3
           WHERE id = $1 AND project_id IS NULL AND deleted_at IS NULL",
    );
    Ok(tx.execute(query.bind(id).bind(project_id).bind(now)).await? == 1)
}

/// Has the months of those streams summed again that are still in the pool.
///
/// Where the stream stays in the pool after all, the roll-up finds no account and drops the mark.
async fn mark_pooled_dirty(tx: &mut Tx<'_>, ids: &[StreamId]) -> Result<(), DbError> {
    let sql = ("SELECT id FROM stream WHERE project_id IS NULL AND id IN", "");
    let rows = batch::select_in(&mut &mut *tx, sql, &[], ids, |id| *id).await?;
    let pooled: Vec<StreamId> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    if pooled.is_empty() {
        return Ok(());
    }
    // No file is completed and no roll-up drops a mark until the stream is seen with its project.
    usage::lock(tx).await?;
    let sql = ("SELECT month, stream_id FROM usage_stream_month WHERE stream_id IN", "");
    let rows = batch::select_in(&mut &mut *tx, sql, &[], &pooled, |id| *id).await?;
    let read = rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?)));
    usage::file::mark(tx, &read.collect::<Result<_, DbError>>()?).await
}

/// Finds streams by their names, deleted ones too; names of no stream are left out.
///
/// A name belongs to one stream for ever, so there is at most one for each.
pub async fn find_by_names(
    mut reader: impl Reader,
    names: &[String],
) -> Result<HashMap<String, StreamRef>, DbError> {
    let sql = ("SELECT name, id, instance_name FROM stream WHERE name IN", "");
    let name = |name: &String| name.clone();
    let rows = batch::select_in(&mut reader, sql, &[], names, name).await?;
    let found = rows
        .iter()
        .map(|row| Ok((row.get(0)?, StreamRef { id: row.get(1)?, instance_name: row.get(2)? })));
    found.collect()
}

/// Finds the streams of these ids, deleted ones too, in no order.
pub async fn find(mut reader: impl Reader, ids: &[StreamId]) -> Result<Vec<Stream>, DbError> {
    let sql = (
        "SELECT id, project_id, name, instance_name, record, assigned_at, created_at, updated_at,
           deleted_at FROM stream WHERE id IN",
        "",
    );
    let rows = batch::select_in(&mut reader, sql, &[], ids, |id| *id).await?;
    rows.iter().map(read).collect()
}

/// Finds one stream, deleted or not.
pub async fn get(reader: impl Reader, id: StreamId) -> Result<Option<Stream>, DbError> {
    Ok(find(reader, &[id]).await?.pop())
}

/// Reads at most `limit` streams, deleted ones too, in the order of their ids after `after`.
pub async fn page(
    mut reader: impl Reader,
    after: Option<StreamId>,
    limit: u32,
) -> Result<Vec<Stream>, DbError> {
    let query = Query::new(
        "SELECT id, project_id, name, instance_name, record, assigned_at, created_at, updated_at,
           deleted_at FROM stream WHERE id > $1 ORDER BY id LIMIT $2",
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let rows = reader.all(query.bind(after).bind(limit)).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Stream, DbError> {
    Ok(Stream {
        id: row.get(0)?,
        project_id: row.get(1)?,
        name: row.get(2)?,
        instance_name: row.get(3)?,
        record: row.get(4)?,
        assigned_at: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        deleted_at: row.get(8)?,
    })
}
