//! Storing tasks for which another may stand already: same unique key, same tick.
//!
//! Keys are taken in their order, so that two transactions never wait for each other. Who finds a
//! key taken by a transaction that is still open waits for its end, at most for the lock time-out.
//! Who finds a key taken for good locks nothing.

use database::{DbError, Query, Tx};
use values::{TaskId, Timestamp};

use super::enqueue::{Laned, answer, insert, is_guarded};
use super::text::clean;
use crate::{Enqueued, NewTask, Tick};

/// How often a key or tick that goes away at the moment it is looked at is tried.
const TRIES: u32 = 5;

/// Stores tasks; row numbers and answers are in their order.
pub(super) async fn enqueue_guarded(
    tx: &mut Tx<'_>,
    now: Timestamp,
    tasks: &[Laned<'_>],
) -> Result<Vec<Enqueued>, DbError> {
    let count = i64::try_from(tasks.len()).expect("a batch fits into memory");
    let query = Query::new("SELECT nextval('mw_seq') FROM generate_series(1, $1)").bind(count);
    let rows = tx.all(query).await?;
    let seqs: Vec<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    let mut answers: Vec<Option<Enqueued>> = vec![None; tasks.len()];
    let (mut guarded, plain): (Vec<usize>, Vec<usize>) =
        (0..tasks.len()).partition(|at| is_guarded(tasks[*at].0));
    guarded.sort_by_key(|at| guards(tasks[*at].0));
    if take_all_keys(tx, now, tasks, &guarded, &seqs).await? {
        let stored = insert(tx, now, tasks, Some(&seqs)).await?;
        free_unused(tx, &seqs, &stored).await?;
        let answers = tasks.iter().zip(stored);
        return Ok(answers.map(|((task, _), stored)| answer(task, !stored)).collect());
    }
    for at in guarded {
        answers[at] = Some(enqueue_one(tx, now, tasks[at], seqs[at]).await?);
    }
    let rest: Vec<Laned<'_>> = plain.iter().map(|at| tasks[*at]).collect();
    let numbers: Vec<i64> = plain.iter().map(|at| seqs[*at]).collect();
    let stored = insert(tx, now, &rest, Some(&numbers)).await?;
    for (at, stored) in plain.into_iter().zip(stored) {
        answers[at] = Some(answer(tasks[at].0, !stored));
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Takes the keys of several tasks at once, or none of them; ticks are taken one by one.
async fn take_all_keys(
    tx: &mut Tx<'_>,
    now: Timestamp,
    tasks: &[Laned<'_>],
    guarded: &[usize],
    seqs: &[i64],
) -> Result<bool, DbError> {
    if guarded.len() < 2 || guarded.iter().any(|at| tasks[*at].0.tick.is_some()) {
        return Ok(false);
    }
    let (mut keys, mut rows, mut untils) = (Vec::new(), Vec::new(), Vec::new());
    for at in guarded {
        let (task, _) = tasks[*at];
        keys.extend(task.stamp.unique_key.as_deref().map(clean));
        rows.push(seqs[*at]);
        untils.push(task.unique_for.map_or(now, |span| now.after(span)).as_micros());
    }
    tx.batch("SAVEPOINT keys").await?;
    let query = Query::new(
        "INSERT INTO mw_unique (key, seq, until)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING",
    );
    let taken = tx.execute(query.bind(keys).bind(rows).bind(untils)).await?;
    let all = taken == guarded.len() as u64;
    // Nothing stays locked out of order while the others are looked for.
    tx.batch(if all { "RELEASE keys" } else { "ROLLBACK TO keys; RELEASE keys" }).await?;
    Ok(all)
}

/// Frees the keys of tasks whose ids were there already.
async fn free_unused(tx: &mut Tx<'_>, seqs: &[i64], stored: &[bool]) -> Result<(), DbError> {
    let unused: Vec<i64> =
        seqs.iter().zip(stored).filter(|(_, stored)| !**stored).map(|(seq, _)| *seq).collect();
    if unused.is_empty() {
        return Ok(());
    }
    let query = Query::new("DELETE FROM mw_unique WHERE seq = ANY($1)");
    tx.execute(query.bind(unused)).await.map(|_| ())
}

/// What is locked for a task, in one order for all transactions.
fn guards(task: &NewTask) -> (Option<(&str, Timestamp)>, Option<&str>) {
    let tick = task.tick.as_ref().map(|tick| (tick.schedule.as_str(), tick.nominal_at));
    (tick, task.stamp.unique_key.as_deref())
}

async fn enqueue_one(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (task, lane): Laned<'_>,
    seq: i64,
) -> Result<Enqueued, DbError> {
    if let Some(tick) = &task.tick
        && let Some(existing) = take_tick(tx, tick, task).await?
    {
        return Ok(existing);
    }
    let enqueued = enqueue_unique(tx, now, (task, lane), seq).await?;
    if let Some(tick) = task.tick.as_ref().filter(|_| enqueued.task_id != task.stamp.task_id) {
        let query =
            Query::new("UPDATE mw_tick SET task = $3 WHERE schedule = $1 AND nominal_at = $2");
        let query = query.bind(clean(&tick.schedule)).bind(tick.nominal_at);
        tx.execute(query.bind(enqueued.task_id)).await?;
    }
    Ok(enqueued)
}

/// Takes the tick for this task; returns the one that has it already.
async fn take_tick(
    tx: &mut Tx<'_>,
    tick: &Tick,
    task: &NewTask,
) -> Result<Option<Enqueued>, DbError> {
    let query = Query::new(
        "INSERT INTO mw_tick (schedule, nominal_at, task) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    );
    let query = query.bind(clean(&tick.schedule)).bind(tick.nominal_at);
    if tx.execute(query.bind(task.stamp.task_id)).await? == 1 {
        return Ok(None);
    }
    let query = Query::new("SELECT task FROM mw_tick WHERE schedule = $1 AND nominal_at = $2");
    let query = query.bind(clean(&tick.schedule)).bind(tick.nominal_at);
    let holder = tx.first(query).await?.map_or(Ok(None), |row| row.get::<Option<TaskId>>(0))?;
    let task_id = holder.unwrap_or(task.stamp.task_id);
    Ok(Some(Enqueued { task_id, existing: true }))
}

/// Stores one task unless another holds its unique key.
async fn enqueue_unique(
    tx: &mut Tx<'_>,
    now: Timestamp,
    laned: Laned<'_>,
    seq: i64,
) -> Result<Enqueued, DbError> {
    let (task, _) = laned;
    let key = task.stamp.unique_key.as_deref().map(clean);
    if let Some(key) = &key {
        let until = task.unique_for.map_or(now, |span| now.after(span));
        if let Some(task_id) = take_key(tx, now, key, seq, until).await? {
            return Ok(Enqueued { task_id, existing: true });
        }
    }
    let stored = insert(tx, now, &[laned], Some(&[seq])).await?[0];
    if let Some(key) = key.filter(|_| !stored) {
        let query = Query::new("DELETE FROM mw_unique WHERE key = $1 AND seq = $2");
        tx.execute(query.bind(key).bind(seq)).await?;
    }
    Ok(answer(task, !stored))
}

/// Takes a unique key for a row; returns the task that holds it already.
async fn take_key(
    tx: &mut Tx<'_>,
    now: Timestamp,
    key: &str,
    seq: i64,
    until: Timestamp,
) -> Result<Option<TaskId>, DbError> {
    for _ in 0..TRIES {
        let query = Query::new(
            "INSERT INTO mw_unique (key, seq, until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        );
        if tx.execute(query.bind(key).bind(seq).bind(until)).await? == 1 {
            return Ok(None);
        }
        let query = Query::new(
            "SELECT u.seq, e.id, (t.seq IS NOT NULL OR u.until > $2)::int FROM mw_unique u
               LEFT JOIN mw_envelope e ON e.seq = u.seq LEFT JOIN mw_task t ON t.seq = u.seq
              WHERE u.key = $1",
        );
        let Some(row) = tx.first(query.bind(key).bind(now)).await? else {
            continue;
        };
        if let (Some(holder), true) = (row.get::<Option<TaskId>>(1)?, row.get::<bool>(2)?) {
            return Ok(Some(holder));
        }
        let query =
            Query::new("UPDATE mw_unique SET seq = $2, until = $3 WHERE key = $1 AND seq = $4");
        let query = query.bind(key).bind(seq).bind(until);
        if tx.execute(query.bind(row.get::<i64>(0)?)).await? == 1 {
            return Ok(None);
        }
    }
    Err(DbError::Busy)
}
