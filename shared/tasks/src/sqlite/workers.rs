//! Workers: registered, heard from, and declared dead.
//!
//! A worker's life is a counter that it raises. Whoever rescues compares counters over its own
//! monotonic clock, so no wall clock, however wrong, takes a task from a worker that lives.

use database::{DbError, Query, Tx};
use values::{TaskId, Timestamp};

use super::changes::{AttemptRow, free_keys, record_attempt};
use super::lists::{numbers, pairs};
use super::schema::state;
use crate::engine::{Fate, lost};
use crate::{Beat, Rescued, WorkerRecord};

pub(super) async fn register(
    tx: &mut Tx<'_>,
    now: Timestamp,
    worker: &WorkerRecord,
) -> Result<i64, DbError> {
    let query = Query::new(
        "INSERT INTO mw_worker (name, host, pid, version, release, started_at, seen_at, beat)
         VALUES ($1, $2, $3, $4, $5, $6, $6, 0) RETURNING id",
    );
    let query = query.bind(worker.name.as_str()).bind(worker.host.as_str()).bind(worker.pid);
    let query = query.bind(worker.version.as_str()).bind(worker.release.as_str()).bind(now);
    let row = tx.first(query).await?;
    row.map_or(Ok(0), |row| row.get(0))
}

pub(super) async fn heartbeat(
    tx: &mut Tx<'_>,
    now: Timestamp,
    worker: i64,
) -> Result<Beat, DbError> {
    let query =
        Query::new("UPDATE mw_worker SET beat = beat + 1, seen_at = $1 WHERE id = $2 AND dead = 0");
    let alive = tx.execute(query.bind(now).bind(worker)).await?;
    let query =
        Query::new("SELECT seq FROM mw_task WHERE worker = $1 AND cancel = 1 AND state = 2");
    let rows = tx.all(query.bind(worker)).await?;
    let cancel = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    Ok(Beat { dead: alive == 0, cancel })
}

pub(super) async fn sign_off(tx: &mut Tx<'_>, now: Timestamp, worker: i64) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE mw_task SET state = 1, worker = NULL, token = NULL, started_at = NULL,
           attempt = min(attempt, max_attempts - 1) WHERE state = 2 AND worker = $1",
    );
    tx.execute(query.bind(worker)).await?;
    tx.execute(Query::new("UPDATE mw_worker SET dead = 1 WHERE id = $1").bind(worker)).await?;
    finish_cancelled(tx, now).await
}

/// Ends tasks that went back although they had been asked to stop.
pub(super) async fn finish_cancelled(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), DbError> {
    let query = Query::new("SELECT seq FROM mw_task WHERE cancel = 1 AND state <> 2");
    for row in tx.all(query).await? {
        finish(tx, now, row.get(0)?, state::CANCELLED, "cancelled by an operator").await?;
    }
    Ok(())
}

/// Declares silent workers dead and returns what they held.
pub(super) async fn rescue(
    tx: &mut Tx<'_>,
    now: Timestamp,
    silent: &[(i64, i64)],
) -> Result<Rescued, DbError> {
    let query = Query::new(
        "UPDATE mw_worker SET dead = 1 FROM json_each($1) j
          WHERE dead = 0 AND mw_worker.id = j.value ->> 0 AND beat = j.value ->> 1 RETURNING mw_worker.id",
    );
    let rows = tx.all(query.bind(pairs(silent))).await?;
    let dead: Vec<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    let mut rescued = Rescued { workers: dead.len() as u64, ..Rescued::default() };
    if dead.is_empty() {
        return Ok(rescued);
    }
    let query = Query::new(
        "SELECT t.seq, t.attempt, t.max_attempts, t.worker, t.started_at, t.cancel, e.id, l.job
           FROM mw_task t JOIN mw_envelope e ON e.seq = t.seq JOIN mw_lane l ON l.id = t.lane
          WHERE t.state = 2 AND t.worker IN (SELECT value FROM json_each($1))",
    );
    let mut back = Vec::new();
    for row in tx.all(query.bind(numbers(dead))).await? {
        let seq: i64 = row.get(0)?;
        let (attempt, most): (i64, i64) = (row.get(1)?, row.get(2)?);
        let (worker, started_at): (_, Option<Timestamp>) = (row.get(3)?, row.get(4)?);
        let spent = started_at.is_some() && attempt >= most;
        let fate = Fate::of(row.get(5)?, spent);
        if started_at.is_some() {
            let (outcome, report) = (fate.outcome(), lost());
            let row = AttemptRow { row: seq, attempt, worker, started_at, outcome, report };
            record_attempt(tx, now, row).await?;
        }
        match fate {
            Fate::Back => back.push(seq),
            Fate::Cancelled => {
                finish(tx, now, seq, state::CANCELLED, "cancelled; its worker died").await?;
            }
            Fate::Spent => {
                finish(tx, now, seq, state::DISCARDED, "the worker died on the last attempt")
                    .await?;
                rescued.discarded.push((row.get::<TaskId>(6)?, row.get(7)?));
            }
        }
    }
    rescued.returned = back.len() as u64;
    let query = Query::new(
        "UPDATE mw_task SET state = 1, worker = NULL, token = NULL, started_at = NULL
          WHERE seq IN (SELECT value FROM json_each($1))",
    );
    tx.execute(query.bind(numbers(back))).await?;
    Ok(rescued)
}

/// Moves a task that has not ended into history.
pub(super) async fn finish(
    tx: &mut Tx<'_>,
    now: Timestamp,
    seq: i64,
    end: i64,
    error: &str,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO mw_finished (seq, lane, state, priority, run_at, attempt, max_attempts, worker,
           started_at, finished_at, error)
         SELECT seq, lane, $2, priority, run_at, attempt, max_attempts, worker, started_at, $3, $4
           FROM mw_task WHERE seq = $1",
    );
    tx.execute(query.bind(seq).bind(end).bind(now).bind(error)).await?;
    tx.execute(Query::new("DELETE FROM mw_task WHERE seq = $1").bind(seq)).await?;
    free_keys(tx, now, &[seq]).await
}
