//! Settling: outcome, final write step and follow-ups in one transaction.

use std::collections::HashMap;

use database::{DbError, Query, Tx};
use values::Timestamp;

use super::changes::{Changes, Held, Plain, free_keys};
use super::lanes::Lanes;
use super::lists::pairs;
use super::quota::enqueue_calls;
use super::schema::state;
use crate::engine::{concerns_everyone, run_write};
use crate::model::chain;
use crate::{Enqueued, FinalWrite, NewTask, Settle, Settled, Settlement};

/// Settles a batch; one answer per settlement, in order.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    lanes: &mut Lanes,
    now: Timestamp,
    batch: Vec<Settlement>,
) -> Result<Vec<Settled>, DbError> {
    let mut leases = fence(tx, batch.iter().map(|s| (s.row, s.token)).collect()).await?;
    let mut answers = Vec::with_capacity(batch.len());
    let mut changes = Changes::default();
    for settlement in batch {
        let Settlement { row, token, settle, report } = settlement;
        let Some(held) = leases.get(&row).filter(|held| held.token == token) else {
            answers.push(Settled::LeaseLost);
            continue;
        };
        let mut follow_ups = Vec::new();
        let plain = match settle {
            Settle::Completed { result, write, follow_ups: new } => {
                match complete(tx, lanes, now, (row, held.is_unique), write, new).await? {
                    Ok(stored) => follow_ups = stored,
                    Err(failed) => {
                        answers.push(failed);
                        continue;
                    }
                }
                Plain::Final { state: state::COMPLETED, result, uncount: false }
            }
            Settle::Discard => ended(state::DISCARDED),
            Settle::Reject => Plain::Final { state: state::DISCARDED, result: None, uncount: true },
            Settle::Cancel => ended(state::CANCELLED),
            _ if held.cancel => ended(state::CANCELLED),
            Settle::Retry { after } => Plain::Wait { run_at: now.after(after), uncount: false },
            Settle::Snooze { after } => Plain::Wait { run_at: now.after(after), uncount: true },
            Settle::Hold { code, release } => Plain::Hold { code, release },
            Settle::GiveBack => Plain::Return,
        };
        if held.is_unique && matches!(plain, Plain::Final { .. }) {
            // At once: a later settlement of this batch may ask for a task with the same key.
            free_keys(tx, now, &[row]).await?;
        }
        changes.add(row, held, plain, report);
        // A second settlement of the same lease comes too late, in the same batch too.
        leases.remove(&row);
        answers.push(Settled::Done { follow_ups });
    }
    changes.write(tx, now).await?;
    Ok(answers)
}

fn ended(state: i64) -> Plain {
    Plain::Final { state, result: None, uncount: false }
}

/// Finds the rows whose token is still the one of the lease.
async fn fence(tx: &mut Tx<'_>, leases: Vec<(i64, i64)>) -> Result<HashMap<i64, Held>, DbError> {
    let query = Query::new(
        "SELECT t.seq, t.token, t.attempt, t.worker, t.started_at, t.cancel, t.is_unique
           FROM json_each($1) j JOIN mw_task t ON t.seq = j.value ->> 0
          WHERE t.state = 2 AND t.token = j.value ->> 1",
    );
    let mut held = HashMap::with_capacity(leases.len());
    for row in tx.all(query.bind(pairs(&leases))).await? {
        let known = Held {
            token: row.get(1)?,
            attempt: row.get(2)?,
            worker: row.get(3)?,
            started_at: row.get(4)?,
            cancel: row.get(5)?,
            is_unique: row.get(6)?,
        };
        held.insert(row.get(0)?, known);
    }
    Ok(held)
}

/// Runs the final write step and stores the follow-ups; a failure undoes only these.
///
/// The row ends here: its follow-ups find its unique key free, if it `is_unique`, and its place
/// within the quota.
async fn complete(
    tx: &mut Tx<'_>,
    lanes: &mut Lanes,
    now: Timestamp,
    (row, is_unique): (i64, bool),
    write: Option<FinalWrite>,
    follow_ups: Vec<NewTask>,
) -> Result<Result<Vec<Enqueued>, Settled>, DbError> {
    if write.is_none() && follow_ups.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    tx.execute(Query::new("SAVEPOINT outcome")).await?;
    let written = async {
        if is_unique && !follow_ups.is_empty() {
            free_keys(tx, now, &[row]).await?;
        }
        if let Some(write) = write {
            run_write(tx, write).await?;
        }
        enqueue_calls(tx, lanes, now, &follow_ups, &[follow_ups.len()], Some(row)).await
    };
    let failed = match written.await {
        Ok(answers) => match answers.into_iter().next().unwrap_or(Ok(Vec::new())) {
            Ok(stored) => {
                tx.execute(Query::new("RELEASE outcome")).await?;
                return Ok(Ok(stored));
            }
            Err(refused) => {
                let transient = refused.is_transient();
                Settled::WriteFailed { error: refused.to_string(), transient }
            }
        },
        Err(error) if concerns_everyone(&error) => return Err(error),
        Err(error) => {
            let transient = error.is_transient();
            Settled::WriteFailed { error: chain(&error), transient }
        }
    };
    lanes.forget();
    tx.execute(Query::new("ROLLBACK TO outcome")).await?;
    tx.execute(Query::new("RELEASE outcome")).await?;
    Ok(Err(failed))
}
