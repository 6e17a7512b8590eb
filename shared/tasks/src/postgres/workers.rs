//! Workers: registered, heard from, and declared dead.
//!
//! A worker's life is a counter that it raises. Whoever rescues compares counters over its own
//! monotonic clock, so no wall clock, however wrong, takes a task from a worker that lives.

use database::{DbError, Query, Tx};
use values::{TaskId, Timestamp};

use super::changes::{AttemptRow, finish, record_attempts};
use super::text::clean;
use crate::engine::{Fate, lost};
use crate::sqlite::state;
use crate::{Beat, Rescued, WorkerRecord};

/// Random bits at the end of a worker's number.
const CHANCE_BITS: i64 = 20;

pub(super) async fn register(
    tx: &mut Tx<'_>,
    now: Timestamp,
    worker: &WorkerRecord,
) -> Result<i64, DbError> {
    // After a failover to a server that lost the latest ones, the sequence gives a number twice.
    let chance = i64::from_be_bytes(crate::random_bytes()) & ((1 << CHANCE_BITS) - 1);
    let query = Query::new(
        "INSERT INTO mw_worker (id, name, host, pid, version, release, started_at, seen_at, beat)
         VALUES ((nextval('mw_worker_seq') << $8::bigint::int) | $7, $1, $2, $3, $4, $5, $6, $6, 0)
         RETURNING id",
    );
    let query = query.bind(clean(&worker.name)).bind(clean(&worker.host)).bind(worker.pid);
    let query = query.bind(clean(&worker.version)).bind(clean(&worker.release)).bind(now);
    let row = tx.first(query.bind(chance).bind(CHANCE_BITS)).await?;
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
    // First of all, so that a lease that is being given to it comes before or not at all.
    tx.execute(Query::new("UPDATE mw_worker SET dead = 1 WHERE id = $1").bind(worker)).await?;
    let query = Query::new(
        "SELECT seq FROM mw_task WHERE state = 2 AND worker = $1 ORDER BY seq FOR UPDATE",
    );
    let rows = tx.all(query.bind(worker)).await?;
    let held: Vec<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    // An attempt that was begun stays counted, unless it was the last.
    let query = Query::new(
        "UPDATE mw_task SET state = 1, worker = NULL, token = NULL, started_at = NULL,
           attempt = least(attempt, max_attempts - 1) WHERE seq = ANY($1)",
    );
    tx.execute(query.bind(held)).await?;
    finish_cancelled(tx, now).await
}

/// Ends tasks that went back although they had been asked to stop.
pub(super) async fn finish_cancelled(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), DbError> {
    let query = Query::new(
        "SELECT seq FROM mw_task WHERE cancel = 1 AND state <> 2 FOR UPDATE SKIP LOCKED",
    );
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
        "UPDATE mw_worker w SET dead = 1 FROM unnest($1::bigint[], $2::bigint[]) AS i (id, beat)
          WHERE w.dead = 0 AND w.id = i.id AND w.beat = i.beat RETURNING w.id",
    );
    let (ids, beats): (Vec<i64>, Vec<i64>) = silent.iter().copied().unzip();
    let rows = tx.all(query.bind(ids).bind(beats)).await?;
    let dead: Vec<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    let mut rescued = Rescued { workers: dead.len() as u64, ..Rescued::default() };
    if dead.is_empty() {
        return Ok(rescued);
    }
    let query = Query::new(
        "SELECT t.seq, t.attempt, t.max_attempts, t.worker, t.started_at, t.cancel, e.id, l.job
           FROM mw_task t JOIN mw_envelope e ON e.seq = t.seq JOIN mw_lane l ON l.id = t.lane
          WHERE t.state = 2 AND t.worker = ANY($1) ORDER BY t.seq FOR UPDATE OF t",
    );
    let (mut back, mut attempts) = (Vec::new(), Vec::new());
    for row in tx.all(query.bind(dead)).await? {
        let seq: i64 = row.get(0)?;
        let (attempt, most): (i64, i64) = (row.get(1)?, row.get(2)?);
        let (worker, started_at): (_, Option<Timestamp>) = (row.get(3)?, row.get(4)?);
        let spent = started_at.is_some() && attempt >= most;
        let fate = Fate::of(row.get(5)?, spent);
        if started_at.is_some() {
            let (outcome, report) = (fate.outcome(), lost());
            let row = AttemptRow { row: seq, attempt, worker, started_at, outcome, report };
            attempts.push(row);
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
    record_attempts(tx, now, attempts).await?;
    rescued.returned = back.len() as u64;
    let query = Query::new(
        "UPDATE mw_task SET state = 1, worker = NULL, token = NULL, started_at = NULL
          WHERE seq = ANY($1)",
    );
    tx.execute(query.bind(back)).await?;
    Ok(rescued)
}
