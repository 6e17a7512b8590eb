//! What operators do: pause, cancel, retry, discard; and what becomes of held tasks.

use database::{DbError, Query, Row, Tx};
use values::{TaskId, Timestamp};

use super::changes::{AttemptRow, record_attempt};
use super::schema::state;
use super::workers::finish;
use crate::{AttemptReport, HeldTask, StoreError, TaskState};

/// The state a number stands for; held tasks are available.
pub(super) fn task_state(number: i64) -> TaskState {
    match number {
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
    number: i64,
}

/// Finds a task and its state; `Err` inside if there is none.
async fn find(tx: &mut Tx<'_>, task: TaskId) -> Result<Result<Found, StoreError>, DbError> {
    let query = Query::new(
        "SELECT e.seq, coalesce(t.state, f.state) FROM mw_envelope e
         LEFT JOIN mw_task t ON t.seq = e.seq LEFT JOIN mw_finished f ON f.seq = e.seq
         WHERE e.id = $1",
    );
    let read = |row: &Row| -> Result<Option<Found>, DbError> {
        let number: Option<i64> = row.get(1)?;
        let seq = row.get(0)?;
        Ok(number.map(|number| Found { seq, number }))
    };
    let row = tx.first(query.bind(task)).await?;
    let found = row.as_ref().map_or(Ok(None), read)?;
    Ok(found.ok_or(StoreError::NotFound { task }))
}

pub(super) async fn pause(tx: &mut Tx<'_>, now: Timestamp, job: &str) -> Result<(), DbError> {
    let query =
        Query::new("INSERT INTO mw_pause (job, since) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    tx.execute(query.bind(job).bind(now)).await.map(|_| ())
}

pub(super) async fn resume(tx: &mut Tx<'_>, job: &str) -> Result<bool, DbError> {
    let removed = tx.execute(Query::new("DELETE FROM mw_pause WHERE job = $1").bind(job)).await?;
    Ok(removed > 0)
}

pub(super) async fn cancel(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: TaskId,
) -> Result<Result<TaskState, StoreError>, DbError> {
    let found = match find(tx, task).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let state = task_state(found.number);
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
    let found = match find(tx, task).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let state = task_state(found.number);
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
            "UPDATE mw_task SET state = 1, run_at = min(run_at, $2),
               max_attempts = max(max_attempts, attempt + 1),
               held_code = NULL, held_release = NULL, held_since = NULL WHERE seq = $1",
        );
        tx.execute(query.bind(found.seq).bind(now)).await?;
    }
    Ok(Ok(()))
}

/// Takes the unique key of an ended task, if it has one and it is free; `false` if a task that
/// waits or runs holds it.
async fn take_key_back(tx: &mut Tx<'_>, now: Timestamp, seq: i64) -> Result<bool, DbError> {
    let query = Query::new(
        "SELECT u.key FROM mw_envelope e JOIN mw_unique u ON u.key = e.stamp ->> 'uniqueKey'
           JOIN mw_task t ON t.seq = u.seq WHERE e.seq = $1",
    );
    if tx.first(query.bind(seq)).await?.is_some() {
        return Ok(false);
    }
    // What blocks the key for a period after its end goes on blocking new tasks.
    let query = Query::new(
        "INSERT INTO mw_unique (key, seq, until)
         SELECT stamp ->> 'uniqueKey', seq, enqueued_at FROM mw_envelope
          WHERE seq = $1 AND stamp ->> 'uniqueKey' IS NOT NULL
         ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, until = excluded.until
           WHERE mw_unique.until <= $2",
    );
    tx.execute(query.bind(seq).bind(now)).await?;
    Ok(true)
}

/// Moves an ended task from history back into the queue.
async fn revive(tx: &mut Tx<'_>, now: Timestamp, seq: i64) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO mw_task (seq, lane, state, priority, run_at, attempt, max_attempts, is_unique)
         SELECT f.seq, f.lane, 1, f.priority, $2, f.attempt, max(f.max_attempts, f.attempt + 1),
           EXISTS (SELECT 1 FROM mw_unique u WHERE u.seq = f.seq)
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
    let found = match find(tx, task).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let state = task_state(found.number);
    if state == TaskState::Running || state.is_final() {
        let hint = "only waiting tasks can be discarded; cancel a running one";
        return Ok(Err(StoreError::WrongState { task, state, hint }));
    }
    finish(tx, now, found.seq, state::DISCARDED, reason).await?;
    Ok(Ok(()))
}

/// Gives held tasks of other releases back to the queue; returns those whose limit has passed.
pub(super) async fn review_held(
    tx: &mut Tx<'_>,
    release: &str,
    limit_since: Timestamp,
) -> Result<Vec<HeldTask>, DbError> {
    let query = Query::new(
        "UPDATE mw_task SET state = 1 WHERE state = 6 AND held_release <> $1 AND held_since >= $2",
    );
    tx.execute(query.bind(release).bind(limit_since)).await?;
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
    Ok(over)
}

pub(super) async fn discard_held(
    tx: &mut Tx<'_>,
    now: Timestamp,
    tasks: &[HeldTask],
) -> Result<u64, DbError> {
    let mut discarded = 0;
    for task in tasks {
        let query = Query::new("SELECT attempt FROM mw_task WHERE seq = $1 AND state = 6");
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
        record_attempt(tx, now, attempt).await?;
        finish(tx, now, task.row, state::DISCARDED, &error).await?;
        discarded += 1;
    }
    Ok(discarded)
}
