//! Storing tasks.

use std::collections::HashSet;

use database::{DbError, Query, Tx, Value};
use values::Timestamp;

use super::lanes::{Lanes, missing};
use super::schema::state;
use crate::{Enqueued, NewTask};

/// Rows of one multi-row statement, largest first; each size is one prepared statement.
const CHUNKS: [usize; 4] = [256, 32, 4, 1];

/// Stores a batch; one answer per task, in order.
pub(super) async fn enqueue(
    tx: &mut Tx<'_>,
    lanes: &mut Lanes,
    now: Timestamp,
    batch: &[NewTask],
) -> Result<Vec<Enqueued>, DbError> {
    let mut answers = Vec::with_capacity(batch.len());
    if batch.is_empty() {
        return Ok(answers);
    }
    let row = tx.first(Query::new("SELECT coalesce(max(seq), 0) FROM mw_envelope")).await?;
    let mut last: i64 = row.map_or(Err(missing()), |row| row.get(0))?;
    // Runs of the same kind, so that rows are numbered in the order of the batch.
    for run in batch.chunk_by(|one, next| is_guarded(one) == is_guarded(next)) {
        if is_guarded(&run[0]) {
            for task in run {
                answers.push(enqueue_guarded(tx, lanes, now, &mut last, task).await?);
            }
            continue;
        }
        let mut rest = run;
        for size in CHUNKS {
            while rest.len() >= size {
                let (chunk, others) = rest.split_at(size);
                rest = others;
                let stored = insert(tx, lanes, now, &mut last, chunk).await?;
                answers.extend(chunk.iter().zip(stored).map(|(task, stored)| Enqueued {
                    task_id: task.stamp.task_id,
                    existing: !stored,
                }));
            }
        }
    }
    Ok(answers)
}

/// Whether another task may stand for this one already.
fn is_guarded(task: &NewTask) -> bool {
    task.stamp.unique_key.is_some() || task.tick.is_some()
}

/// Stores one task that something else may stand for already.
async fn enqueue_guarded(
    tx: &mut Tx<'_>,
    lanes: &mut Lanes,
    now: Timestamp,
    last: &mut i64,
    task: &NewTask,
) -> Result<Enqueued, DbError> {
    let Some(tick) = &task.tick else {
        return enqueue_unique(tx, lanes, now, last, task).await;
    };
    let query = Query::new("SELECT task FROM mw_tick WHERE schedule = $1 AND nominal_at = $2");
    let query = query.bind(tick.schedule.as_str()).bind(tick.nominal_at);
    if let Some(row) = tx.first(query).await? {
        let task_id = row.get::<Option<_>>(0)?.unwrap_or(task.stamp.task_id);
        return Ok(Enqueued { task_id, existing: true });
    }
    let enqueued = enqueue_unique(tx, lanes, now, last, task).await?;
    let query = Query::new("INSERT INTO mw_tick (schedule, nominal_at, task) VALUES ($1, $2, $3)");
    let query = query.bind(tick.schedule.as_str()).bind(tick.nominal_at);
    tx.execute(query.bind(enqueued.task_id)).await?;
    Ok(enqueued)
}

/// Stores one task unless another holds its unique key.
async fn enqueue_unique(
    tx: &mut Tx<'_>,
    lanes: &mut Lanes,
    now: Timestamp,
    last: &mut i64,
    task: &NewTask,
) -> Result<Enqueued, DbError> {
    if let Some(key) = &task.stamp.unique_key {
        let query = Query::new(
            "SELECT e.id FROM mw_unique u JOIN mw_envelope e ON e.seq = u.seq
             LEFT JOIN mw_task t ON t.seq = u.seq
             WHERE u.key = $1 AND (t.seq IS NOT NULL OR u.until > $2)",
        );
        if let Some(row) = tx.first(query.bind(key.as_str()).bind(now)).await? {
            return Ok(Enqueued { task_id: row.get(0)?, existing: true });
        }
    }
    let stored = insert(tx, lanes, now, last, std::slice::from_ref(task)).await?[0];
    if let Some(key) = task.stamp.unique_key.as_ref().filter(|_| stored) {
        let until = task.unique_for.map_or(now, |span| now.after(span));
        let query = Query::new(
            "INSERT INTO mw_unique (key, seq, until) VALUES ($1, $2, $3)
             ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, until = excluded.until",
        );
        tx.execute(query.bind(key.as_str()).bind(*last).bind(until)).await?;
    }
    Ok(Enqueued { task_id: task.stamp.task_id, existing: !stored })
}

