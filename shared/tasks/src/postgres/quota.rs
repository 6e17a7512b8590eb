//! Quotas: how many tasks of a source may wait or run.

use database::{DbError, Query, Tx};
use values::Timestamp;

use super::enqueue::enqueue;
use super::tally::waiting;
use crate::engine::{Asked, Asks};
use crate::{Enqueued, NewTask, StoreError};

/// What became of one call's tasks.
pub(super) type Answer = Result<Vec<Enqueued>, StoreError>;

/// Stores the tasks of several calls, given by the number of tasks of each; one answer per call.
///
/// A call that takes its source beyond the quota is undone alone. `ending` is the row of a task
/// that ends with this transaction and makes room.
pub(super) async fn enqueue_calls(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (tasks, lanes): (&[NewTask], &[i64]),
    sizes: &[usize],
    ending: Option<i64>,
) -> Result<Vec<Answer>, DbError> {
    let mut answers = Vec::with_capacity(sizes.len());
    if exceeded(tx, tasks.iter(), ending, Asked::Before).await?.is_none() {
        let mut stored = enqueue(tx, now, tasks, lanes).await?.into_iter();
        answers.extend(sizes.iter().map(|size| Ok(stored.by_ref().take(*size).collect())));
        return Ok(answers);
    }
    let mut begin = 0;
    for size in sizes {
        let call = begin..begin + size;
        begin = call.end;
        let call = (&tasks[call.clone()], &lanes[call]);
        answers.push(enqueue_one(tx, now, call, ending).await?);
    }
    Ok(answers)
}

/// Stores one call, and undoes it if its new tasks are too many: those that were there are not.
async fn enqueue_one(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (call, lanes): (&[NewTask], &[i64]),
    ending: Option<i64>,
) -> Result<Answer, DbError> {
    tx.execute(Query::new("SAVEPOINT quota")).await?;
    let stored = enqueue(tx, now, call, lanes).await?;
    let new = call.iter().zip(&stored).filter(|(_, stored)| !stored.existing);
    let refused = exceeded(tx, new.map(|(task, _)| task), ending, Asked::After).await?;
    if refused.is_some() {
        tx.execute(Query::new("ROLLBACK TO quota")).await?;
    }
    tx.execute(Query::new("RELEASE quota")).await?;
    Ok(refused.map_or(Ok(stored), Err))
}

/// The first quota that these tasks exceed; costs nothing if none of them has one.
async fn exceeded<'t>(
    tx: &mut Tx<'_>,
    tasks: impl Iterator<Item = &'t NewTask>,
    ending: Option<i64>,
    asked: Asked,
) -> Result<Option<StoreError>, DbError> {
    let asks = Asks::of(tasks);
    for source in asks.sources() {
        let counted = waiting(tx, source.as_str(), ending).await?;
        if let Some(refusal) = asks.refusal(source, counted, asked) {
            return Ok(Some(refusal));
        }
    }
    Ok(None)
}
