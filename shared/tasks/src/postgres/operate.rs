//! What operators do: pause, cancel, retry, discard; and what becomes of held tasks.

use database::{DbError, Query, Tx};
use envelope::Stamp;
use values::{TaskId, Timestamp};

use super::changes::{AttemptRow, finish, record_attempts};
use super::text::clean;
use crate::sqlite::state;
use crate::{AttemptReport, HeldTask, StoreError, TaskState};

/// How often a task is looked for that moves between queue and history meanwhile.
const TRIES: u32 = 3;

/// The state a number stands for, and whether it waits for its time; held tasks are available.
pub(super) fn task_state(number: i64, run_at: Option<Timestamp>, now: Timestamp) -> TaskState {
    match number {
        state::AVAILABLE if run_at.is_some_and(|run_at| run_at > now) => TaskState::Scheduled,
        state::SCHEDULED => TaskState::Scheduled,
        state::RUNNING => TaskState::Running,
        state::COMPLETED => TaskState::Completed,
        state::DISCARDED => TaskState::Discarded,
        state::CANCELLED => TaskState::Cancelled,
        _ => TaskState::Available,
    }
}

struct Found {
    seq: i64,
    state: TaskState,
}

/// Finds a task, locks its row and tells its state; `Err` inside if there is none.
async fn find(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: TaskId,
) -> Result<Result<Found, StoreError>, DbError> {
    let query = Query::new("SELECT seq FROM mw_envelope WHERE id = $1").bind(task);
    let Some(row) = tx.first(query).await? else {
        return Ok(Err(StoreError::NotFound { task }));
    };
    let seq: i64 = row.get(0)?;
    for _ in 0..TRIES {
        for sql in [
            "SELECT state, run_at FROM mw_task WHERE seq = $1 FOR UPDATE",
            "SELECT state, NULL::bigint FROM mw_finished WHERE seq = $1 FOR UPDATE",
        ] {
            if let Some(row) = tx.first(Query::new(sql).bind(seq)).await? {
                let state = task_state(row.get(0)?, row.get(1)?, now);
                return Ok(Ok(Found { seq, state }));
            }
        }
    }
    Ok(Err(StoreError::NotFound { task }))
}

pub(super) async fn pause(tx: &mut Tx<'_>, now: Timestamp, job: &str) -> Result<(), DbError> {
    let query =
        Query::new("INSERT INTO mw_pause (job, since) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    tx.execute(query.bind(clean(job)).bind(now)).await.map(|_| ())
}

pub(super) async fn resume(tx: &mut Tx<'_>, job: &str) -> Result<bool, DbError> {
    let removed =
        tx.execute(Query::new("DELETE FROM mw_pause WHERE job = $1").bind(clean(job))).await?;
    Ok(removed > 0)
}

pub(super) async fn cancel(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: TaskId,
) -> Result<Result<TaskState, StoreError>, DbError> {
    let found = match find(tx, now, task).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let state = found.state;
    if state == TaskState::Running {
        tx.execute(Query::new("UPDATE mw_task SET cancel = 1 WHERE seq = $1").bind(found.seq))
            .await?;
    } else if state.is_final() {
        let hint = "only tasks that have not ended can be cancelled";
        return Ok(Err(StoreError::WrongState { task, state, hint }));
    } else {
        finish(tx, now, found.seq, state::CANCELLED, "cancelled by an operator").await?;
    }
    Ok(Ok(state))
}

pub(super) async fn retry(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: TaskId,
) -> Result<Result<(), StoreError>, DbError> {
    let found = match find(tx, now, task).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let state = found.state;
    if matches!(state, TaskState::Running) {
        let hint = "wait for its end, or cancel it first";
        return Ok(Err(StoreError::WrongState { task, state, hint }));
    }
    if state.is_final() {
        if !take_key_back(tx, now, found.seq).await? {
            let hint = "another task with its unique key waits or runs; cancel that one first";
            return Ok(Err(StoreError::WrongState { task, state, hint }));
        }
        revive(tx, now, found.seq).await?;
    } else {
        // An available task keeps its place in the queue.
        let query = Query::new(
            "UPDATE mw_task SET state = 1, run_at = least(run_at, $2),
               max_attempts = greatest(max_attempts, attempt + 1),
               held_code = NULL, held_release = NULL, held_since = NULL WHERE seq = $1",
        );
        tx.execute(query.bind(found.seq).bind(now)).await?;
    }
    Ok(Ok(()))
}

/// Takes the unique key of an ended task, if it has one and it is free; `false` if a task that
/// waits or runs holds it.
async fn take_key_back(tx: &mut Tx<'_>, now: Timestamp, seq: i64) -> Result<bool, DbError> {
    let query = Query::new("SELECT stamp FROM mw_envelope WHERE seq = $1").bind(seq);
    let stamp = tx.first(query).await?.map_or(Ok(String::new()), |row| row.get::<String>(0))?;
    let key = serde_json::from_str::<Stamp>(&stamp).ok().and_then(|stamp| stamp.unique_key);
    let Some(key) = key.as_deref().map(clean) else {
        return Ok(true);
    };
    // What blocks the key for a period after its end goes on blocking new tasks.
    let query = Query::new(
        "INSERT INTO mw_unique (key, seq, until)
         SELECT $1, seq, enqueued_at FROM mw_envelope WHERE seq = $2
         ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, until = excluded.until
           WHERE mw_unique.until <= $3
             AND NOT EXISTS (SELECT 1 FROM mw_task t WHERE t.seq = mw_unique.seq)",
    );
    if tx.execute(query.bind(key.as_str()).bind(seq).bind(now)).await? == 1 {
        return Ok(true);
    }
    let query =
        Query::new("SELECT 1 FROM mw_unique u JOIN mw_task t ON t.seq = u.seq WHERE u.key = $1");
    Ok(tx.first(query.bind(key)).await?.is_none())
}

/// Moves an ended task from history back into the queue.
async fn revive(tx: &mut Tx<'_>, now: Timestamp, seq: i64) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO mw_task (seq, lane, state, priority, run_at, attempt, max_attempts, is_unique,
           is_revived)
         SELECT f.seq, f.lane, 1, f.priority, $2, f.attempt,
           greatest(f.max_attempts, f.attempt + 1),
           EXISTS (SELECT 1 FROM mw_unique u WHERE u.seq = f.seq)::int, 1
           FROM mw_finished f WHERE f.seq = $1",
    );
    tx.execute(query.bind(seq).bind(now)).await?;
    tx.execute(Query::new("DELETE FROM mw_finished WHERE seq = $1").bind(seq)).await?;
    tx.execute(Query::new("DELETE FROM mw_progress WHERE seq = $1").bind(seq)).await?;
    Ok(())
}

