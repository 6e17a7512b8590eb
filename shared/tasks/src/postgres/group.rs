//! What is asked of a writer, gathered for one transaction, and who is to be told of it.

use database::{DbError, Durability};

use super::lease::start;
use super::quota::{Answer, enqueue_calls};
use super::settle::{follow_ups, is_slow, settle};
use super::wake::News;
use super::writer::Shared;
use crate::handover::Reply;
use crate::{Enqueued, NewTask, Settle, Settled, Settlement, StoreError};

/// Tasks that become available within this time are told to other processes at once, in
/// microseconds; all others are found by polling before.
const SOON_MICROS: i64 = 250_000;

pub(super) enum Call {
    Enqueue(Vec<NewTask>, Reply<Vec<Enqueued>>),
    Settle(Vec<Settlement>, Reply<Vec<Settled>>),
    Start(i64, Vec<(i64, i64)>, Reply<Vec<i64>>),
}

/// A worker, its leases by row and token, and who asks which of them may start.
type Start = (i64, Vec<(i64, i64)>, Reply<Vec<i64>>);

/// What a transaction is to do, with whoever asked for it.
#[derive(Default)]
pub(super) struct Group {
    tasks: Vec<NewTask>,
    enqueues: Vec<(usize, Reply<Vec<Enqueued>>)>,
    settlements: Vec<Settlement>,
    settles: Vec<(usize, Reply<Vec<Settled>>)>,
    starts: Vec<Start>,
}

/// What a transaction has done.
pub(super) struct Done {
    enqueued: Vec<Answer>,
    settled: Vec<Settled>,
    started: Vec<Vec<i64>>,
}

impl Group {
    pub(super) fn add(&mut self, call: Call) {
        match call {
            Call::Enqueue(batch, reply) => {
                self.enqueues.push((batch.len(), reply));
                self.tasks.extend(batch);
            }
            Call::Settle(batch, reply) => {
                self.settles.push((batch.len(), reply));
                self.settlements.extend(batch);
            }
            Call::Start(worker, leases, reply) => self.starts.push((worker, leases, reply)),
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.tasks.len() + self.settlements.len() + self.starts.len()
    }

    /// How many final write steps have not run yet.
    pub(super) fn final_writes(&self) -> usize {
        let waits = |s: &&Settlement| matches!(s.settle, Settle::Completed { write: Some(_), .. });
        self.settlements.iter().filter(waits).count()
    }

    pub(super) async fn write(&mut self, shared: &Shared) -> Result<Done, DbError> {
        let tasks = shared.lanes.numbers(&self.tasks).await?;
        let mut asked_for = Vec::new();
        for settlement in &mut self.settlements {
            asked_for.extend(shared.lanes.numbers(follow_ups(&settlement.settle)).await?);
        }
        let durable = !self.enqueues.is_empty() || !self.settles.is_empty();
        let durability = if durable { Durability::Full } else { Durability::Relaxed };
        let begun = if self.settlements.iter().any(is_slow) {
            shared.db.begin_steady_within_limit(durability).await
        } else {
            shared.db.begin_steady(durability).await
        };
        let mut transaction = begun?;
        let mut tx = transaction.tx();
        let now = shared.clock.now();
        let mut done = Done { enqueued: Vec::new(), settled: Vec::new(), started: Vec::new() };
        if !self.tasks.is_empty() {
            let sizes: Vec<usize> = self.enqueues.iter().map(|(size, _)| *size).collect();
            done.enqueued =
                enqueue_calls(&mut tx, now, (&self.tasks, &tasks), &sizes, None).await?;
        }
        if !self.settlements.is_empty() {
            done.settled = settle(&mut tx, now, &mut self.settlements, &asked_for).await?;
        }
        for (worker, leases, _) in &self.starts {
            done.started.push(start(&mut tx, *worker, leases, now).await?);
        }
        transaction.commit().await?;
        self.ring(shared, now.as_micros());
        Ok(done)
    }

    /// Tells of what has become available.
    fn ring(&self, shared: &Shared, now: i64) {
        let mut news =
            News { tasks: !self.tasks.is_empty(), back: false, room: !self.settles.is_empty() };
        let is_soon =
            |task: &NewTask| task.stamp.run_at.is_none_or(|at| at.as_micros() < now + SOON_MICROS);
        let mut tell = self.tasks.iter().any(is_soon);
        for settlement in &self.settlements {
            match &settlement.settle {
                Settle::Completed { result: _, write: _, follow_ups } => {
                    news.tasks |= !follow_ups.is_empty();
                    tell |= follow_ups.iter().any(is_soon);
                }
                Settle::Retry { after } | Settle::Snooze { after } => {
                    news.tasks = true;
                    tell |= after.as_micros() < SOON_MICROS;
                }
                Settle::GiveBack | Settle::Hold { code: _, release: _ } => {
                    (news.back, tell) = (true, true);
                }
                Settle::Discard | Settle::Reject | Settle::Cancel => {}
            }
        }
        shared.bell.ring(&news);
        if tell {
            shared.bell.tell();
        }
    }

    pub(super) fn tell(self, done: Done) {
        for ((_, reply), answer) in self.enqueues.into_iter().zip(done.enqueued) {
            reply.send(answer).ok();
        }
        let mut settled = done.settled.into_iter();
        for (size, reply) in self.settles {
            reply.send(Ok(settled.by_ref().take(size).collect())).ok();
        }
        for ((_, _, reply), started) in self.starts.into_iter().zip(done.started) {
            reply.send(Ok(started)).ok();
        }
    }

    /// Tells everyone of a failure; nothing of the group is stored, or that is not known.
    pub(super) fn tell_failure(self, error: &StoreError) {
        tracing::debug!(error = %error, "a group of store calls failed");
        for (_, reply) in self.enqueues {
            reply.send(Err(error.clone())).ok();
        }
        for (_, reply) in self.settles {
            reply.send(Err(error.clone())).ok();
        }
        for (_, _, reply) in self.starts {
            reply.send(Err(error.clone())).ok();
        }
    }
}
