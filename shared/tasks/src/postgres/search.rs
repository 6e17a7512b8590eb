//! Reading: lists, details and depths, on connections that cannot write.

use database::{Db, DbError, Durability, Query, Row};
use values::{TaskId, Timestamp};

use super::operate::task_state;
use super::text::clean;
use crate::engine::{JOINS, MAX_LIST, SUMMARY, driving_tables, summary};
use crate::sqlite::{STORED, STORED_COLUMNS, attempts, stored_task};
use crate::{QueueDepth, StoreError, TaskDetail, TaskFilter, TaskState, TaskSummary};

fn read_summary(row: &Row, now: Timestamp) -> Result<TaskSummary, DbError> {
    summary(row, |number| Ok(task_state(number, Some(row.get(9)?), now)))
}

/// The condition of a filter's states; `$9` is now.
fn state_condition(filter: &TaskFilter) -> String {
    let states: Vec<&str> = filter
        .states
        .iter()
        .map(|state| match state {
            TaskState::Scheduled => "t.state = 1 AND t.run_at > $9",
            TaskState::Available => "t.state = 1 AND t.run_at <= $9 OR t.state = 6",
            TaskState::Running => "t.state = 2",
            TaskState::Completed => "f.state = 3",
            TaskState::Discarded => "f.state = 4",
            TaskState::Cancelled => "f.state = 5",
        })
        .collect();
    states.join(" OR ")
}

/// Reads much without taking more than one core of the server from those who work.
pub(super) async fn read_quietly(db: &Db, query: Query) -> Result<Vec<Row>, DbError> {
    let mut transaction = db.begin_with(Durability::Relaxed).await?;
    let mut tx = transaction.tx();
    tx.execute(Query::new("SET LOCAL max_parallel_workers_per_gather = 0")).await?;
    let rows = tx.all(query).await?;
    transaction.commit().await?;
    Ok(rows)
}

pub(super) async fn search(
    db: &Db,
    now: Timestamp,
    filter: &TaskFilter,
) -> Result<Vec<TaskSummary>, DbError> {
    let from = driving_tables(filter);
    let mut sql = format!(
        "SELECT {SUMMARY} FROM {from} {JOINS}
          WHERE (t.seq IS NOT NULL OR f.seq IS NOT NULL)
            AND ($1 IS NULL OR l.job = $1) AND ($2 IS NULL OR l.source = $2)
            AND ($3 IS NULL OR e.seq IN (SELECT seq FROM mw_label WHERE label = $3))
            AND ($4 IS NULL OR e.enqueued_at >= $4) AND ($5 IS NULL OR e.enqueued_at < $5)
            AND ($6 IS NULL OR e.seq < $6) AND ($7 IS NULL OR split_part(e.proof, '.', 3) = $7)"
    );
    if filter.held {
        sql.push_str(" AND t.state = 6");
    } else if !filter.states.is_empty() {
        sql.push_str(" AND (");
        sql.push_str(&state_condition(filter));
        sql.push(')');
    }
    sql.push_str(" ORDER BY e.seq DESC LIMIT $8");
    let query = Query::built(sql)
        .bind(filter.job.as_deref().map(clean))
        .bind(filter.source.as_deref().map(clean))
        .bind(filter.label.as_deref().map(clean))
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.before_row)
        .bind(filter.key_id.as_deref().map(clean))
        .bind(filter.limit.min(MAX_LIST))
        .bind(now);
    db.all(query).await?.iter().map(|row| read_summary(row, now)).collect()
}

pub(super) async fn get(db: &Db, now: Timestamp, task: TaskId) -> Result<TaskDetail, StoreError> {
    let query = Query::built(format!(
        "SELECT {SUMMARY} FROM mw_envelope e LEFT JOIN mw_task t ON t.seq = e.seq
         LEFT JOIN mw_finished f ON f.seq = e.seq {JOINS}
         WHERE e.id = $1 AND (t.seq IS NOT NULL OR f.seq IS NOT NULL)"
    ));
    let row = db.first(query.bind(task)).await?.ok_or(StoreError::NotFound { task })?;
    let summary = read_summary(&row, now)?;
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

pub(super) async fn depths(db: &Db, now: Timestamp) -> Result<Vec<QueueDepth>, DbError> {
    // Held tasks are available ones.
    let query = Query::new(
        "SELECT l.job, l.source, c.state, sum(c.tasks)::bigint, min(c.oldest) FROM (
           SELECT lane, CASE WHEN state = 1 AND run_at > $1 THEN 0 WHEN state = 6 THEN 1
               ELSE state END AS state, count(*) AS tasks,
             min(CASE WHEN state = 2 THEN coalesce(started_at, run_at) ELSE run_at END) AS oldest
             FROM mw_task GROUP BY 1, 2) c JOIN mw_lane l ON l.id = c.lane
          GROUP BY l.job, l.source, c.state ORDER BY l.job, l.source, c.state",
    );
    let rows = read_quietly(db, query.bind(now)).await?;
    rows.iter()
        .map(|row| {
            Ok(QueueDepth {
                job_name: row.get(0)?,
                source: row.get(1)?,
                state: task_state(row.get(2)?, None, now),
                count: u64::try_from(row.get::<i64>(3)?).unwrap_or(0),
                oldest: row.get(4)?,
            })
        })
        .collect()
}