pub(super) async fn discard(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: TaskId,
    reason: &str,
) -> Result<Result<(), StoreError>, DbError> {
    let found = match find(tx, now, task).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let state = found.state;
    if state == TaskState::Running || state.is_final() {
        let hint = "only waiting tasks can be discarded; cancel a running one";
        return Ok(Err(StoreError::WrongState { task, state, hint }));
    }
    finish(tx, now, found.seq, state::DISCARDED, reason).await?;
    Ok(Ok(()))
}

/// Tasks that are offered in the transaction of a lease at the most.
const MAX_OFFERED: i64 = 5_000;

/// Gives the oldest tasks that other releases hold back to the queue; returns whether any did go.
pub(super) async fn offer_held(
    tx: &mut Tx<'_>,
    release: &str,
    limit_since: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "WITH held AS MATERIALIZED (
           SELECT seq FROM mw_task
            WHERE state = 6 AND held_release <> $1 AND held_since >= $2
            ORDER BY held_since LIMIT $3 FOR UPDATE SKIP LOCKED)
         UPDATE mw_task t SET state = 1 FROM held WHERE t.seq = held.seq",
    );
    let query = query.bind(release).bind(limit_since).bind(MAX_OFFERED);
    Ok(tx.execute(query).await? > 0)
}

/// Gives all of them back to the queue; returns those whose limit has passed, and whether any went
/// back.
pub(super) async fn review_held(
    tx: &mut Tx<'_>,
    release: &str,
    limit_since: Timestamp,
) -> Result<(Vec<HeldTask>, bool), DbError> {
    let query = Query::new(
        "UPDATE mw_task SET state = 1 WHERE state = 6 AND held_release <> $1 AND held_since >= $2",
    );
    let returned = tx.execute(query.bind(release).bind(limit_since)).await? > 0;
    let query = Query::new(
        "SELECT t.seq, e.id, l.job, t.held_code, t.held_since FROM mw_task t
           JOIN mw_envelope e ON e.seq = t.seq JOIN mw_lane l ON l.id = t.lane
          WHERE t.state = 6 AND t.held_since < $1 ORDER BY t.held_since LIMIT 1000",
    );
    let mut over = Vec::new();
    for row in tx.all(query.bind(limit_since)).await? {
        over.push(HeldTask {
            row: row.get(0)?,
            task_id: row.get(1)?,
            job: row.get(2)?,
            code: row.get(3)?,
            since: row.get(4)?,
        });
    }
    Ok((over, returned))
}

pub(super) async fn discard_held(
    tx: &mut Tx<'_>,
    now: Timestamp,
    tasks: &[HeldTask],
) -> Result<u64, DbError> {
    let mut discarded = 0;
    for task in tasks {
        let query =
            Query::new("SELECT attempt FROM mw_task WHERE seq = $1 AND state = 6 FOR UPDATE");
        let Some(row) = tx.first(query.bind(task.row)).await? else {
            continue;
        };
        let error = format!("held since {} and accepted by no worker: {}", task.since, task.code);
        let report =
            AttemptReport { code: Some(task.code.clone()), error: Some(error.clone()), log: None };
        let attempt = AttemptRow {
            row: task.row,
            attempt: row.get(0)?,
            worker: None,
            started_at: None,
            outcome: "discarded",
            report,
        };
        record_attempts(tx, now, vec![attempt]).await?;
        finish(tx, now, task.row, state::DISCARDED, &error).await?;
        discarded += 1;
    }
    Ok(discarded)
}