/// Inserts tasks after row `last`, which it moves on; tells for each whether its id was new.
async fn insert(
    tx: &mut Tx<'_>,
    lanes: &mut Lanes,
    now: Timestamp,
    last: &mut i64,
    tasks: &[NewTask],
) -> Result<Vec<bool>, DbError> {
    let before = *last;
    let mut numbers = Vec::with_capacity(tasks.len());
    for task in tasks {
        numbers.push(lanes.number(tx, task).await?);
    }
    let mut query = Query::built(format!(
        "INSERT INTO mw_envelope (seq, id, lane, enqueued_at, not_after, stamp, proof, configuration,
           payload, labels, timeout, parent) VALUES {} ON CONFLICT (id) DO NOTHING",
        placeholders(tasks.len(), 12)
    ));
    for (task, lane) in tasks.iter().zip(&numbers) {
        *last += 1;
        push_envelope(&mut query, *last, *lane, now, task);
    }
    let inserted = tx.execute(query).await?;
    let fresh: Vec<usize> = if inserted == tasks.len() as u64 {
        (0..tasks.len()).collect()
    } else {
        let query = Query::new("SELECT seq FROM mw_envelope WHERE seq > $1").bind(before);
        let rows = tx.all(query).await?;
        let found: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        (0..tasks.len())
            .zip(before + 1..)
            .filter(|(_, seq)| found.contains(seq))
            .map(|(at, _)| at)
            .collect()
    };
    let mut stored = vec![false; tasks.len()];
    for at in &fresh {
        stored[*at] = true;
    }
    insert_rows(tx, now, before, tasks, &numbers, fresh).await?;
    Ok(stored)
}

/// Writes `(?,?,...),(...)` for `rows` rows of `columns` arguments each.
///
/// Without numbers, because SQLite finds the name of a numbered one by walking all of them.
fn placeholders(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}

fn push_envelope(query: &mut Query, seq: i64, lane: i64, now: Timestamp, task: &NewTask) {
    let stamp = serde_json::to_string(&task.stamp).expect("a stamp is plain data");
    let labels = (!task.labels.is_empty())
        .then(|| serde_json::to_string(&task.labels).expect("labels are text"));
    query.push(seq);
    query.push(task.stamp.task_id);
    query.push(lane);
    query.push(now);
    query.push(task.stamp.not_after);
    query.push(stamp);
    query.push(task.proof.as_ref().map(ToString::to_string));
    query.push(task.configuration.as_bytes());
    query.push(task.payload.as_bytes());
    query.push(labels);
    query.push(task.timeout.map(values::Span::as_micros));
    query.push(Value::from(task.parent));
}

/// Inserts the hot rows and the labels of the tasks that were new.
async fn insert_rows(
    tx: &mut Tx<'_>,
    now: Timestamp,
    last: i64,
    tasks: &[NewTask],
    lanes: &[i64],
    fresh: Vec<usize>,
) -> Result<(), DbError> {
    if fresh.is_empty() {
        return Ok(());
    }
    let mut query = Query::built(format!(
        "INSERT INTO mw_task (seq, lane, state, priority, run_at, attempt, max_attempts, is_unique)
         VALUES {}",
        placeholders(fresh.len(), 8)
    ));
    let mut labels = Vec::new();
    for at in fresh {
        let (task, seq) = (&tasks[at], last + 1 + i64::try_from(at).expect("a chunk is small"));
        let run_at = task.stamp.run_at.filter(|run_at| *run_at > now);
        query.push(seq);
        query.push(lanes[at]);
        query.push(if run_at.is_some() { state::SCHEDULED } else { state::AVAILABLE });
        query.push(task.stamp.priority);
        query.push(run_at.unwrap_or(now));
        query.push(0_i64);
        query.push(task.stamp.max_attempts);
        query.push(task.stamp.unique_key.is_some());
        labels.extend(task.labels.iter().map(|label| (label.as_str(), seq)));
    }
    tx.execute(query).await?;
    for (label, seq) in labels {
        let query =
            Query::new("INSERT INTO mw_label (label, seq) VALUES ($1, $2) ON CONFLICT DO NOTHING");
        tx.execute(query.bind(label).bind(seq)).await?;
    }
    Ok(())
}
