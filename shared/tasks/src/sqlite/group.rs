//! What is asked of the writer, gathered for one transaction, and who is to be told of it.

use database::{DbError, Durability, Tx};
use futures_util::future::BoxFuture;
use values::Timestamp;

use super::quota::Answer;
use crate::handover::{Handover, Reply};
use crate::{Enqueued, LeaseRequest, LeasedTask, NewTask, Settled, Settlement};

/// A write that is not gathered with others of its kind; it keeps its answer for its caller.
pub(super) type Work = Box<
    dyn for<'t, 'c> FnOnce(&'t mut Tx<'c>, Timestamp) -> BoxFuture<'t, Result<(), DbError>> + Send,
>;

pub(super) enum Call {
    Enqueue(Vec<NewTask>, Reply<Vec<Enqueued>>),
    Settle(Vec<Settlement>, Reply<Vec<Settled>>),
    Start(i64, Vec<(i64, i64)>, Reply<Vec<i64>>),
    Lease(LeaseRequest, Reply<Handover>),
    Write(Durability, Work, Reply<()>),
    Wake,
}

/// What a transaction is to do.
#[derive(Default)]
pub(super) struct Group {
    pub(super) tasks: Vec<NewTask>,
    /// How many of the tasks belong to each call.
    pub(super) sizes: Vec<usize>,
    pub(super) settlements: Vec<Settlement>,
    pub(super) starts: Vec<(i64, Vec<(i64, i64)>)>,
    pub(super) writes: Vec<Work>,
    pub(super) durable: bool,
}

/// Who is to be told; settlements by the size of their batch.
#[derive(Default)]
pub(super) struct Replies {
    pub(super) enqueues: Vec<Reply<Vec<Enqueued>>>,
    pub(super) settles: Vec<(usize, Reply<Vec<Settled>>)>,
    pub(super) starts: Vec<Reply<Vec<i64>>>,
    pub(super) writes: Vec<Reply<()>>,
}

/// What a transaction has done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) enqueued: Vec<Answer>,
    pub(super) settled: Vec<Settled>,
    pub(super) started: Vec<Vec<i64>>,
    /// By position among the parked leases, ascending.
    pub(super) leased: Vec<(usize, Vec<LeasedTask>)>,
}

impl Group {
    pub(super) fn add(&mut self, call: Call, replies: &mut Replies) {
        match call {
            // What asks for nothing needs no transaction.
            Call::Enqueue(batch, reply) if batch.is_empty() => {
                reply.send(Ok(Vec::new())).ok();
            }
            Call::Settle(batch, reply) if batch.is_empty() => {
                reply.send(Ok(Vec::new())).ok();
            }
            Call::Enqueue(batch, reply) => {
                self.durable = true;
                replies.enqueues.push(reply);
                self.sizes.push(batch.len());
                self.tasks.extend(batch);
            }
            Call::Settle(batch, reply) => {
                self.durable = true;
                replies.settles.push((batch.len(), reply));
                self.settlements.extend(batch);
            }
            Call::Start(worker, leases, reply) => {
                replies.starts.push(reply);
                self.starts.push((worker, leases));
            }
            Call::Write(durability, work, reply) => {
                self.durable |= durability == Durability::Full;
                replies.writes.push(reply);
                self.writes.push(work);
            }
            Call::Lease(..) | Call::Wake => {}
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.tasks.len() + self.settlements.len() + self.starts.len() + self.writes.len()
    }
}
