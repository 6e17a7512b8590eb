//! What a batch of settlements changes, gathered so that each kind is one statement.

use std::collections::{HashMap, HashSet};

use database::{DbError, Query, Row, Tx};
use values::Timestamp;

use super::text::{clean, clean_option};
use crate::AttemptReport;
use crate::sqlite::state;

/// What is known of a row whose lease held.
pub(super) struct Held {
    pub(super) token: i64,
    pub(super) attempt: i64,
    pub(super) worker: Option<i64>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) is_unique: bool,
    pub(super) cancel: bool,
}

impl Held {
    /// Reads the columns `seq, token, attempt, worker, started_at, is_unique, cancel`.
    pub(super) fn read(row: &Row) -> Result<(i64, Self), DbError> {
        let held = Self {
            token: row.get(1)?,
            attempt: row.get(2)?,
            worker: row.get(3)?,
            started_at: row.get(4)?,
            is_unique: row.get(5)?,
            cancel: row.get(6)?,
        };
        Ok((row.get(0)?, held))
    }
}

/// The plain part of a settlement, once its final write step has run.
pub(super) enum Plain {
    Final { state: i64, result: Option<String>, uncount: bool },
    Wait { run_at: Timestamp, uncount: bool },
    Hold { code: String, release: String },
    Return,
}

impl Plain {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Final { state: state::COMPLETED, result: _, uncount: _ } => "completed",
            Self::Final { state: state::CANCELLED, result: _, uncount: _ } => "cancelled",
            Self::Final { state: _, result: _, uncount: true } => "rejected",
            Self::Final { state: _, result: _, uncount: false } => "discarded",
            Self::Wait { run_at: _, uncount: true } => "snoozed",
            Self::Wait { run_at: _, uncount: false } => "retried",
            Self::Hold { code: _, release: _ } => "held",
            Self::Return => "given_back",
        }
    }
}

/// A row that ends.
struct Final {
    seq: i64,
    token: i64,
    state: i64,
    result: Option<String>,
    error: Option<String>,
    uncount: bool,
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

/// Rows by what becomes of them.
#[derive(Default)]
pub(super) struct Changes {
    finals: Vec<Final>,
    /// Row, run-at in microseconds, whether the attempt counts.
    waits: Vec<(i64, i64, i64)>,
    /// Row, code, release.
    holds: Vec<(i64, String, String)>,
    returns: Vec<i64>,
    reports: Vec<(i64, &'static str, AttemptReport)>,
}

impl Changes {
    /// Adds what becomes of a lease; only a final one need not be known to hold.
    pub(super) fn add(&mut self, seq: i64, token: i64, plain: Plain, report: &AttemptReport) {
        if *report != AttemptReport::default() {
            self.reports.push((seq, plain.outcome(), report.clone()));
        }
        match plain {
            Plain::Final { state, result, uncount } => {
                let error = clean_option(report.error.as_deref());
                let result = clean_option(result.as_deref());
                self.finals.push(Final { seq, token, state, result, error, uncount });
            }
            Plain::Wait { run_at, uncount } => {
                self.waits.push((seq, run_at.as_micros(), uncount.into()));
            }
            Plain::Hold { code, release } => self.holds.push((seq, clean(&code), release)),
            Plain::Return => self.returns.push(seq),
        }
    }

