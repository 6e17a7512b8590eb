//! Leasing: the best tasks first, in one transaction with whatever else waits to be written.

use database::{DbError, Query, Row, Tx};
use values::{Span, TaskId, Timestamp};

use super::limits;
use super::lists::{numbers, pairs};
use super::schema::state;
use super::workers::{finish, finish_cancelled};
use crate::limits::{Place, Room};
use crate::{LeaseRequest, LeasedTask, StoredTask};

/// The most tasks one request is given.
const MAX_LEASE: usize = 5_000;

/// The columns of a [`StoredTask`], from `mw_envelope e JOIN mw_lane l`.
pub(crate) const STORED: &str =
    "e.id, l.job, l.source, l.host, e.configuration, e.payload, e.stamp,
    e.proof, e.timeout, e.labels, e.parent, e.enqueued_at";
/// The number of columns in [`STORED`].
pub(crate) const STORED_COLUMNS: usize = 12;

/// Reads the columns of [`STORED`], which come first in the row.
pub(crate) fn stored_task(row: &Row) -> Result<StoredTask, DbError> {
    let labels: Option<String> = row.get(9)?;
    Ok(StoredTask {
        task_id: row.get::<TaskId>(0)?,
        job: row.get(1)?,
        source: row.get(2)?,
        host: Some(row.get::<String>(3)?).filter(|host| !host.is_empty()),
        configuration: row.get(4)?,
        payload: row.get(5)?,
        stamp: row.get(6)?,
        proof: row.get(7)?,
        timeout: row.get::<Option<i64>>(8)?.map(Span::from_micros),
        labels: labels.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        parent: row.get(10)?,
        enqueued_at: row.get(11)?,
    })
}

struct Candidate {
    seq: i64,
    priority: i64,
    run_at: i64,
    place: Place,
}

/// What a lease request was given, and if that is nothing, when a used up rate lets a task start.
#[derive(Default)]
pub(super) struct Leased {
    pub(super) tasks: Vec<LeasedTask>,
    pub(super) next_start: Option<Timestamp>,
    /// Whether the worker is none, or was declared dead: it gets nothing, however long it waits.
    pub(super) gone: bool,
}

/// Leases for one request; returns nothing if nothing fits.
pub(super) async fn lease(
    tx: &mut Tx<'_>,
    request: &LeaseRequest,
    now: Timestamp,
    token: i64,
) -> Result<Leased, DbError> {
    let wanted = (request.start + request.hold).min(MAX_LEASE);
    let lanes = lanes(tx, request).await?;
    let places: Vec<Place> = lanes.iter().map(|(_, place)| *place).collect();
    let mut room = Room::new(request, now, &places);
    limits::look(tx, &mut room).await?;
    let mut candidates = candidates(tx, request, &lanes, &room, wanted).await?;
    candidates.sort_by_key(|c| (-c.priority, c.run_at, c.seq));
    let mut count = 0;
    candidates.retain(|candidate| {
        let takes = count < wanted && room.take(candidate.place, count < request.start);
        count += usize::from(takes);
        takes
    });
    if candidates.is_empty() {
        limits::keep(tx, &room).await?;
        return Ok(Leased { next_start: room.next_start(), ..Leased::default() });
    }
    if !is_alive(tx, request.worker).await? {
        return Ok(Leased { gone: true, ..Leased::default() });
    }
    limits::keep(tx, &room).await?;
    let (start, hold) = candidates.split_at(request.start.min(candidates.len()));
    take(tx, request.worker, token, Some(now), start).await?;
    take(tx, request.worker, token, None, hold).await?;
    let tasks = read(tx, token, now, &candidates, start.len()).await?;
    Ok(Leased { tasks, next_start: None, gone: false })
}

/// Whether the worker may hold tasks: nobody would return those of one declared dead.
async fn is_alive(tx: &mut Tx<'_>, worker: i64) -> Result<bool, DbError> {
    let query = Query::new("SELECT 1 FROM mw_worker WHERE id = $1 AND dead = 0").bind(worker);
    Ok(tx.first(query).await?.is_some())
}

/// The lanes with waiting tasks that this worker may serve.
async fn lanes(tx: &mut Tx<'_>, request: &LeaseRequest) -> Result<Vec<(i64, Place)>, DbError> {
    let query = Query::new(
        "WITH RECURSIVE work (lane) AS (
           SELECT min(lane) FROM mw_task WHERE state = 1
           UNION ALL
           SELECT (SELECT min(lane) FROM mw_task WHERE state = 1 AND lane > work.lane)
             FROM work WHERE work.lane IS NOT NULL)
         SELECT l.id, l.job, l.source FROM work JOIN mw_lane l ON l.id = work.lane
          WHERE l.host IN ('', $1)
            AND NOT EXISTS (SELECT 1 FROM mw_pause p WHERE p.job IN (l.job, '*'))",
    );
    let mut lanes = Vec::new();
    for row in tx.all(query.bind(request.host.as_str())).await? {
        let (job, source): (String, String) = (row.get(1)?, row.get(2)?);
        if let Some(place) = request.place(&job, &source) {
            lanes.push((row.get(0)?, place));
        }
    }
    Ok(lanes)
}

