//! Tasks as lists show them.

use database::{DbError, Row};

use crate::sqlite::state;
use crate::{Progress, TaskFilter, TaskState, TaskSummary};

/// Rows of a list at the most.
pub(crate) const MAX_LIST: u32 = 10_000;
/// The columns of a [`TaskSummary`]; `t` is the hot row, `f` the finished one.
pub(crate) const SUMMARY: &str = "e.seq, e.id, l.job, l.source, coalesce(t.state, f.state),
    coalesce(t.priority, f.priority), coalesce(t.attempt, f.attempt),
    coalesce(t.max_attempts, f.max_attempts), e.enqueued_at, coalesce(t.run_at, f.run_at),
    coalesce(t.started_at, f.started_at), f.finished_at, l.host, t.held_code, e.labels,
    p.fraction, p.text,
    coalesce(f.error, (SELECT a.error FROM mw_attempt a WHERE a.seq = e.seq ORDER BY a.id DESC LIMIT 1))";
/// What they are read from beside [`driving_tables`].
pub(crate) const JOINS: &str =
    "JOIN mw_lane l ON l.id = e.lane LEFT JOIN mw_progress p ON p.seq = e.seq";

/// Reads a summary; `state_of` knows its state by the row's number for it.
pub(crate) fn summary(
    row: &Row,
    state_of: impl FnOnce(i64) -> Result<TaskState, DbError>,
) -> Result<TaskSummary, DbError> {
    let number: i64 = row.get(4)?;
    let labels: Option<String> = row.get(14)?;
    let fraction: Option<f64> = row.get(15)?;
    let text: Option<String> = row.get(16)?;
    Ok(TaskSummary {
        row: row.get(0)?,
        task_id: row.get(1)?,
        job_name: row.get(2)?,
        source: row.get(3)?,
        state: state_of(number)?,
        priority: small(row, 5)?,
        attempt: small(row, 6)?,
        max_attempts: small(row, 7)?,
        enqueued_at: row.get(8)?,
        run_at: row.get(9)?,
        started_at: row.get(10)?,
        finished_at: row.get(11)?,
        host: Some(row.get::<String>(12)?).filter(|host| !host.is_empty()),
        held: row.get::<Option<String>>(13)?.filter(|_| number == state::HELD),
        labels: labels.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        progress: fraction.zip(text).map(|(fraction, text)| Progress { fraction, text }),
        error: row.get(17)?,
    })
}

/// Reads a small number; one that a damaged row holds instead is shown as 0.
fn small<T: TryFrom<i64> + Default>(row: &Row, column: usize) -> Result<T, DbError> {
    Ok(T::try_from(row.get::<i64>(column)?).unwrap_or_default())
}

/// The tables of a list, from the smaller one where the states allow it.
pub(crate) fn driving_tables(filter: &TaskFilter) -> &'static str {
    let live = filter.held
        || (!filter.states.is_empty() && filter.states.iter().all(|state| !state.is_final()));
    let ended = !filter.states.is_empty() && filter.states.iter().all(|state| state.is_final());
    match (live, ended) {
        (true, _) => {
            "mw_task t JOIN mw_envelope e ON e.seq = t.seq LEFT JOIN mw_finished f ON f.seq = t.seq"
        }
        (_, true) => {
            "mw_finished f JOIN mw_envelope e ON e.seq = f.seq LEFT JOIN mw_task t ON t.seq = f.seq"
        }
        _ => {
            "mw_envelope e LEFT JOIN mw_task t ON t.seq = e.seq LEFT JOIN mw_finished f ON f.seq = e.seq"
        }
    }
}