    /// Writes everything; returns row and token of those that ended.
    pub(super) async fn write(
        self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        mut held: HashMap<i64, Held>,
    ) -> Result<HashSet<(i64, i64)>, DbError> {
        let Self { finals, waits, holds, returns, reports } = self;
        wait(tx, waits).await?;
        hold(tx, now, holds).await?;
        if !returns.is_empty() {
            let query = Query::new(
                "UPDATE mw_task SET state = 1, worker = NULL, token = NULL, started_at = NULL,
                   attempt = least(attempt, max_attempts - 1) WHERE seq = ANY($1)",
            );
            tx.execute(query.bind(returns)).await?;
        }
        let ended = end(tx, now, finals).await?;
        let tokens = ended.iter().map(|(seq, held)| (*seq, held.token)).collect();
        held.extend(ended);
        let remember = |(row, outcome, report)| {
            let Held { token: _, attempt, worker, started_at, is_unique: _, cancel: _ } =
                held.get(&row)?;
            let (attempt, worker, started_at) = (*attempt, *worker, *started_at);
            Some(AttemptRow { row, attempt, worker, started_at, outcome, report })
        };
        record_attempts(tx, now, reports.into_iter().filter_map(remember).collect()).await?;
        Ok(tokens)
    }
}

async fn wait(tx: &mut Tx<'_>, waits: Vec<(i64, i64, i64)>) -> Result<(), DbError> {
    if waits.is_empty() {
        return Ok(());
    }
    // A task that runs again has been accepted, so an earlier hold is over.
    let query = Query::new(
        "UPDATE mw_task t SET state = 1, run_at = i.run_at,
           attempt = t.attempt - CASE WHEN t.started_at IS NULL THEN 0 ELSE i.uncount END,
           worker = NULL, token = NULL, started_at = NULL,
           held_code = NULL, held_release = NULL, held_since = NULL
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS i (seq, run_at, uncount)
          WHERE t.seq = i.seq",
    );
    let column = |read: fn(&(i64, i64, i64)) -> i64| waits.iter().map(read).collect::<Vec<_>>();
    let query = query.bind(column(|w| w.0)).bind(column(|w| w.1)).bind(column(|w| w.2));
    tx.execute(query).await.map(|_| ())
}

async fn hold(
    tx: &mut Tx<'_>,
    now: Timestamp,
    holds: Vec<(i64, String, String)>,
) -> Result<(), DbError> {
    if holds.is_empty() {
        return Ok(());
    }
    let query = Query::new(
        "UPDATE mw_task t SET state = 6,
           attempt = t.attempt - CASE WHEN t.started_at IS NULL THEN 0 ELSE 1 END,
           held_code = i.code, held_release = i.release, held_since = coalesce(t.held_since, $4),
           worker = NULL, token = NULL, started_at = NULL
           FROM unnest($1::bigint[], $2::text[], $3::text[]) AS i (seq, code, release)
          WHERE t.seq = i.seq",
    );
    let query = query.bind(holds.iter().map(|hold| hold.0).collect::<Vec<_>>());
    let query = query.bind(holds.iter().map(|hold| hold.1.clone()).collect::<Vec<_>>());
    let query = query.bind(holds.into_iter().map(|hold| hold.2).collect::<Vec<_>>());
    tx.execute(query.bind(now)).await.map(|_| ())
}

/// Moves rows whose leases still hold into history and frees their unique keys, as [`free_keys`]
/// does; returns what they were.
async fn end(
    tx: &mut Tx<'_>,
    now: Timestamp,
    mut finals: Vec<Final>,
) -> Result<Vec<(i64, Held)>, DbError> {
    if finals.is_empty() {
        return Ok(Vec::new());
    }
    // All transactions lock rows in one order, so that none waits for another in a circle.
    finals.sort_by_key(|last| last.seq);
    let query = Query::new(
        "WITH gone AS (
           DELETE FROM mw_task t USING unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[],
             $5::text[], $6::bigint[]) AS i (seq, token, state, result, error, uncount)
            WHERE t.seq = i.seq AND t.token = i.token AND t.state = 2
           RETURNING t.seq, t.lane, t.priority, t.run_at, t.attempt, t.max_attempts, t.worker,
             t.token, t.started_at, t.is_unique, i.state, i.result, i.error, i.uncount),
         kept AS (
           INSERT INTO mw_finished (seq, lane, state, priority, run_at, attempt, max_attempts,
             finished_at, worker, started_at, result, error)
           SELECT seq, lane, state, priority, run_at,
             attempt - CASE WHEN started_at IS NULL THEN 0 ELSE uncount END, max_attempts, $7,
             worker, started_at, result, error FROM gone),
         freed AS (
           DELETE FROM mw_unique u USING gone
            WHERE gone.is_unique = 1 AND u.seq = gone.seq AND u.until <= $7)
         SELECT seq, token, attempt, worker, started_at, is_unique, 0 FROM gone",
    );
    let column = |read: fn(&Final) -> i64| finals.iter().map(read).collect::<Vec<_>>();
    let query = query.bind(column(|f| f.seq)).bind(column(|f| f.token)).bind(column(|f| f.state));
    let texts = |read: fn(&Final) -> &Option<String>| {
        finals.iter().map(|last| read(last).clone()).collect::<Vec<_>>()
    };
    let query = query.bind(texts(|f| &f.result)).bind(texts(|f| &f.error));
    let query = query.bind(column(|f| f.uncount.into())).bind(now);
    tx.all(query).await?.iter().map(Held::read).collect()
}

