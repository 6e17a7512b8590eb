//! Settling: outcome, final write step and follow-ups in one transaction.

use std::collections::{HashMap, HashSet};

use database::{DbError, Query, Tx};
use values::Timestamp;

use super::changes::{Changes, Held, Plain, free_keys};
use super::enqueue::{Laned, answer, insert, is_guarded};
use super::quota::enqueue_calls;
use super::steps::{Plans, Steps};
use crate::engine::{concerns_everyone, run_write};
use crate::model::chain;
use crate::sqlite::state;
use crate::{Enqueued, NewTask, Settle, Settled, Settlement};

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
    let held = fence(tx, batch.iter().map(|s| s.row).collect()).await?;
    let mut steps = Steps::new();
    let plain_ones = never_refused(batch, lanes, &held);
    let mut ahead = enqueue_ahead(tx, now, &mut steps, plain_ones).await?;
    let mut seen = HashSet::with_capacity(batch.len());
    let (mut changes, mut answers) = (Changes::default(), Vec::with_capacity(batch.len()));
    let is_keyed = |task: &NewTask| task.stamp.unique_key.is_some();
    let asks_for_keys = batch.iter().any(|s| follow_ups(&s.settle).iter().any(is_keyed));
    for (at, Settlement { row, token, settle, report }) in batch.iter_mut().enumerate() {
        let lanes = lanes.split_off(..follow_ups(settle).len()).unwrap_or_default();
        let lease = held.get(row).filter(|held| held.token == *token);
        let Some(lease) = lease.filter(|_| !seen.contains(row)) else {
            answers.push(Settled::LeaseLost);
            continue;
        };
        // Its key is free for each follow-up of this batch. Else keys are freed together at the end:
        // what a final write enqueues itself finds them taken.
        let frees = lease.is_unique && asks_for_keys;
        let stored = ahead.remove(&at);
        let are_ahead = stored.is_some();
        let stored =
            match complete(tx, now, &mut steps, (*row, frees), settle, (stored, lanes)).await? {
                Ok(stored) => stored,
                Err(failed) => {
                    answers.push(failed);
                    continue;
                }
            };
        seen.insert(*row);
        let plain = plain(settle, now, lease.cancel);
        let ends = matches!(plain, Plain::Final { state: _, result: _, uncount: _ });
        if frees && ends && (are_ahead || follow_ups(settle).is_empty()) {
            steps.steady(tx).await?;
            free_keys(tx, now, vec![*row]).await?;
        }
        changes.add(*row, *token, plain, report);
        answers.push(Settled::Done { follow_ups: stored });
    }
    steps.steady(tx).await?;
    changes.write(tx, now, held).await?;
    Ok(answers)
}

/// Follow-ups of a settlement: its place in the batch, the tasks and their lanes.
type FollowUps<'b> = (usize, &'b [NewTask], &'b [i64]);

/// The follow-ups that nothing refuses: no other task may stand for them, and no quota limits them.
///
/// None if two settlements are of the same row or ask for the same task: one may fail alone.
fn never_refused<'b>(
    batch: &'b [Settlement],
    mut lanes: &'b [i64],
    held: &HashMap<i64, Held>,
) -> Vec<FollowUps<'b>> {
    let (mut rows, mut ids) = (HashSet::new(), HashSet::new());
    let mut found = Vec::with_capacity(batch.len());
    let is_plain = |task: &NewTask| !is_guarded(task) && task.max_waiting.is_none();
    for (at, Settlement { row, token, settle, report: _ }) in batch.iter().enumerate() {
        let tasks = follow_ups(settle);
        let lanes = lanes.split_off(..tasks.len()).unwrap_or_default();
        if !rows.insert(row) || !tasks.iter().all(|task| ids.insert(task.stamp.task_id)) {
            return Vec::new();
        }
        let holds = held.get(row).is_some_and(|held| held.token == *token);
        if holds && !tasks.is_empty() && tasks.iter().all(is_plain) {
            found.push((at, tasks, lanes));
        }
    }
    found
}

