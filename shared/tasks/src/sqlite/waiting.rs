//! Going through what waits, task by task.

use database::{Db, DbError, Query};

use super::lease::{STORED, STORED_COLUMNS, stored_task};
use crate::WaitingTask;

/// Reads tasks that wait, by row.
pub(crate) async fn waiting(
    db: &Db,
    after_row: i64,
    limit: u32,
) -> Result<Vec<WaitingTask>, DbError> {
    let query = Query::built(format!(
        "SELECT {STORED}, t.seq, t.attempt, t.max_attempts, t.priority
           FROM mw_task t JOIN mw_envelope e ON e.seq = t.seq JOIN mw_lane l ON l.id = t.lane
          WHERE t.seq > $1 AND t.state IN (0, 1, 6) ORDER BY t.seq LIMIT $2"
    ));
    let rows = db.all(query.bind(after_row).bind(limit)).await?;
    let task = |row: &database::Row| {
        Ok(WaitingTask {
            row: row.get(STORED_COLUMNS)?,
            attempt: row.get(STORED_COLUMNS + 1)?,
            max_attempts: row.get(STORED_COLUMNS + 2)?,
            priority: row.get(STORED_COLUMNS + 3)?,
            task: stored_task(row)?,
        })
    };
    rows.iter().map(task).collect()
}
