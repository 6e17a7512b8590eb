//! Settling: outcome, final write step and follow-ups in one transaction.

use std::collections::{HashMap, HashSet};

use database::{DbError, Query, Tx};
use values::Timestamp;

use super::changes::{Changes, Held, Plain, free_keys};
use super::quota::enqueue_calls;
use crate::engine::{concerns_everyone, run_write};
use crate::model::chain;
use crate::sqlite::state;
use crate::{Enqueued, NewTask, Settle, Settled, Settlement};

/// How long one of its statements may take, so that the server ends it before we hang up.
const STATEMENT_LIMIT: &str = "SET LOCAL statement_timeout = '9s'";

/// Lets the server plan statements of a job by what it knows of the job's tables, and ours again
/// by index.
const SAVEPOINT_AND_USUAL_PLANS: &str = "SAVEPOINT outcome; SET LOCAL enable_seqscan = on;
    SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on;
    SET LOCAL enable_mergejoin = on; SET LOCAL plan_cache_mode = auto";
const STEADY_PLANS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL plan_cache_mode = force_generic_plan";

/// Whether a settlement runs foreign code or stores tasks, and so may wait for others.
pub(super) fn is_slow(settlement: &Settlement) -> bool {
    let writes = matches!(settlement.settle, Settle::Completed { write: Some(_), .. });
    writes || !follow_ups(&settlement.settle).is_empty()
}

/// Whether the end of a lease has to be known before the statement that ends it.
fn needs_fence(settle: &Settle) -> bool {
    match settle {
        Settle::Completed { result: _, write: _, follow_ups: _ }
        | Settle::Discard
        | Settle::Reject
        | Settle::Cancel => false,
        Settle::Retry { after: _ }
        | Settle::Snooze { after: _ }
        | Settle::Hold { code: _, release: _ }
        | Settle::GiveBack => true,
    }
}

/// Settles a batch; one answer per settlement, in order.
///
/// Final write steps are taken out of the batch when they run; all else stays, so that the batch
/// may be tried again if there were none. `lanes` are those of the follow-ups, in order.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    now: Timestamp,
    batch: &mut [Settlement],
    lanes: &[i64],
) -> Result<Vec<Settled>, DbError> {
    if batch.iter().any(is_slow) {
        settle_slow(tx, now, batch, lanes).await
    } else {
        settle_quick(tx, now, batch).await
    }
}

/// Settles what neither writes nor enqueues; leases that end for good are not looked at before.
async fn settle_quick(
    tx: &mut Tx<'_>,
    now: Timestamp,
    batch: &mut [Settlement],
) -> Result<Vec<Settled>, DbError> {
    let fenced = batch.iter().filter(|s| needs_fence(&s.settle)).map(|s| s.row);
    let held = fence(tx, fenced.collect()).await?;
    let mut seen = HashSet::with_capacity(batch.len());
    let (mut changes, mut answers) = (Changes::default(), Vec::with_capacity(batch.len()));
    for Settlement { row, token, settle, report } in batch.iter() {
        let lease = held.get(row).filter(|held| held.token == *token);
        let holds = lease.is_some() || !needs_fence(settle);
        // A second settlement of the same lease comes too late, in the same batch too.
        if !holds || !seen.insert((*row, *token)) {
            answers.push(Settled::LeaseLost);
            continue;
        }
        let plain = plain(settle, now, lease.is_some_and(|held| held.cancel));
        changes.add(*row, *token, plain, report);
        answers.push(Settled::Done { follow_ups: Vec::new() });
    }
    let ended = changes.write(tx, now, held).await?;
    for (Settlement { row, token, settle, report: _ }, answer) in batch.iter().zip(&mut answers) {
        if !needs_fence(settle) && !ended.contains(&(*row, *token)) {
            *answer = Settled::LeaseLost;
        }
    }
    Ok(answers)
}

/// Settles a batch with final write steps or follow-ups, one after the other.
async fn settle_slow(
    tx: &mut Tx<'_>,
    now: Timestamp,
    batch: &mut [Settlement],
    mut lanes: &[i64],
) -> Result<Vec<Settled>, DbError> {
    tx.execute(Query::new(STATEMENT_LIMIT)).await?;
    let held = fence(tx, batch.iter().map(|s| s.row).collect()).await?;
    let mut seen = HashSet::with_capacity(batch.len());
    let (mut changes, mut answers) = (Changes::default(), Vec::with_capacity(batch.len()));
    let is_keyed = |task: &NewTask| task.stamp.unique_key.is_some();
    let asks_for_keys = batch.iter().any(|s| follow_ups(&s.settle).iter().any(is_keyed));
    for Settlement { row, token, settle, report } in batch {
        let lanes = lanes.split_off(..follow_ups(settle).len()).unwrap_or_default();
        let lease = held.get(row).filter(|held| held.token == *token);
        let Some(lease) = lease.filter(|_| !seen.contains(row)) else {
            answers.push(Settled::LeaseLost);
            continue;
        };
        // Its key is free for each follow-up of this batch. Else keys are freed together at the end:
        // what a final write enqueues itself finds them taken.
        let frees = lease.is_unique && asks_for_keys;
        let stored = match complete(tx, now, (*row, frees), settle, lanes).await? {
            Ok(stored) => stored,
            Err(failed) => {
                answers.push(failed);
                continue;
            }
        };
        seen.insert(*row);
        let plain = plain(settle, now, lease.cancel);
        if frees && matches!(plain, Plain::Final { state: _, result: _, uncount: _ }) {
            if follow_ups(settle).is_empty() {
                free_keys(tx, now, vec![*row]).await?;
            }
            changes.freed(*row);
        }
        changes.add(*row, *token, plain, report);
        answers.push(Settled::Done { follow_ups: stored });
    }
    changes.write(tx, now, held).await?;
    Ok(answers)
}

