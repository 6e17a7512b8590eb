//! Rejections, ticks, progress and retention.

use database::{DbError, Query, Tx};
use values::Timestamp;

use super::lists::numbers;
use crate::{Progress, PruneLimits, RejectionSeen};

/// Rejections kept, by code, source and job.
const MAX_REJECTIONS: i64 = 1_000;

pub(super) async fn record_rejection(
    tx: &mut Tx<'_>,
    now: Timestamp,
    seen: &RejectionSeen,
) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO mw_rejection (code, source, job, message, door, task, count, first_at, last_at)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)
         ON CONFLICT (code, source, job) DO UPDATE SET count = mw_rejection.count + 1,
           message = excluded.message, door = excluded.door, task = excluded.task,
           last_at = excluded.last_at RETURNING count",
    );
    let query = query.bind(seen.code.as_str()).bind(seen.source.as_str()).bind(seen.job.as_str());
    let query = query.bind(seen.message.as_str()).bind(seen.door.as_str());
    let row = tx.first(query.bind(seen.task_id).bind(now)).await?;
    let first = row.map_or(Ok(1), |row| row.get::<i64>(0))? == 1;
    if first {
        let query = Query::new(
            "DELETE FROM mw_rejection WHERE rowid IN
               (SELECT rowid FROM mw_rejection ORDER BY last_at DESC, rowid DESC LIMIT -1 OFFSET $1)",
        );
        tx.execute(query.bind(MAX_REJECTIONS)).await?;
    }
    Ok(first)
}

pub(super) async fn last_tick(
    tx: &mut Tx<'_>,
    now: Timestamp,
    schedule: &str,
) -> Result<Timestamp, DbError> {
    let query = Query::new("SELECT max(nominal_at) FROM mw_tick WHERE schedule = $1");
    let row = tx.first(query.bind(schedule)).await?;
    if let Some(last) = row.map_or(Ok(None), |row| row.get::<Option<Timestamp>>(0))? {
        return Ok(last);
    }
    let query = Query::new("INSERT INTO mw_tick (schedule, nominal_at) VALUES ($1, $2)");
    tx.execute(query.bind(schedule).bind(now)).await?;
    Ok(now)
}

pub(super) async fn progress(
    tx: &mut Tx<'_>,
    batch: &[(i64, i64, Progress)],
) -> Result<(), DbError> {
    for (row, token, progress) in batch {
        let query = Query::new(
            "INSERT INTO mw_progress (seq, fraction, text)
             SELECT seq, $3, $4 FROM mw_task WHERE seq = $1 AND token = $2
             ON CONFLICT (seq) DO UPDATE SET fraction = excluded.fraction, text = excluded.text",
        );
        // A fraction that is no number would fail the whole transaction.
        let known = !progress.fraction.is_nan();
        let fraction = if known { progress.fraction.clamp(0.0, 1.0) } else { 0.0 };
        let query = query.bind(*row).bind(*token).bind(fraction);
        tx.execute(query.bind(progress.text.as_str())).await?;
    }
    Ok(())
}

/// Deletes old ticks, but the latest of each schedule, from which it goes on.
const FORGET_TICKS: &str = "DELETE FROM mw_tick WHERE (schedule, nominal_at) IN (
      SELECT k.schedule, k.nominal_at FROM mw_tick k WHERE k.nominal_at < $1
         AND k.nominal_at < (SELECT max(m.nominal_at) FROM mw_tick m WHERE m.schedule = k.schedule)
       LIMIT $2)";

/// Deletes finished tasks; what could be replayed keeps its id until its proof has run out.
pub(super) async fn prune(
    tx: &mut Tx<'_>,
    now: Timestamp,
    limits: PruneLimits,
) -> Result<u64, DbError> {
    let query = Query::new(
        "SELECT f.seq FROM mw_lane l CROSS JOIN mw_finished f
          WHERE f.lane = l.id AND f.finished_at < max($1, $2)
            AND f.finished_at < CASE f.state WHEN 4 THEN $2 ELSE $1 END LIMIT $3",
    );
    let query = query.bind(limits.completed_before).bind(limits.discarded_before);
    let rows = tx.all(query.bind(limits.limit)).await?;
    let gone: Vec<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    let count = gone.len() as u64;
    let list = numbers(gone);
    for sql in [
        "DELETE FROM mw_finished WHERE seq IN (SELECT value FROM json_each($1))",
        "DELETE FROM mw_attempt WHERE seq IN (SELECT value FROM json_each($1))",
        "DELETE FROM mw_label WHERE seq IN (SELECT value FROM json_each($1))",
        "DELETE FROM mw_progress WHERE seq IN (SELECT value FROM json_each($1))",
        "UPDATE mw_envelope SET stamp = '', proof = NULL, configuration = x'', payload = x'',
           labels = NULL, parent = NULL WHERE seq IN (SELECT value FROM json_each($1))",
    ] {
        tx.execute(Query::new(sql).bind(list.as_str())).await?;
    }
    // Attempts that are kept longer show no worker then.
    let query = Query::new("DELETE FROM mw_worker WHERE dead = 1 AND seen_at < $1");
    tx.execute(query.bind(limits.discarded_before)).await?;
    forget(tx, now, limits.limit).await?;
    let before = limits.ticks_before(now);
    tx.execute(Query::new(FORGET_TICKS).bind(before).bind(limits.limit)).await?;
    Ok(count)
}

/// Deletes pruned tasks that can neither be replayed nor hold a unique key any more.
async fn forget(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<(), DbError> {
    let query = Query::new(
        "DELETE FROM mw_unique WHERE until <= $1
            AND seq IN (SELECT seq FROM mw_envelope WHERE stamp = '')",
    );
    tx.execute(query.bind(now)).await?;
    let query = Query::new(
        "DELETE FROM mw_envelope WHERE seq IN (SELECT e.seq FROM mw_envelope e
          WHERE e.stamp = '' AND e.not_after < $1
            AND NOT EXISTS (SELECT 1 FROM mw_unique u WHERE u.seq = e.seq)
          ORDER BY e.not_after LIMIT $2)",
    );
    tx.execute(query.bind(now).bind(limit)).await?;
    Ok(())
}
