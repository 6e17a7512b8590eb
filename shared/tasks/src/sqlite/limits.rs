//! What limits count, read and written in the transaction of the lease.

use database::{DbError, Query, Tx};

use crate::limits::Room;

/// Tells the room what runs and what rates have counted; asks nothing where nothing is limited.
pub(super) async fn look(tx: &mut Tx<'_>, room: &mut Room<'_>) -> Result<(), DbError> {
    if room.counts_running() {
        let query = Query::new(
            "SELECT l.job, l.source, count(*) FROM mw_task t JOIN mw_lane l ON l.id = t.lane
              WHERE t.state = 2 GROUP BY l.job, l.source",
        );
        for row in tx.all(query).await? {
            let (job, source): (String, String) = (row.get(0)?, row.get(1)?);
            room.running(&job, &source, row.get(2)?);
        }
    }
    let keys = room.rate_keys();
    if !keys.is_empty() {
        let keys = serde_json::to_string(&keys).expect("texts are JSON");
        let query = Query::new(
            "SELECT key, starts FROM mw_rate WHERE key IN (SELECT value FROM json_each($1))",
        );
        for row in tx.all(query.bind(keys)).await? {
            let (key, starts): (String, String) = (row.get(0)?, row.get(1)?);
            room.started(&key, &starts);
        }
    }
    Ok(())
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
