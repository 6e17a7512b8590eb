//! What is wrong with a job's queue, from when it was noticed to when it was over.

use database::{DbError, Query, Tx};
use values::Timestamp;

/// One row per job whose tasks wait or run for too long.
pub(crate) const QUEUE_INCIDENT: &str = "CREATE TABLE queue_incident (
  job TEXT NOT NULL, kind TEXT NOT NULL, opened_at INTEGER NOT NULL, PRIMARY KEY (job, kind))
  STRICT, WITHOUT ROWID";

/// Opens an incident; `false` if it is open already.
pub async fn open(tx: &mut Tx<'_>, job: &str, kind: &str, now: Timestamp) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO queue_incident (job, kind, opened_at) VALUES ($1, $2, $3)
           ON CONFLICT (job, kind) DO NOTHING",
    );
    Ok(tx.execute(query.bind(job).bind(kind).bind(now)).await? == 1)
}

/// Closes every incident that is not among `standing` (job and kind); returns how many.
pub async fn close_others(
    tx: &mut Tx<'_>,
    standing: &[(String, String)],
) -> Result<usize, DbError> {
    let mut closed = 0;
    let rows = tx.all(Query::new("SELECT job, kind FROM queue_incident")).await?;
    for row in rows {
        let found: (String, String) = (row.get(0)?, row.get(1)?);
        if !standing.contains(&found) {
            let query = Query::new("DELETE FROM queue_incident WHERE job = $1 AND kind = $2");
            tx.execute(query.bind(found.0).bind(found.1)).await?;
            closed += 1;
        }
    }
    Ok(closed)
}
