//! Storing tasks: one statement for any number of plain ones.

use database::{DbError, Query, Tx};
use values::{Span, Timestamp};

use super::guarded::enqueue_guarded;
use super::text::clean;
use crate::{Enqueued, NewTask};

/// A task and the number of its lane.
pub(super) type Laned<'t> = (&'t NewTask, i64);

/// Stores a batch in the lanes given; one answer per task, in order.
pub(super) async fn enqueue(
    tx: &mut Tx<'_>,
    now: Timestamp,
    batch: &[NewTask],
    lanes: &[i64],
) -> Result<Vec<Enqueued>, DbError> {
    let tasks: Vec<Laned<'_>> = batch.iter().zip(lanes.iter().copied()).collect();
    if tasks.iter().any(|(task, _)| is_guarded(task)) {
        return enqueue_guarded(tx, now, &tasks).await;
    }
    let stored = insert(tx, now, &tasks, None).await?;
    let answer = |((task, _), stored): (&Laned<'_>, bool)| answer(task, !stored);
    Ok(tasks.iter().zip(stored).map(answer).collect())
}

pub(super) fn answer(task: &NewTask, existing: bool) -> Enqueued {
    Enqueued { task_id: task.stamp.task_id, existing }
}

/// Whether another task may stand for this one already.
pub(super) fn is_guarded(task: &NewTask) -> bool {
    task.stamp.unique_key.is_some() || task.tick.is_some()
}

/// Inserts tasks, with the row numbers given or the next ones; tells for each whether its id was new.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    now: Timestamp,
    tasks: &[Laned<'_>],
    seqs: Option<&[i64]>,
) -> Result<Vec<bool>, DbError> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let rows = insert_rows(tx, now, tasks, seqs).await?;
    let mut rows = rows.into_iter().peekable();
    let (mut stored, mut fresh) =
        (Vec::with_capacity(tasks.len()), Vec::with_capacity(tasks.len()));
    for (task, _) in tasks {
        let row = rows.next_if(|(_, id)| id == task.stamp.task_id.as_bytes());
        stored.push(row.is_some());
        fresh.extend(row.map(|(seq, _)| (seq, *task)));
    }
    if rows.next().is_some() {
        return Err(DbError::Column { column: 1, expected: "the ids of the batch, in order" });
    }
    insert_labels(tx, &fresh).await?;
    Ok(stored)
}

/// Inserts envelopes, and the hot rows of those that were new; returns row number and id of these,
/// in the order of the tasks.
///
/// What is `IS TRUE` is looked up in a table made once, and not found by a join.
async fn insert_rows(
    tx: &mut Tx<'_>,
    now: Timestamp,
    tasks: &[Laned<'_>],
    seqs: Option<&[i64]>,
) -> Result<Vec<(i64, Vec<u8>)>, DbError> {
    let query = Query::new(
        "WITH i AS MATERIALIZED (
           SELECT coalesce(n.seq, nextval('mw_seq')) AS seq, n.id, n.lane, n.not_after, n.timeout,
             n.stamp, n.proof, n.configuration, n.payload, n.labels, n.parent, n.run_at, n.priority,
             n.max_attempts, n.is_unique
             FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
               $6::text[], $7::text[], $8::bytea[], $9::bytea[], $10::text[], $11::bytea[],
               $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
               AS n (seq, id, lane, not_after, timeout, stamp, proof, configuration, payload,
                 labels, parent, run_at, priority, max_attempts, is_unique)),
         e AS (
           INSERT INTO mw_envelope (seq, id, lane, enqueued_at, not_after, timeout, stamp, proof,
             configuration, payload, labels, parent)
           SELECT seq, id, lane, $16, not_after, timeout, stamp, proof, configuration, payload,
             labels, parent FROM i
           ON CONFLICT (id) DO NOTHING RETURNING seq, id),
         t AS (
           INSERT INTO mw_task (seq, lane, run_at, state, priority, attempt, max_attempts,
             is_unique)
           SELECT seq, lane, run_at, 1, priority, 0, max_attempts, is_unique FROM i
            WHERE (seq IN (SELECT seq FROM e)) IS TRUE)
         SELECT seq, id FROM e",
    );
    let run_at = |task: &NewTask| task.stamp.run_at.map_or(now, |run_at| run_at.max(now));
    let query = query
        .bind(list(tasks, |at, _| seqs.map(|seqs| seqs[at])))
        .bind(list(tasks, |_, task| task.stamp.task_id.as_bytes().to_vec()))
        .bind(tasks.iter().map(|(_, lane)| *lane).collect::<Vec<_>>())
        .bind(list(tasks, |_, task| task.stamp.not_after.as_micros()))
        .bind(list(tasks, |_, task| task.timeout.map(Span::as_micros)))
        .bind(list(tasks, |_, t| serde_json::to_string(&t.stamp).expect("a stamp is plain data")))
        .bind(list(tasks, |_, task| task.proof.as_ref().map(ToString::to_string)))
        .bind(list(tasks, |_, task| task.configuration.as_bytes().to_vec()))
        .bind(list(tasks, |_, task| task.payload.as_bytes().to_vec()))
        .bind(list(tasks, |_, task| labels(task)))
        .bind(list(tasks, |_, task| task.parent.map(|parent| parent.as_bytes().to_vec())))
        .bind(list(tasks, |_, task| run_at(task).as_micros()))
        .bind(list(tasks, |_, task| i64::from(task.stamp.priority)))
        .bind(list(tasks, |_, task| i64::from(task.stamp.max_attempts)))
        .bind(list(tasks, |_, task| i64::from(task.stamp.unique_key.is_some())))
        .bind(now);
    tx.all(query).await?.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

fn list<T>(tasks: &[Laned<'_>], read: impl Fn(usize, &NewTask) -> T) -> Vec<T> {
    tasks.iter().enumerate().map(|(at, (task, _))| read(at, task)).collect()
}

fn labels(task: &NewTask) -> Option<String> {
    let text = || serde_json::to_string(&task.labels).expect("labels are text");
    (!task.labels.is_empty()).then(text)
}

async fn insert_labels(tx: &mut Tx<'_>, fresh: &[(i64, &NewTask)]) -> Result<(), DbError> {
    let (mut texts, mut seqs) = (Vec::new(), Vec::new());
    for (seq, task) in fresh {
        texts.extend(task.labels.iter().map(|label| clean(label)));
        seqs.resize(texts.len(), *seq);
    }
    if texts.is_empty() {
        return Ok(());
    }
    let query = Query::new(
        "INSERT INTO mw_label (label, seq) SELECT * FROM unnest($1::text[], $2::bigint[])
         ON CONFLICT DO NOTHING",
    );
    tx.execute(query.bind(texts).bind(seqs)).await?;
    Ok(())
}