/// The tasks that an outcome asks for.
pub(super) fn follow_ups(settle: &Settle) -> &[NewTask] {
    match settle {
        Settle::Completed { result: _, write: _, follow_ups } => follow_ups,
        Settle::Retry { after: _ }
        | Settle::Snooze { after: _ }
        | Settle::Discard
        | Settle::Reject
        | Settle::Cancel
        | Settle::Hold { code: _, release: _ }
        | Settle::GiveBack => &[],
    }
}

/// What becomes of the row.
fn plain(settle: &Settle, now: Timestamp, cancel: bool) -> Plain {
    let ended = |state| Plain::Final { state, result: None, uncount: false };
    match settle {
        Settle::Completed { result, write: _, follow_ups: _ } => {
            Plain::Final { state: state::COMPLETED, result: result.clone(), uncount: false }
        }
        Settle::Discard => ended(state::DISCARDED),
        Settle::Reject => Plain::Final { state: state::DISCARDED, result: None, uncount: true },
        Settle::Cancel => ended(state::CANCELLED),
        _ if cancel => ended(state::CANCELLED),
        Settle::Retry { after } => Plain::Wait { run_at: now.after(*after), uncount: false },
        Settle::Snooze { after } => Plain::Wait { run_at: now.after(*after), uncount: true },
        Settle::Hold { code, release } => {
            Plain::Hold { code: code.clone(), release: release.clone() }
        }
        Settle::GiveBack => Plain::Return,
    }
}

/// Locks the rows that are leased, in the order of their numbers.
async fn fence(tx: &mut Tx<'_>, rows: Vec<i64>) -> Result<HashMap<i64, Held>, DbError> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let query = Query::new(
        "SELECT seq, token, attempt, worker, started_at, is_unique, cancel FROM mw_task
          WHERE seq = ANY($1) AND state = 2 ORDER BY seq FOR UPDATE",
    );
    tx.all(query.bind(rows)).await?.iter().map(Held::read).collect()
}

/// Runs the final write step and stores the follow-ups; a failure undoes only these.
///
/// The row ends here: its follow-ups find its unique key free, if it `frees` one, and its place
/// within the quota.
async fn complete(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (row, frees): (i64, bool),
    settle: &mut Settle,
    lanes: &[i64],
) -> Result<Result<Vec<Enqueued>, Settled>, DbError> {
    let write = match settle {
        Settle::Completed { result: _, write, follow_ups: _ } => write.take(),
        _ => None,
    };
    let follow_ups = follow_ups(settle);
    if write.is_none() && follow_ups.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let beginning = if write.is_some() { SAVEPOINT_AND_USUAL_PLANS } else { "SAVEPOINT outcome" };
    tx.batch(beginning).await?;
    let written = async {
        if let Some(write) = write {
            run_write(tx, write).await?;
            tx.batch(STEADY_PLANS).await?;
        }
        if frees && !follow_ups.is_empty() {
            free_keys(tx, now, vec![row]).await?;
        }
        enqueue_calls(tx, now, (follow_ups, lanes), &[follow_ups.len()], Some(row)).await
    };
    let failed = match written.await {
        Ok(answers) => match answers.into_iter().next().unwrap_or(Ok(Vec::new())) {
            Ok(stored) => {
                tx.execute(Query::new("RELEASE outcome")).await?;
                return Ok(Ok(stored));
            }
            Err(refused) => {
                let transient = refused.is_transient();
                Settled::WriteFailed { error: refused.to_string(), transient }
            }
        },
        Err(error) if concerns_everyone(&error) => return Err(error),
        Err(error) => {
            let transient = error.is_transient();
            Settled::WriteFailed { error: chain(&error), transient }
        }
    };
    tx.execute(Query::new("ROLLBACK TO outcome")).await?;
    tx.execute(Query::new("RELEASE outcome")).await?;
    Ok(Err(failed))
}
