//! Leased tasks on their way to a worker, which may be gone when they arrive.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::{LeasedTask, StoreError};

/// Where the answer to a call goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Leases whose receiver went away before it had them, by row and token.
#[derive(Clone)]
pub(crate) struct Orphans {
    leases: Arc<Mutex<Vec<(i64, i64)>>>,
    /// Tells whoever undoes leases.
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Orphans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orphans").finish_non_exhaustive()
    }
}

impl Orphans {
    /// Begins with none.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { leases: Arc::default(), wake: Arc::new(wake) }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes them all, to undo them.
    pub(crate) fn take(&self) -> Vec<(i64, i64)> {
        std::mem::take(&mut *self.leases.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds some.
    pub(crate) fn add(&self, leases: impl IntoIterator<Item = (i64, i64)>) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).extend(leases);
        (self.wake)();
    }
}

/// Leased tasks on their way; dropped unopened, they go back to the queue.
#[derive(Debug)]
pub(crate) struct Handover {
    tasks: Vec<LeasedTask>,
    orphans: Orphans,
}

impl Handover {
    /// Packs leased tasks.
    pub(crate) fn new(tasks: Vec<LeasedTask>, orphans: &Orphans) -> Self {
        Self { tasks, orphans: orphans.clone() }
    }

    /// Hands them over for good.
    pub(crate) fn open(mut self) -> Vec<LeasedTask> {
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
