//! Lanes: tasks of one job from one source for one host, by their number.

use std::collections::HashMap;

use database::{DbError, Query, Tx};

use crate::NewTask;

/// Lanes by their number, as far as they are known to be committed.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// By job, then source, then host; nested so that a look-up needs no new text.
    known: HashMap<String, Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    source: String,
    host: String,
    number: i64,
}

impl Lanes {
    /// Forgets everything, after a rollback may have taken a lane away.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The number of a task's lane, which is made if it is the first of its kind.
    pub(super) async fn number(&mut self, tx: &mut Tx<'_>, task: &NewTask) -> Result<i64, DbError> {
        let (job, source) = (task.job.as_str(), task.source.as_str());
        let host = task.host.as_deref().unwrap_or_default();
        let known = self.known.get(job).into_iter().flatten();
        for lane in known {
            if lane.source == source && lane.host == host {
                return Ok(lane.number);
            }
        }
        let bound = |sql| Query::new(sql).bind(job).bind(source).bind(host);
        let find = "SELECT id FROM mw_lane WHERE job = $1 AND source = $2 AND host = $3";
        let make = "INSERT INTO mw_lane (job, source, host) VALUES ($1, $2, $3) RETURNING id";
        let mut row = tx.first(bound(find)).await?;
        if row.is_none() {
            row = tx.first(bound(make)).await?;
        }
        let number = row.map_or(Err(missing()), |row| row.get(0))?;
        let lane = Known { source: source.to_owned(), host: host.to_owned(), number };
        self.known.entry(job.to_owned()).or_default().push(lane);
        Ok(number)
    }
}

/// The error for a statement that always returns a row and did not.
pub(super) fn missing() -> DbError {
    DbError::Column { column: 0, expected: "a returned row" }
}