/// Stores follow-ups of a batch at once, ahead of its final writes; answers by place in the batch.
///
/// If one of them cannot be stored, none is: each settlement then fails of its own ones alone.
async fn enqueue_ahead(
    tx: &mut Tx<'_>,
    now: Timestamp,
    steps: &mut Steps,
    asked: Vec<FollowUps<'_>>,
) -> Result<HashMap<usize, Vec<Enqueued>>, DbError> {
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let mut tasks: Vec<Laned<'_>> = Vec::with_capacity(asked.len());
    for (_, follow_ups, lanes) in &asked {
        tasks.extend(follow_ups.iter().zip(lanes.iter().copied()));
    }
    steps.begin(tx, Plans::Steady).await?;
    let stored = match insert(tx, now, &tasks, None).await {
        Ok(stored) => stored,
        Err(error) if concerns_everyone(&error) => return Err(error),
        Err(_) => {
            steps.undo(tx).await?;
            return Ok(HashMap::new());
        }
    };
    let mut stored = stored.into_iter();
    let answer = |(task, new): (&NewTask, bool)| answer(task, !new);
    let answers = asked.into_iter();
    Ok(answers
        .map(|(at, t, _)| (at, t.iter().zip(stored.by_ref()).map(answer).collect()))
        .collect())
}

/// Takes back what was stored ahead of a final write that failed.
async fn take_back(tx: &mut Tx<'_>, stored: &[Enqueued]) -> Result<(), DbError> {
    let new = stored.iter().filter(|enqueued| !enqueued.existing);
    let query = Query::new(
        "WITH gone AS (DELETE FROM mw_envelope WHERE id = ANY($1) RETURNING seq, lane),
           rows AS (DELETE FROM mw_task t USING gone WHERE t.seq = gone.seq),
           labels AS (DELETE FROM mw_label l USING gone WHERE l.seq = gone.seq)
         INSERT INTO mw_tally_piece (lane, entered)
         SELECT lane, -count(*) FROM gone GROUP BY lane",
    );
    let ids: Vec<Vec<u8>> = new.map(|enqueued| enqueued.task_id.as_bytes().to_vec()).collect();
    tx.execute(query.bind(ids)).await.map(|_| ())
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

/// Runs the final write step and stores the follow-ups, unless they were `stored` ahead; a failure
/// undoes only these.
///
/// The row ends here: its follow-ups find its unique key free, if it `frees` one, and its place
/// within the quota.
async fn complete(
    tx: &mut Tx<'_>,
    now: Timestamp,
    steps: &mut Steps,
    (row, frees): (i64, bool),
    settle: &mut Settle,
    (stored, lanes): (Option<Vec<Enqueued>>, &[i64]),
) -> Result<Result<Vec<Enqueued>, Settled>, DbError> {
    let write = match settle {
        Settle::Completed { result: _, write, follow_ups: _ } => write.take(),
        _ => None,
    };
    let follow_ups = if stored.is_some() { &[] } else { follow_ups(settle) };
    let stored = stored.unwrap_or_default();
    if write.is_none() && follow_ups.is_empty() {
        return Ok(Ok(stored));
    }
    steps.begin(tx, if write.is_some() { Plans::Usual } else { Plans::Steady }).await?;
    let written = async {
        if let Some(write) = write {
            run_write(tx, write).await?;
        }
        if follow_ups.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        steps.steady(tx).await?;
        if frees {
            free_keys(tx, now, vec![row]).await?;
        }
        let sizes = [follow_ups.len()];
        let answers = enqueue_calls(tx, now, (follow_ups, lanes), &sizes, Some(row)).await?;
        Ok(answers.into_iter().next().unwrap_or(Ok(Vec::new())))
    };
    let failed = match written.await {
        Ok(Ok(new)) => return Ok(Ok(if stored.is_empty() { new } else { stored })),
        Ok(Err(refused)) => {
            let transient = refused.is_transient();
            Settled::WriteFailed { error: refused.to_string(), transient }
        }
        Err(error) if concerns_everyone(&error) => return Err(error),
        Err(error) => {
            let transient = error.is_transient();
            Settled::WriteFailed { error: chain(&error), transient }
        }
    };
    steps.undo(tx).await?;
    if !stored.is_empty() {
        steps.steady(tx).await?;
        take_back(tx, &stored).await?;
    }
    Ok(Err(failed))
}
