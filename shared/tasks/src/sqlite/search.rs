//! Reading: lists, details and depths, on connections that cannot write.

use database::{Db, DbError, Query, Row};
use values::{TaskId, Timestamp};

use super::lease::{STORED, STORED_COLUMNS, stored_task};
use super::operate::task_state;
use crate::engine::{JOINS, MAX_LIST, SUMMARY, driving_tables, summary};
use crate::{
    AttemptDetail, QueueDepth, RejectionRow, StoreError, TaskDetail, TaskFilter, TaskState,
    TaskSummary,
};

/// Attempts shown of a task.
const MAX_ATTEMPTS: i64 = 100;

fn read_summary(row: &Row) -> Result<TaskSummary, DbError> {
    summary(row, |number| Ok(task_state(number)))
}

/// Numbers of a filter's states, as SQL.
fn state_list(filter: &TaskFilter) -> String {
    let numbers: Vec<&str> = filter
        .states
        .iter()
        .map(|state| match state {
            TaskState::Scheduled => "0",
            TaskState::Available => "1,6",
            TaskState::Running => "2",
            TaskState::Completed => "3",
            TaskState::Discarded => "4",
            TaskState::Cancelled => "5",
        })
        .collect();
    numbers.join(",")
}

pub(super) async fn search(db: &Db, filter: &TaskFilter) -> Result<Vec<TaskSummary>, DbError> {
    let from = driving_tables(filter);
    let mut sql = format!(
        "SELECT {SUMMARY} FROM {from} {JOINS}
          WHERE (t.seq IS NOT NULL OR f.seq IS NOT NULL)
            AND ($1 IS NULL OR l.job = $1) AND ($2 IS NULL OR l.source = $2)
            AND ($3 IS NULL OR e.seq IN (SELECT seq FROM mw_label WHERE label = $3))
            AND ($4 IS NULL OR e.enqueued_at >= $4) AND ($5 IS NULL OR e.enqueued_at < $5)
            AND ($6 IS NULL OR e.seq < $6) AND ($7 IS NULL OR e.proof GLOB $7)"
    );
    if filter.held {
        sql.push_str(" AND t.state = 6");
    } else if !filter.states.is_empty() {
        sql.push_str(" AND coalesce(t.state, f.state) IN (");
        sql.push_str(&state_list(filter));
        sql.push(')');
    }
    sql.push_str(" ORDER BY e.seq DESC LIMIT $8");
    let key = filter.key_id.as_ref().map(|id| format!("v1.*.{id}.*"));
    let query = Query::built(sql)
        .bind(filter.job.clone())
        .bind(filter.source.clone())
        .bind(filter.label.clone())
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.before_row)
        .bind(key)
        .bind(filter.limit.min(MAX_LIST));
    db.all(query).await?.iter().map(read_summary).collect()
}

pub(super) async fn get(db: &Db, task: TaskId) -> Result<TaskDetail, StoreError> {
    let query = Query::built(format!(
        "SELECT {SUMMARY} FROM mw_envelope e LEFT JOIN mw_task t ON t.seq = e.seq
         LEFT JOIN mw_finished f ON f.seq = e.seq {JOINS}
         WHERE e.id = $1 AND (t.seq IS NOT NULL OR f.seq IS NOT NULL)"
    ));
    let row = db.first(query.bind(task)).await?.ok_or(StoreError::NotFound { task })?;
    let summary = read_summary(&row)?;
    let query = Query::built(format!(
        "SELECT {STORED}, f.result FROM mw_envelope e JOIN mw_lane l ON l.id = e.lane
         LEFT JOIN mw_finished f ON f.seq = e.seq WHERE e.seq = $1"
    ));
    let row = db.first(query.bind(summary.row)).await?.ok_or(StoreError::NotFound { task })?;
    let query = Query::new("SELECT id FROM mw_envelope WHERE parent = $1 ORDER BY seq LIMIT 1000");
    let children = db.all(query.bind(task)).await?;
    Ok(TaskDetail {
        task: stored_task(&row)?,
        result: row.get(STORED_COLUMNS)?,
        attempts: attempts(db, summary.row).await?,
        children: children.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?,
        summary,
    })
}

pub(crate) async fn attempts(db: &Db, seq: i64) -> Result<Vec<AttemptDetail>, DbError> {
    let query = Query::new(
        "SELECT a.attempt, a.started_at, a.finished_at, a.outcome, a.code, a.error, a.log,
           w.name || '@' || w.host || ':' || w.pid, w.release
           FROM mw_attempt a LEFT JOIN mw_worker w ON w.id = a.worker
          WHERE a.seq = $1 ORDER BY a.id LIMIT $2",
    );
    let rows = db.all(query.bind(seq).bind(MAX_ATTEMPTS)).await?;
    rows.iter()
        .map(|row| {
            Ok(AttemptDetail {
                attempt: row.get(0)?,
                started_at: row.get(1)?,
                finished_at: row.get(2)?,
                outcome: row.get(3)?,
                code: row.get(4)?,
                error: row.get(5)?,
                log: row.get(6)?,
                worker: row.get(7)?,
                release: row.get(8)?,
            })
        })
        .collect()
}

pub(super) async fn depths(db: &Db) -> Result<Vec<QueueDepth>, DbError> {
    let query = Query::new(
        "SELECT l.job, l.source, t.state, count(*), min(CASE WHEN t.state = 2
           THEN coalesce(t.started_at, t.run_at) ELSE t.run_at END)
           FROM mw_task t JOIN mw_lane l ON l.id = t.lane
          GROUP BY l.job, l.source, t.state ORDER BY l.job, l.source, t.state",
    );
    let mut depths: Vec<QueueDepth> = Vec::new();
    for row in db.all(query).await? {
        let state = task_state(row.get(2)?);
        let count = u64::try_from(row.get::<i64>(3)?).unwrap_or(0);
        let (job_name, source): (String, String) = (row.get(0)?, row.get(1)?);
        let oldest: Option<Timestamp> = row.get(4)?;
        // Held tasks are available ones; both numbers are one line.
        let same =
            |d: &&mut QueueDepth| d.job_name == job_name && d.source == source && d.state == state;
        if let Some(depth) = depths.iter_mut().find(same) {
            depth.count += count;
            depth.oldest = depth.oldest.min(oldest).or(depth.oldest).or(oldest);
        } else {
            depths.push(QueueDepth { job_name, source, state, count, oldest });
        }
    }
    Ok(depths)
}

/// Reads the latest rejections; `newest` is the column that grows with each new one.
pub(crate) async fn rejections(
    db: &Db,
    newest: &'static str,
    limit: u32,
) -> Result<Vec<RejectionRow>, DbError> {
    let query = Query::built(format!(
        "SELECT code, source, job, message, door, task, count, first_at, last_at
           FROM mw_rejection ORDER BY last_at DESC, {newest} DESC LIMIT $1"
    ));
    let rows = db.all(query.bind(limit.min(MAX_LIST))).await?;
    rows.iter()
        .map(|row| {
            Ok(RejectionRow {
                code: row.get(0)?,
                source: row.get(1)?,
                job_name: row.get(2)?,
                message: row.get(3)?,
                door: row.get(4)?,
                task_id: row.get(5)?,
                count: u64::try_from(row.get::<i64>(6)?).unwrap_or(0),
                first_at: row.get(7)?,
                last_at: row.get(8)?,
            })
        })
        .collect()
}
