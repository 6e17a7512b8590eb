//! What limits count over all workers, exact although several processes lease at once.
//!
//! Whoever leases what has a limit holds its lock until the commit, and counts after it has it. A
//! lock that another holds is not waited for: there is nothing for us just now.

use std::collections::HashSet;

use database::{DbError, Query, Tx};

use super::lanes::LaneNames;
use crate::limits::Room;

/// Tells the room what runs and what rates have counted, as far as it is committed.
pub(super) async fn look(tx: &mut Tx<'_>, room: &mut Room<'_>) -> Result<(), DbError> {
    if room.counts_running() {
        let (jobs, sources) = room.counted_for();
        let query = Query::new(
            "SELECT l.job, l.source, count(*) FROM mw_lane l
               JOIN mw_task t ON t.lane = l.id AND t.state = 2
              WHERE l.job = ANY($1) OR l.source = ANY($2) GROUP BY l.job, l.source",
        );
        for row in tx.all(query.bind(jobs).bind(sources)).await? {
            let (job, source): (String, String) = (row.get(0)?, row.get(1)?);
            room.running(&job, &source, row.get(2)?);
        }
    }
    let keys = room.rate_keys();
    if !keys.is_empty() {
        let query = Query::new("SELECT key, starts FROM mw_rate WHERE key = ANY($1)").bind(keys);
        for row in tx.all(query).await? {
            let (key, starts): (String, String) = (row.get(0)?, row.get(1)?);
            room.started(&key, &starts);
        }
    }
    Ok(())
}

/// Takes the locks of everyone who has a limit, and of the lanes; returns the lanes that another
/// process is counting. An owner that is counted by another has no room.
///
/// Lanes have locks of their own because one release may limit the job and another the source.
pub(super) async fn lock(
    tx: &mut Tx<'_>,
    room: &mut Room<'_>,
    lanes: &[&LaneNames],
) -> Result<HashSet<i64>, DbError> {
    let lane_key = |lane: &LaneNames| format!("lane:{}|{}", lane.job, lane.source);
    let mut keys = room.keys();
    keys.extend(lanes.iter().map(|lane| lane_key(lane)));
    let query = Query::new(
        "SELECT key FROM unnest($1::text[]) AS i (key) WHERE NOT pg_try_advisory_xact_lock(
           hashtextextended('mw_limit:' || current_schema() || ':' || key, 0))",
    );
    let mut busy = HashSet::new();
    for row in tx.all(query.bind(keys)).await? {
        let key: String = row.get(0)?;
        room.block(&key);
        busy.extend(lanes.iter().filter(|lane| lane_key(lane) == key).map(|lane| lane.number));
    }
    Ok(busy)
}

/// Stores what the rates have counted with this lease.
pub(super) async fn keep(tx: &mut Tx<'_>, room: &Room<'_>) -> Result<(), DbError> {
    for (key, starts) in room.counted() {
        let query = Query::new(
            "INSERT INTO mw_rate (key, starts) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET starts = excluded.starts",
        );
        tx.execute(query.bind(key).bind(starts)).await?;
    }
    Ok(())
}
