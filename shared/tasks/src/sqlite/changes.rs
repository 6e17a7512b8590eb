//! What a batch of settlements changes, gathered so that each kind is one statement.

use database::{DbError, Query, Tx};
use values::Timestamp;

use super::lists::numbers;
use super::schema::state;
use crate::AttemptReport;

/// What is known of a row whose lease still holds.
pub(super) struct Held {
    pub(super) token: i64,
    pub(super) attempt: i64,
    pub(super) worker: Option<i64>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) cancel: bool,
    pub(super) is_unique: bool,
}

/// The plain part of a settlement, once its final write step has run.
pub(super) enum Plain {
    Final { state: i64, result: Option<String>, uncount: bool },
    Wait { run_at: Timestamp, uncount: bool },
    Hold { code: String, release: String },
    Return,
}

/// An attempt to be remembered.
pub(super) struct AttemptRow {
    pub(super) row: i64,
    pub(super) attempt: i64,
    pub(super) worker: Option<i64>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) outcome: &'static str,
    pub(super) report: AttemptReport,
}

/// A row that ends: its number, state, result, error and attempts to take back.
type Final = (i64, i64, Option<String>, Option<String>, i64);

/// Rows by what becomes of them; lists that are written as JSON, in the order of their columns.
#[derive(Default)]
pub(super) struct Changes {
    finals: Vec<Final>,
    /// Row, run-at in microseconds, attempts to take back.
    waits: Vec<(i64, i64, i64)>,
    /// Row, code, release.
    holds: Vec<(i64, String, String)>,
    returns: Vec<i64>,
    attempts: Vec<AttemptRow>,
}

impl Changes {
    pub(super) fn add(&mut self, row: i64, held: &Held, plain: Plain, report: AttemptReport) {
        let outcome = match &plain {
            Plain::Final { state: state::COMPLETED, result: _, uncount: _ } => "completed",
            Plain::Final { state: state::CANCELLED, result: _, uncount: _ } => "cancelled",
            Plain::Final { state: _, result: _, uncount: true } => "rejected",
            Plain::Final { state: _, result: _, uncount: false } => "discarded",
            Plain::Wait { run_at: _, uncount: true } => "snoozed",
            Plain::Wait { run_at: _, uncount: false } => "retried",
            Plain::Hold { code: _, release: _ } => "held",
            Plain::Return => "given_back",
        };
        let error = report.error.clone();
        match plain {
            Plain::Final { state, result, uncount } => {
                let uncount = i64::from(uncount && held.started_at.is_some());
                self.finals.push((row, state, result, error, uncount));
            }
            Plain::Wait { run_at, uncount } => {
                let uncount = i64::from(uncount && held.started_at.is_some());
                self.waits.push((row, run_at.as_micros(), uncount));
            }
            Plain::Hold { code, release } => self.holds.push((row, code, release)),
            Plain::Return => self.returns.push(row),
        }
        if report != AttemptReport::default() {
            self.attempts.push(AttemptRow {
                row,
                attempt: held.attempt,
                worker: held.worker,
                started_at: held.started_at,
                outcome,
                report,
            });
        }
    }

    pub(super) async fn write(self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), DbError> {
        let Self { finals, waits, holds, returns, attempts } = self;
        if !finals.is_empty() {
            end(tx, now, finals).await?;
        }
        if !waits.is_empty() {
            // A task that runs again has been accepted, so an earlier hold is over.
            let query = Query::new(
                "UPDATE mw_task SET state = 0, run_at = j.value ->> 1,
                   attempt = attempt - (j.value ->> 2), worker = NULL, token = NULL,
                   started_at = NULL, held_code = NULL, held_release = NULL, held_since = NULL
                   FROM json_each($1) j WHERE mw_task.seq = j.value ->> 0",
            );
            tx.execute(query.bind(text(&waits))).await?;
        }
        if !holds.is_empty() {
            let query = Query::new(
                "UPDATE mw_task SET state = 6, attempt = attempt - (started_at IS NOT NULL),
                   held_code = j.value ->> 1, held_release = j.value ->> 2,
                   held_since = coalesce(held_since, $2), worker = NULL, token = NULL,
                   started_at = NULL FROM json_each($1) j WHERE mw_task.seq = j.value ->> 0",
            );
            tx.execute(query.bind(text(&holds)).bind(now)).await?;
        }
        if !returns.is_empty() {
            let query = Query::new(
                "UPDATE mw_task SET state = 1, worker = NULL, token = NULL, started_at = NULL,
                   attempt = min(attempt, max_attempts - 1)
                  WHERE seq IN (SELECT value FROM json_each($1))",
            );
            tx.execute(query.bind(numbers(returns))).await?;
        }
        for attempt in attempts {
            record_attempt(tx, now, attempt).await?;
        }
        Ok(())
    }
}

/// Moves rows into history.
async fn end(tx: &mut Tx<'_>, now: Timestamp, finals: Vec<Final>) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO mw_finished (seq, lane, state, priority, run_at, attempt, max_attempts, worker,
           started_at, finished_at, result, error)
         SELECT t.seq, t.lane, j.value ->> 1, t.priority, t.run_at, t.attempt - (j.value ->> 4),
           t.max_attempts, t.worker, t.started_at, $2, j.value ->> 2, j.value ->> 3
           FROM json_each($1) j JOIN mw_task t ON t.seq = j.value ->> 0",
    );
    tx.execute(query.bind(text(&finals)).bind(now)).await?;
    let query = Query::new("DELETE FROM mw_task WHERE seq IN (SELECT value FROM json_each($1))");
    tx.execute(query.bind(numbers(finals.iter().map(|(row, ..)| *row)))).await?;
    Ok(())
}

fn text<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("numbers and text are JSON")
}

/// Frees the unique keys of tasks that have ended, unless they block for longer.
pub(super) async fn free_keys(
    tx: &mut Tx<'_>,
    now: Timestamp,
    rows: &[i64],
) -> Result<(), DbError> {
    let query = Query::new(
        "DELETE FROM mw_unique WHERE seq IN (SELECT value FROM json_each($1)) AND until <= $2",
    );
    tx.execute(query.bind(numbers(rows.iter().copied())).bind(now)).await?;
    Ok(())
}

/// Remembers an attempt that failed or left log lines.
pub(super) async fn record_attempt(
    tx: &mut Tx<'_>,
    now: Timestamp,
    attempt: AttemptRow,
) -> Result<(), DbError> {
    let AttemptRow { row, attempt, worker, started_at, outcome, report } = attempt;
    let AttemptReport { code, error, log } = report;
    let query = Query::new(
        "INSERT INTO mw_attempt (seq, attempt, worker, started_at, finished_at, outcome, code,
           error, log) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    let query = query.bind(row).bind(attempt).bind(worker).bind(started_at).bind(now);
    tx.execute(query.bind(outcome).bind(code).bind(error).bind(log)).await?;
    Ok(())
}