/// The best tasks of each lane: `wanted`, or as many as limits leave room for.
async fn candidates(
    tx: &mut Tx<'_>,
    request: &LeaseRequest,
    lanes: &[(i64, Place)],
    room: &Room<'_>,
    wanted: usize,
) -> Result<Vec<Candidate>, DbError> {
    let above = request.above.map_or(-1, i64::from);
    let mut found = Vec::new();
    for (lane, place) in lanes.iter().copied() {
        let most = room.most(place).min(wanted);
        if most == 0 {
            continue;
        }
        let query = Query::new(
            "SELECT seq, priority, run_at FROM mw_task
              WHERE state = 1 AND lane = $1 AND priority > $2
              ORDER BY priority DESC, run_at, seq LIMIT $3",
        );
        let limit = i64::try_from(most).expect("bounded by MAX_LEASE");
        for row in tx.all(query.bind(lane).bind(above).bind(limit)).await? {
            let (seq, priority, run_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
            found.push(Candidate { seq, priority, run_at, place });
        }
    }
    Ok(found)
}

async fn take(
    tx: &mut Tx<'_>,
    worker: i64,
    token: i64,
    started_at: Option<Timestamp>,
    tasks: &[Candidate],
) -> Result<(), DbError> {
    if tasks.is_empty() {
        return Ok(());
    }
    let query = Query::new(
        "UPDATE mw_task SET state = 2, worker = $1, token = $2, started_at = $3,
           attempt = attempt + ($3 IS NOT NULL) WHERE seq IN (SELECT value FROM json_each($4))",
    );
    let query = query.bind(worker).bind(token).bind(started_at);
    tx.execute(query.bind(numbers(tasks.iter().map(|task| task.seq)))).await?;
    Ok(())
}

/// Reads the taken tasks back in the order they are to run.
async fn read(
    tx: &mut Tx<'_>,
    token: i64,
    now: Timestamp,
    best: &[Candidate],
    started: usize,
) -> Result<Vec<LeasedTask>, DbError> {
    let query = Query::built(format!(
        "SELECT {STORED}, t.seq, t.attempt, t.max_attempts, t.priority, t.run_at, j.key
           FROM json_each($1) j JOIN mw_task t ON t.seq = j.value
           JOIN mw_envelope e ON e.seq = t.seq JOIN mw_lane l ON l.id = t.lane ORDER BY j.key"
    ));
    let rows = tx.all(query.bind(numbers(best.iter().map(|task| task.seq)))).await?;
    let mut leased = Vec::with_capacity(rows.len());
    for row in &rows {
        let is_started =
            usize::try_from(row.get::<i64>(STORED_COLUMNS + 5)?).unwrap_or(0) < started;
        match leased_task(row, token, now, is_started) {
            Ok(task) => leased.push(task),
            Err(error) => set_aside(tx, now, row.get(STORED_COLUMNS)?, &error).await?,
        }
    }
    if rows.len() < best.len() {
        remove_orphans(tx, token).await?;
    }
    Ok(leased)
}

fn leased_task(
    row: &Row,
    token: i64,
    now: Timestamp,
    started: bool,
) -> Result<LeasedTask, DbError> {
    Ok(LeasedTask {
        row: row.get(STORED_COLUMNS)?,
        token,
        started,
        attempt: row.get(STORED_COLUMNS + 1)?,
        max_attempts: row.get(STORED_COLUMNS + 2)?,
        priority: row.get(STORED_COLUMNS + 3)?,
        run_at: row.get(STORED_COLUMNS + 4)?,
        leased_at: now,
        task: stored_task(row)?,
    })
}

/// Ends a task whose row was damaged, so that it does not keep others from running.
async fn set_aside(
    tx: &mut Tx<'_>,
    now: Timestamp,
    seq: i64,
    error: &DbError,
) -> Result<(), DbError> {
    tracing::error!(row = seq, error = %error, "a damaged task was discarded");
    let text = format!("the stored row cannot be read: {error}");
    finish(tx, now, seq, state::DISCARDED, &text).await
}

/// Removes the just leased rows that have no envelope: there is nothing left to run.
async fn remove_orphans(tx: &mut Tx<'_>, token: i64) -> Result<(), DbError> {
    let query = Query::new(
        "DELETE FROM mw_task WHERE state = 2 AND token = $1
            AND NOT EXISTS (SELECT 1 FROM mw_envelope e WHERE e.seq = mw_task.seq)",
    );
    let removed = tx.execute(query.bind(token)).await?;
    tracing::error!(rows = removed, "tasks whose envelope is gone were removed");
    Ok(())
}

/// Counts an attempt for held tasks; returns the rows that are still held under their token.
pub(super) async fn start(
    tx: &mut Tx<'_>,
    worker: i64,
    leases: &[(i64, i64)],
    now: Timestamp,
) -> Result<Vec<i64>, DbError> {
    let query = Query::new(
        "UPDATE mw_task SET attempt = attempt + 1, started_at = $1 FROM json_each($3) j
          WHERE mw_task.seq = j.value ->> 0 AND token = j.value ->> 1 AND state = 2
            AND worker = $2 AND started_at IS NULL AND cancel = 0 RETURNING mw_task.seq",
    );
    let rows = tx.all(query.bind(now).bind(worker).bind(pairs(leases))).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Undoes leases nobody received; their attempts do not count, but rates have counted their starts.
pub(super) async fn unlease(
    tx: &mut Tx<'_>,
    now: Timestamp,
    leases: &[(i64, i64)],
) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE mw_task SET state = 1, attempt = attempt - (started_at IS NOT NULL), worker = NULL,
           token = NULL, started_at = NULL FROM json_each($1) j
          WHERE mw_task.seq = j.value ->> 0 AND token = j.value ->> 1 AND state = 2",
    );
    tx.execute(query.bind(pairs(leases))).await?;
    finish_cancelled(tx, now).await
}

/// Makes due tasks available; returns when the next one is due.
pub(super) async fn promote(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Timestamp>, DbError> {
    let query = Query::new("UPDATE mw_task SET state = 1 WHERE state = 0 AND run_at <= $1");
    tx.execute(query.bind(now)).await?;
    let row = tx.first(Query::new("SELECT min(run_at) FROM mw_task WHERE state = 0")).await?;
    row.map_or(Ok(None), |row| row.get(0))
}
