//! Conservation: how the comparison of counts and rows is read, and what is done with lost tasks.

use database::{DbError, Query, Row, Tx};
use values::Timestamp;

use crate::{Conservation, Counts, LaneCount, LostTask, Reconciled};

/// Lost tasks that one call turns into dead letters; a further call goes on.
const MAX_RECONCILED: u32 = 10_000;

/// Reads a comparison: a row `0` for each lane, one row `1` of sums, and rows `2` of lost tasks,
/// each with `job, source, host, id` and six figures.
pub(crate) fn read_conservation(rows: &[Row]) -> Result<Conservation, DbError> {
    let mut found = Conservation::default();
    let mut envelopes = 0;
    for row in rows {
        match row.get::<i64>(0)? {
            0 => found.lanes.push(lane_count(row)?),
            1 => {
                let without_row: i64 = row.get(5)?;
                found.without_row = without_row.unsigned_abs();
                let (twice, misplaced) = (row.get::<i64>(8)?, row.get::<i64>(9)?);
                found.twice = twice.unsigned_abs();
                found.misplaced = misplaced.unsigned_abs();
                envelopes = row.get::<i64>(6)? - row.get::<i64>(7)? - without_row + twice;
            }
            _ => found.lost.push(LostTask {
                task_id: row.get(4)?,
                job_name: row.get(1)?,
                source: row.get(2)?,
            }),
        }
    }
    let rows: i64 = found.lanes.iter().map(|lane| lane.live + lane.finished).sum();
    found.without_envelope = u64::try_from(rows - envelopes).unwrap_or(0);
    Ok(found)
}

fn lane_count(row: &Row) -> Result<LaneCount, DbError> {
    Ok(LaneCount {
        job_name: row.get(1)?,
        source: row.get(2)?,
        host: Some(row.get::<String>(3)?).filter(|host| !host.is_empty()),
        counts: Counts {
            entered: row.get(5)?,
            ended: row.get(6)?,
            revived: row.get(7)?,
            pruned: row.get(8)?,
        },
        live: row.get(9)?,
        finished: row.get(10)?,
    })
}

/// What differs between engines of the statements that remake rows.
pub(crate) struct Dialect {
    /// Envelopes that were not pruned and have no row, as a query of their numbers.
    pub(crate) lost: &'static str,
    /// Rows of tasks that have ended: `FROM` and on.
    pub(crate) twice: &'static str,
    /// Of which rows no task wakes up by itself, for a while or ever.
    pub(crate) unknown: &'static str,
    /// Priority and attempts of a stamp, as expressions over the envelope `e`.
    pub(crate) of_stamp: &'static str,
}

/// Turns lost tasks into dead letters, and puts right or removes rows that cannot be; the counts
/// are left as they are.
pub(crate) async fn remake_rows(
    tx: &mut Tx<'_>,
    now: Timestamp,
    dialect: &Dialect,
) -> Result<Reconciled, DbError> {
    let Dialect { lost, twice, unknown, of_stamp } = dialect;
    let mut removed = tx.execute(Query::built(format!("DELETE {twice}"))).await?;
    // Without its row, such a task is one of the lost.
    tx.execute(Query::built(format!(
        "DELETE FROM mw_task WHERE {unknown}
            AND EXISTS (SELECT 1 FROM mw_envelope e WHERE e.seq = mw_task.seq)"
    )))
    .await?;
    let back = "UPDATE mw_task SET lane = e.lane FROM mw_envelope e
        WHERE e.seq = mw_task.seq AND mw_task.lane <> e.lane";
    let moved = tx.execute(Query::new(back)).await?;
    // Unlike what ended by itself, nobody knows how far such a task came.
    let query = Query::built(format!(
        "INSERT INTO mw_finished (seq, lane, state, run_at, attempt, finished_at, error, priority,
           max_attempts)
         SELECT e.seq, e.lane, 4, e.enqueued_at, 0, $1, $2, {of_stamp} FROM mw_envelope e
          WHERE e.seq IN ({lost} LIMIT $3)"
    ));
    let error = "its row had vanished or was damaged; look whether it ran before it is retried";
    let discarded = tx.execute(query.bind(now).bind(error).bind(MAX_RECONCILED)).await?;
    for sql in [
        "DELETE FROM mw_task WHERE state <> 2
            AND NOT EXISTS (SELECT 1 FROM mw_envelope e WHERE e.seq = mw_task.seq)",
        "DELETE FROM mw_finished
          WHERE NOT EXISTS (SELECT 1 FROM mw_envelope e WHERE e.seq = mw_finished.seq)",
    ] {
        removed += tx.execute(Query::new(sql)).await?;
    }
    Ok(Reconciled { discarded, removed, moved, lanes: 0 })
}
