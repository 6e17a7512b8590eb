//! Conservation and quotas: the counts of `mw_tally` and what they are compared with.
//!
//! Triggers count, so that no statement can forget to and a worker of an older release counts too.
//! They count what arrives and never what leaves: a row that is deleted without arriving elsewhere
//! is missed.

use database::{Db, DbError, Query, Row, Tx};
use values::Timestamp;

use super::lanes::missing;
use crate::{Conservation, Counts, LaneCount, LostTask, Reconciled};

/// Lost tasks that one call turns into dead letters; a further call goes on.
const MAX_RECONCILED: u32 = 10_000;

/// Envelopes that were not pruned and have no row. It reads indexes and the narrow tables only.
const LOST: &str = "SELECT e.seq FROM mw_envelope e
      WHERE NOT EXISTS (SELECT 1 FROM mw_task t WHERE t.seq = e.seq)
        AND NOT EXISTS (SELECT 1 FROM mw_finished f WHERE f.seq = e.seq)
        AND e.seq NOT IN (SELECT p.seq FROM mw_envelope p WHERE p.stamp = '')";

/// Rows of tasks that have ended.
const TWICE: &str = "FROM mw_task WHERE seq IN (SELECT seq FROM mw_finished)";
/// States of which no task wakes up by itself, for a while or ever.
const UNKNOWN: &str = "state NOT IN (0, 1, 2, 6)";

/// Rows of each lane, and every lane that anything speaks of.
const FOUND: &str = "live (lane, n) AS (SELECT lane, count(*) FROM mw_task GROUP BY lane),
     finished (lane, n) AS (SELECT lane, count(*) FROM mw_finished GROUP BY lane),
     lanes (id) AS (SELECT id FROM mw_lane UNION SELECT lane FROM mw_tally
       UNION SELECT lane FROM live UNION SELECT lane FROM finished)";

/// Compares the counts with the rows, in one statement and so at one moment.
pub(super) async fn conservation(db: &Db) -> Result<Conservation, DbError> {
    let query = Query::built(format!(
        "WITH {FOUND}, lost (seq) AS MATERIALIZED ({LOST})
         SELECT 0, coalesce(l.job, '') AS job, coalesce(l.source, '') AS source,
           coalesce(l.host, '') AS host, NULL, coalesce(c.entered, 0), coalesce(c.ended, 0),
           coalesce(c.revived, 0), coalesce(c.pruned, 0), coalesce(t.n, 0), coalesce(f.n, 0)
           FROM lanes a LEFT JOIN mw_lane l ON l.id = a.id LEFT JOIN mw_tally c ON c.lane = a.id
           LEFT JOIN live t ON t.lane = a.id LEFT JOIN finished f ON f.lane = a.id
         UNION ALL
         SELECT 1, '', '', '', NULL, (SELECT count(*) FROM lost),
           (SELECT count(*) FROM mw_envelope),
           (SELECT count(*) FROM mw_envelope WHERE stamp = ''), (SELECT count(*) {TWICE}),
           (SELECT count(*) FROM mw_task t JOIN mw_envelope e ON e.seq = t.seq
             WHERE t.lane <> e.lane OR t.{UNKNOWN}), 0
         UNION ALL
         SELECT * FROM (SELECT 2, coalesce(l.job, ''), coalesce(l.source, ''), '', e.id, e.seq,
             0, 0, 0, 0, 0 FROM lost JOIN mw_envelope e ON e.seq = lost.seq
             LEFT JOIN mw_lane l ON l.id = e.lane ORDER BY e.seq LIMIT $1)
         ORDER BY 1, job, source, host"
    ));
    let mut found = Conservation::default();
    let mut envelopes = 0;
    for row in &db.all(query.bind(crate::MAX_LOST)).await? {
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

/// Turns lost tasks into dead letters and makes the counts what the rows say.
pub(super) async fn reconcile(tx: &mut Tx<'_>, now: Timestamp) -> Result<Reconciled, DbError> {
    let mut removed = tx.execute(Query::built(format!("DELETE {TWICE}"))).await?;
    // Without its row, such a task is one of the lost.
    tx.execute(Query::built(format!(
        "DELETE FROM mw_task WHERE {UNKNOWN}
            AND EXISTS (SELECT 1 FROM mw_envelope e WHERE e.seq = mw_task.seq)"
    )))
    .await?;
    let back = "UPDATE mw_task SET lane = e.lane FROM mw_envelope e
        WHERE e.seq = mw_task.seq AND mw_task.lane <> e.lane";
    let moved = tx.execute(Query::new(back)).await?;
    // Unlike what ended by itself, nobody knows how far such a task came.
    let query = Query::built(format!(
        "INSERT INTO mw_finished (seq, lane, state, priority, run_at, attempt, max_attempts,
           finished_at, error)
         SELECT e.seq, e.lane, 4, e.stamp ->> 'priority', e.enqueued_at, 0,
           e.stamp ->> 'maxAttempts', $1, $2 FROM mw_envelope e WHERE e.seq IN ({LOST} LIMIT $3)"
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
    let query = Query::built(format!(
        "WITH {FOUND}
         INSERT INTO mw_tally (lane, entered, ended)
         SELECT a.id, coalesce(t.n, 0) + coalesce(f.n, 0), coalesce(f.n, 0) FROM lanes a
           LEFT JOIN live t ON t.lane = a.id LEFT JOIN finished f ON f.lane = a.id
           LEFT JOIN mw_tally c ON c.lane = a.id
          WHERE c.lane IS NULL OR c.entered + c.revived - c.ended <> coalesce(t.n, 0)
             OR c.ended - c.revived - c.pruned <> coalesce(f.n, 0)
         ON CONFLICT (lane) DO UPDATE SET entered = excluded.entered, ended = excluded.ended,
           revived = 0, pruned = 0"
    ));
    Ok(Reconciled { discarded, removed, moved, lanes: tx.execute(query).await? })
}

/// How many tasks of a source have not ended, as counted; without row `except` if it is one.
pub(super) async fn waiting(
    tx: &mut Tx<'_>,
    source: &str,
    except: Option<i64>,
) -> Result<u64, DbError> {
    let query = Query::new(
        "SELECT coalesce(sum(c.entered + c.revived - c.ended), 0)
           - (SELECT count(*) FROM mw_task t JOIN mw_lane o ON o.id = t.lane
               WHERE t.seq = $2 AND o.source = $1)
           FROM mw_lane l JOIN mw_tally c ON c.lane = l.id WHERE l.source = $1",
    );
    let row = tx.first(query.bind(source).bind(except)).await?;
    let waiting: i64 = row.map_or(Err(missing()), |row| row.get(0))?;
    Ok(u64::try_from(waiting).unwrap_or(0))
}