/// Frees the unique keys of tasks that have ended, unless they block for longer.
pub(super) async fn free_keys(
    tx: &mut Tx<'_>,
    now: Timestamp,
    rows: Vec<i64>,
) -> Result<(), DbError> {
    let query = Query::new("DELETE FROM mw_unique WHERE seq = ANY($1) AND until <= $2");
    tx.execute(query.bind(rows).bind(now)).await.map(|_| ())
}

/// Remembers attempts that failed or left log lines.
pub(super) async fn record_attempts(
    tx: &mut Tx<'_>,
    now: Timestamp,
    attempts: Vec<AttemptRow>,
) -> Result<(), DbError> {
    if attempts.is_empty() {
        return Ok(());
    }
    let query = Query::new(
        "INSERT INTO mw_attempt (seq, attempt, worker, started_at, finished_at, outcome, code,
           error, log)
         SELECT i.seq, i.attempt, i.worker, i.started_at, $9, i.outcome, i.code, i.error, i.log
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],
             $6::text[], $7::text[], $8::text[])
             AS i (seq, attempt, worker, started_at, outcome, code, error, log)",
    );
    let texts = |read: fn(&AttemptReport) -> Option<&str>| {
        attempts.iter().map(|row| clean_option(read(&row.report))).collect::<Vec<_>>()
    };
    let query = query
        .bind(attempts.iter().map(|row| row.row).collect::<Vec<_>>())
        .bind(attempts.iter().map(|row| row.attempt).collect::<Vec<_>>())
        .bind(attempts.iter().map(|row| row.worker).collect::<Vec<_>>())
        .bind(attempts.iter().map(|a| a.started_at.map(Timestamp::as_micros)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|row| row.outcome.to_owned()).collect::<Vec<_>>())
        .bind(texts(|report| report.code.as_deref()))
        .bind(texts(|report| report.error.as_deref()))
        .bind(texts(|report| report.log.as_deref()))
        .bind(now);
    tx.execute(query).await.map(|_| ())
}

/// Moves a task that has not ended into history.
pub(super) async fn finish(
    tx: &mut Tx<'_>,
    now: Timestamp,
    seq: i64,
    end: i64,
    error: &str,
) -> Result<(), DbError> {
    let query = Query::new(
        "WITH gone AS (DELETE FROM mw_task WHERE seq = $1 RETURNING *)
         INSERT INTO mw_finished (seq, lane, state, priority, run_at, attempt, max_attempts, worker,
           started_at, finished_at, error)
         SELECT seq, lane, $2, priority, run_at, attempt, max_attempts, worker, started_at, $3, $4
           FROM gone",
    );
    tx.execute(query.bind(seq).bind(end).bind(now).bind(clean(error))).await?;
    free_keys(tx, now, vec![seq]).await
}
