//! Conservation and quotas: the counts of `mw_tally` and what they are compared with.
//!
//! Triggers count, so that no statement can forget to and a worker of an older release counts too.
//! They count what arrives and never what leaves: a row that is deleted without arriving elsewhere
//! is missed.

use database::{Db, DbError, Query, Tx};
use values::Timestamp;

use super::search::read_quietly;
use crate::engine::{Dialect, read_conservation, remake_rows};
use crate::{Conservation, Reconciled};

/// Pieces that one call adds up.
const MAX_FOLDED: u32 = 10_000;

/// Envelopes that were not pruned and have no row.
const LOST: &str = "SELECT e.seq FROM mw_envelope e WHERE e.stamp <> ''
        AND NOT EXISTS (SELECT 1 FROM mw_task t WHERE t.seq = e.seq)
        AND NOT EXISTS (SELECT 1 FROM mw_finished f WHERE f.seq = e.seq)";

/// Rows of tasks that have ended.
const TWICE: &str = "FROM mw_task WHERE seq IN (SELECT seq FROM mw_finished)";
/// States of which no task wakes up by itself, for a while or ever.
const UNKNOWN: &str = "state NOT IN (1, 2, 6)";
/// Priority and attempts of an envelope's stamp.
const OF_STAMP: &str =
    "(e.stamp::json ->> 'priority')::int, (e.stamp::json ->> 'maxAttempts')::bigint";

const DIALECT: Dialect = Dialect { lost: LOST, twice: TWICE, unknown: UNKNOWN, of_stamp: OF_STAMP };

/// What was counted of each lane, its rows, and every lane that anything speaks of.
const FOUND: &str = "counted (lane, entered, ended, revived, pruned) AS (
       SELECT lane, sum(entered)::bigint, sum(ended)::bigint, sum(revived)::bigint,
         sum(pruned)::bigint FROM (
           SELECT lane, entered, ended, revived, pruned FROM mw_tally
           UNION ALL SELECT lane, entered, ended, revived, pruned FROM mw_tally_piece) p
        GROUP BY lane),
     live (lane, n) AS (SELECT lane, count(*) FROM mw_task GROUP BY lane),
     finished (lane, n) AS (SELECT lane, count(*) FROM mw_finished GROUP BY lane),
     lanes (id) AS (SELECT id FROM mw_lane UNION SELECT lane FROM counted
       UNION SELECT lane FROM live UNION SELECT lane FROM finished)";

/// Compares the counts with the rows, in one statement and so at one moment.
pub(super) async fn conservation(db: &Db) -> Result<Conservation, DbError> {
    let query = Query::built(format!(
        "WITH {FOUND}, lost (seq) AS MATERIALIZED ({LOST})
         SELECT 0, coalesce(l.job, '') AS job, coalesce(l.source, '') AS source,
           coalesce(l.host, '') AS host, NULL::bytea, coalesce(c.entered, 0), coalesce(c.ended, 0),
           coalesce(c.revived, 0), coalesce(c.pruned, 0), coalesce(t.n, 0), coalesce(f.n, 0)
           FROM lanes a LEFT JOIN mw_lane l ON l.id = a.id LEFT JOIN counted c ON c.lane = a.id
           LEFT JOIN live t ON t.lane = a.id LEFT JOIN finished f ON f.lane = a.id
         UNION ALL
         SELECT 1, '', '', '', NULL::bytea, (SELECT count(*) FROM lost),
           (SELECT count(*) FROM mw_envelope),
           (SELECT count(*) FROM mw_envelope WHERE stamp = ''), (SELECT count(*) {TWICE}),
           (SELECT count(*) FROM mw_task t JOIN mw_envelope e ON e.seq = t.seq
             WHERE t.lane <> e.lane OR t.{UNKNOWN}), 0
         UNION ALL
         SELECT * FROM (SELECT 2, coalesce(l.job, ''), coalesce(l.source, ''), '', e.id, e.seq,
             0, 0, 0, 0, 0 FROM lost JOIN mw_envelope e ON e.seq = lost.seq
             LEFT JOIN mw_lane l ON l.id = e.lane ORDER BY e.seq LIMIT $1) n
         ORDER BY 1, job, source, host"
    ));
    read_conservation(&read_quietly(db, query.bind(crate::MAX_LOST)).await?)
}

