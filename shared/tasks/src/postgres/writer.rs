//! Writes what is enqueued, settled and started: calls that wait are gathered, and each group is one
//! transaction. A few groups are under way at a time, so that a lone call need not wait for a commit.

use std::sync::Arc;
use std::time::Duration;

use database::{Db, DbError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use values::Clock;

use super::group::{Call, Group};
use super::lanes::Lanes;
use super::wake::Bell;
/// Calls that may wait for a writer; further callers wait for a place.
pub(super) const QUEUE: usize = 4_096;
/// How often a group is written that was the victim of a deadlock.
const TRIES: u32 = 3;
/// A try that took longer has waited for a lock in vain and would do so again.
const LONGEST_DEADLOCK: Duration = Duration::from_secs(4);

/// What every group needs.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) db: Db,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) bell: Arc<Bell>,
}

/// How groups are written: so many at once, each within a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    pub(super) at_once: usize,
    /// No call is added to a group that has so many tasks and settlements.
    pub(super) full: usize,
    /// When a connection that gives no answer is given up.
    pub(super) limit: Duration,
}

/// Serves calls until every handle to the store is gone.
pub(super) async fn run(shared: Shared, slots: Slots, mut calls: mpsc::Receiver<Call>) {
    let mut under_way = JoinSet::new();
    loop {
        if under_way.len() >= slots.at_once {
            under_way.join_next().await;
        }
        let Some(call) = calls.recv().await else {
            break;
        };
        let mut group = Group::default();
        group.add(call);
        while group.weight() < slots.full {
            let Ok(call) = calls.try_recv() else { break };
            group.add(call);
        }
        while under_way.try_join_next().is_some() {}
        under_way.spawn(write(shared.clone(), slots.limit, group));
    }
    under_way.join_all().await;
}

async fn write(shared: Shared, limit: Duration, mut group: Group) {
    for tries in 1.. {
        let (began, writes) = (Instant::now(), group.final_writes());
        let written = tokio::time::timeout(limit, group.write(&shared)).await;
        match written {
            Ok(Ok(done)) => return group.tell(done),
            Ok(Err(DbError::Busy))
                if tries < TRIES
                    && began.elapsed() < LONGEST_DEADLOCK
                    && writes == group.final_writes() =>
            {
                tracing::debug!(tries, "a group of store calls is written again");
            }
            Ok(Err(error)) => return group.tell_failure(&error.into()),
            Err(_) => return group.tell_failure(&DbError::no_answer().into()),
        }
    }
}
