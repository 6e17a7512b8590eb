//! What is asked of the writer, gathered for one transaction, and who is to be told of it.

use std::sync::{Arc, Mutex, PoisonError};

use database::{DbError, Durability, Tx};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use values::Timestamp;

use crate::{Enqueued, LeaseRequest, LeasedTask, NewTask, Settled, Settlement, StoreError};

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

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

/// Leases whose receiver went away before it had them, by row and token.
#[derive(Clone)]
pub(super) struct Orphans {
    leases: Arc<Mutex<Vec<(i64, i64)>>>,
    calls: mpsc::WeakSender<Call>,
}

impl Orphans {
    pub(super) fn new(calls: mpsc::WeakSender<Call>) -> Self {
        Self { leases: Arc::default(), calls }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn take(&self) -> Vec<(i64, i64)> {
        std::mem::take(&mut *self.leases.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, leases: impl IntoIterator<Item = (i64, i64)>) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).extend(leases);
        // With a full queue the writer is awake and looks by itself.
        if let Some(calls) = self.calls.upgrade() {
            calls.try_send(Call::Wake).ok();
        }
    }
}

/// Leased tasks on their way to a worker; dropped unopened, they go back to the queue.
pub(super) struct Handover {
    tasks: Vec<LeasedTask>,
    orphans: Orphans,
}

impl Handover {
    pub(super) fn new(tasks: Vec<LeasedTask>, orphans: &Orphans) -> Self {
        Self { tasks, orphans: orphans.clone() }
    }

    pub(super) fn open(mut self) -> Vec<LeasedTask> {
        std::mem::take(&mut self.tasks)
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        if !self.tasks.is_empty() {
            self.orphans.add(self.tasks.iter().map(|task| (task.row, task.token)));
        }
    }
}

/// What a transaction is to do.
#[derive(Default)]
pub(super) struct Group {
    pub(super) tasks: Vec<NewTask>,
    pub(super) settlements: Vec<Settlement>,
    pub(super) starts: Vec<(i64, Vec<(i64, i64)>)>,
    pub(super) writes: Vec<Work>,
    pub(super) durable: bool,
}

/// Who is to be told; batches by their size.
#[derive(Default)]
pub(super) struct Replies {
    pub(super) enqueues: Vec<(usize, Reply<Vec<Enqueued>>)>,
    pub(super) settles: Vec<(usize, Reply<Vec<Settled>>)>,
    pub(super) starts: Vec<Reply<Vec<i64>>>,
    pub(super) writes: Vec<Reply<()>>,
}

/// What a transaction has done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) enqueued: Vec<Enqueued>,
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
                replies.enqueues.push((batch.len(), reply));
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