/// Turns lost tasks into dead letters and makes the counts what the rows say.
pub(super) async fn reconcile(tx: &mut Tx<'_>, now: Timestamp) -> Result<Reconciled, DbError> {
    let remade = remake_rows(tx, now, &DIALECT).await?;
    // As one more piece, so that what others count meanwhile is not lost.
    let query = Query::built(format!(
        "WITH {FOUND}
         INSERT INTO mw_tally_piece (lane, entered, ended, revived, pruned)
         SELECT a.id, coalesce(t.n, 0) + coalesce(f.n, 0) - coalesce(c.entered, 0),
           coalesce(f.n, 0) - coalesce(c.ended, 0), -coalesce(c.revived, 0),
           -coalesce(c.pruned, 0) FROM lanes a
           LEFT JOIN live t ON t.lane = a.id LEFT JOIN finished f ON f.lane = a.id
           LEFT JOIN counted c ON c.lane = a.id
          WHERE coalesce(c.entered + c.revived - c.ended, 0) <> coalesce(t.n, 0)
             OR coalesce(c.ended - c.revived - c.pruned, 0) <> coalesce(f.n, 0)"
    ));
    Ok(Reconciled { lanes: tx.execute(query).await?, ..remade })
}

/// Adds up pieces; one process at a time, which leaves to the next call what another is writing.
pub(super) async fn fold(tx: &mut Tx<'_>) -> Result<u64, DbError> {
    let lock = "SELECT 1 WHERE pg_try_advisory_xact_lock(
        hashtextextended('mw_fold:' || current_schema(), 0))";
    if tx.first(Query::new(lock)).await?.is_none() {
        return Ok(0);
    }
    let query = Query::new(
        "WITH gone AS (
           DELETE FROM mw_tally_piece WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM mw_tally_piece LIMIT $1 FOR UPDATE SKIP LOCKED))
           RETURNING lane, entered, ended, revived, pruned),
         folded AS (
           INSERT INTO mw_tally (lane, entered, ended, revived, pruned)
           SELECT lane, sum(entered), sum(ended), sum(revived), sum(pruned) FROM gone
            GROUP BY lane
           ON CONFLICT (lane) DO UPDATE SET entered = mw_tally.entered + excluded.entered,
             ended = mw_tally.ended + excluded.ended,
             revived = mw_tally.revived + excluded.revived,
             pruned = mw_tally.pruned + excluded.pruned)
         SELECT count(*) FROM gone",
    );
    let row = tx.first(query.bind(MAX_FOLDED)).await?;
    row.map_or(Ok(0), |row| Ok(row.get::<i64>(0)?.unsigned_abs()))
}

/// How many tasks of a source have not ended, as counted; without row `except` if it is one.
pub(super) async fn waiting(
    tx: &mut Tx<'_>,
    source: &str,
    except: Option<i64>,
) -> Result<u64, DbError> {
    let query = Query::new(
        "SELECT (SELECT coalesce(sum(c.entered + c.revived - c.ended), 0)::bigint FROM (
             SELECT lane, entered, ended, revived FROM mw_tally
             UNION ALL SELECT lane, entered, ended, revived FROM mw_tally_piece) c
             JOIN mw_lane l ON l.id = c.lane WHERE l.source = $1)
           - (SELECT count(*) FROM mw_task t JOIN mw_lane o ON o.id = t.lane
               WHERE t.seq = $2 AND o.source = $1)",
    );
    let row = tx.first(query.bind(source).bind(except)).await?;
    let waiting: i64 = row.map_or(Ok(0), |row| row.get(0))?;
    Ok(u64::try_from(waiting).unwrap_or(0))
}
