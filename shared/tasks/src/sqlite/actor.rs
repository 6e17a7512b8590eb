//! The one writer of a process: gathers what waits, writes it in one transaction, answers everyone.
//!
//! While a commit is on its way to the disk, further calls queue up; the next transaction takes
//! them all. Leases come last in a transaction, so that a task enqueued by this process can be
//! enqueued and leased by the same commit. A lease that finds nothing waits here until it does.

use std::sync::Arc;
use std::time::Duration;

use database::{Db, DbError, Durability};
use tokio::sync::mpsc;
use tokio::time::Instant;
use values::{Clock, Timestamp};

use super::group::{Call, Done, Group, Replies};
use super::lanes::Lanes;
use super::lease::{lease, promote, start, unlease};
use super::quota::enqueue_calls;
use super::settle::settle;
use crate::handover::{Handover, Orphans, Reply};
use crate::{LeaseRequest, StoreError};

/// Calls that may wait for the writer; further callers wait for a place.
pub(super) const QUEUE: usize = 4_096;
/// The most tasks and calls one transaction takes.
const GROUP: usize = 2_000;
/// Leases that may wait for a task; further ones are told at once that there is none.
const MAX_PARKED: usize = 1_024;
/// How often a waiting lease looks for tasks of other processes.
pub(super) const POLL: Duration = Duration::from_millis(200);
/// How long leases wait after the database failed, so that a full disk is no busy loop.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);
/// The shortest wait, so that a task that is due but cannot run is no busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A lease that waits for a task.
struct Parked {
    request: LeaseRequest,
    reply: Reply<Handover>,
    until: Instant,
}

pub(super) struct Actor {
    db: Db,
    clock: Arc<dyn Clock>,
    calls: mpsc::Receiver<Call>,
    parked: Vec<Parked>,
    orphans: Orphans,
    lanes: Lanes,
    /// Whether there may be something for a waiting lease.
    look: bool,
    /// Whether scheduled tasks may have come or changed.
    look_for_due: bool,
    /// When the next scheduled task is due, as far as this process knows.
    next_due: Option<Timestamp>,
    /// When a rate that keeps a waiting lease from its tasks lets the next one start: by the
    /// store's clock, and by one that does not jump.
    next_start: Option<(Timestamp, Instant)>,
    /// The change counter at the latest poll.
    seen: i64,
    polled_at: Instant,
    pause_until: Option<Instant>,
}

impl Actor {
    pub(super) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        calls: mpsc::Receiver<Call>,
        orphans: Orphans,
    ) -> Self {
        Self {
            db,
            clock,
            calls,
            parked: Vec::new(),
            orphans,
            lanes: Lanes::default(),
            look: true,
            look_for_due: true,
            next_due: None,
            next_start: None,
            seen: -1,
            polled_at: Instant::now(),
            pause_until: None,
        }
    }

    /// Serves calls until every handle to the store is gone.
    pub(super) async fn run(mut self) {
        loop {
            let (mut group, mut replies) = (Group::default(), Replies::default());
            if !self.gather(&mut group, &mut replies).await {
                return;
            }
            self.poll().await;
            self.parked.retain(|parked| !parked.reply.is_closed());
            let orphaned = !self.orphans.is_empty();
            let look = orphaned || (self.look && !self.parked.is_empty());
            if group.weight() > 0 || (look && self.pause().is_zero()) {
                match self.write(group).await {
                    Ok(done) => self.tell(replies, done),
                    Err(error) => self.tell_failure(replies, &error.into()),
                }
            }
            self.dismiss();
        }
    }

    /// Waits for calls, or until it is time to look around; `false` when the store is dropped.
    async fn gather(&mut self, group: &mut Group, replies: &mut Replies) -> bool {
        let mut next = if self.parked.is_empty() && self.orphans.is_empty() {
            self.calls.recv().await
        } else {
            match tokio::time::timeout(self.patience(), self.calls.recv()).await {
                Ok(call) => call,
                Err(_) => return true,
            }
        };
        if next.is_none() {
            return false;
        }
        while let Some(call) = next {
            match call {
                Call::Wake => (self.look, self.look_for_due) = (true, true),
                Call::Lease(request, reply) => self.park(request, reply),
                other => group.add(other, replies),
            }
            let full = group.weight() >= GROUP;
            next = if full { None } else { self.calls.try_recv().ok() };
        }
        true
    }

    fn park(&mut self, request: LeaseRequest, reply: Reply<Handover>) {
        if self.parked.len() >= MAX_PARKED {
            reply.send(Ok(Handover::new(Vec::new(), &self.orphans))).ok();
            return;
        }
        let until = Instant::now() + request.wait.to_std();
        self.parked.push(Parked { request, reply, until });
        self.look = true;
    }

    /// How long to leave the database alone after a failure.
    fn pause(&self) -> Duration {
        self.pause_until.map_or(Duration::ZERO, |until| until - Instant::now())
    }

    /// How long to wait for a call before looking around.
    fn patience(&self) -> Duration {
        let poll = POLL.saturating_sub(self.polled_at.elapsed());
        let due = self.next_due.map_or(POLL, |due| due.since(self.clock.now()).to_std());
        let start = self.next_start.map_or(POLL, |(_, at)| at - Instant::now());
        let until = self.parked.iter().map(|parked| parked.until).min();
        let until = until.map_or(POLL, |until| until - Instant::now());
        poll.min(due).min(start).min(until).max(self.pause()).max(SHORTEST_WAIT)
    }

    /// Finds out whether a task has become due, or another process has written.
    async fn poll(&mut self) {
        if self.parked.is_empty() || !self.pause().is_zero() {
            return;
        }
        let now = self.clock.now();
        self.look |= self.next_due.is_some_and(|due| due <= now);
        self.look |= self.next_start.is_some_and(|(at, by)| at <= now || by <= Instant::now());
        if self.polled_at.elapsed() < POLL {
            return;
        }
        self.polled_at = Instant::now();
        match self.db.change_counter().await {
            Ok(seen) if seen == self.seen => {}
            Ok(seen) => (self.seen, self.look, self.look_for_due) = (seen, true, true),
            Err(error) => self.tell_failure(Replies::default(), &error.into()),
        }
    }

    /// Writes a group in one transaction; orphans that could not be given back are kept.
    async fn write(&mut self, group: Group) -> Result<Done, DbError> {
        let orphans = self.orphans.take();
        let written = self.write_all(group, &orphans).await;
        match &written {
            Ok(_) => (self.look, self.look_for_due, self.pause_until) = (false, false, None),
            Err(_) => self.orphans.add(orphans),
        }
        written
    }

    /// Writes in the order: what ends or begins to wait, then who starts, then who leases.
    async fn write_all(&mut self, group: Group, orphans: &[(i64, i64)]) -> Result<Done, DbError> {
        let durability = if group.durable { Durability::Full } else { Durability::Relaxed };
        let mut transaction = self.db.begin_with(durability).await?;
        let mut tx = transaction.tx();
        let now = self.clock.now();
        let mut done = Done::default();
        if !orphans.is_empty() {
            unlease(&mut tx, now, orphans).await?;
        }
        if !group.tasks.is_empty() {
            self.look_for_due |= group.tasks.iter().any(|task| task.stamp.run_at.is_some());
            let (tasks, sizes) = (&group.tasks, &group.sizes);
            done.enqueued =
                enqueue_calls(&mut tx, &mut self.lanes, now, tasks, sizes, None).await?;
        }
        if !group.settlements.is_empty() {
            self.look_for_due |= group.settlements.iter().any(|s| s.settle.may_schedule());
            done.settled = settle(&mut tx, &mut self.lanes, now, group.settlements).await?;
        }
        for (worker, leases) in group.starts {
            done.started.push(start(&mut tx, worker, &leases, now).await?);
        }
        for work in group.writes {
            work(&mut tx, now).await?;
            self.look_for_due = true;
        }
        if self.look_for_due || self.next_due.is_some_and(|due| due <= now) {
            self.next_due = promote(&mut tx, now).await?;
        }
        let mut next_start: Option<Timestamp> = None;
        for (at, parked) in self.parked.iter().enumerate() {
            let token = i64::from_be_bytes(crate::random_bytes()) & i64::MAX;
            let leased = lease(&mut tx, &parked.request, now, token).await?;
            next_start = next_start.into_iter().chain(leased.next_start).min();
            // Who is gone hears so at once, and comes back as another.
            if leased.gone || !leased.tasks.is_empty() {
                done.leased.push((at, leased.tasks));
            }
        }
        self.next_start = next_start.map(|at| (at, Instant::now() + at.since(now).to_std()));
        transaction.commit().await?;
        Ok(done)
    }

    fn tell(&mut self, replies: Replies, done: Done) {
        for (at, leased) in done.leased.into_iter().rev() {
            let handover = Handover::new(leased, &self.orphans);
            self.parked.remove(at).reply.send(Ok(handover)).ok();
        }
        for (reply, enqueued) in replies.enqueues.into_iter().zip(done.enqueued) {
            reply.send(enqueued).ok();
        }
        let mut settled = done.settled.into_iter();
        for (size, reply) in replies.settles {
            reply.send(Ok(settled.by_ref().take(size).collect())).ok();
        }
        for (reply, started) in replies.starts.into_iter().zip(done.started) {
            reply.send(Ok(started)).ok();
        }
        for reply in replies.writes {
            reply.send(Ok(())).ok();
        }
    }

    /// Tells everyone of a failure; nothing of the group is stored, or that is not known.
    fn tell_failure(&mut self, replies: Replies, error: &StoreError) {
        tracing::debug!(error = %error, "a group of store calls failed");
        self.lanes.forget();
        self.look_for_due = true;
        self.look = true;
        self.pause_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
        for reply in replies.enqueues {
            reply.send(Err(error.clone())).ok();
        }
        for (_, reply) in replies.settles {
            reply.send(Err(error.clone())).ok();
        }
        for reply in replies.starts {
            reply.send(Err(error.clone())).ok();
        }
        for reply in replies.writes {
            reply.send(Err(error.clone())).ok();
        }
        for parked in self.parked.drain(..) {
            parked.reply.send(Err(error.clone())).ok();
        }
    }

    /// Answers leases that have waited long enough; not before they have had a look.
    fn dismiss(&mut self) {
        if self.look {
            return;
        }
        let now = Instant::now();
        let mut at = 0;
        while at < self.parked.len() {
            if self.parked[at].until <= now {
                let nothing = Handover::new(Vec::new(), &self.orphans);
                self.parked.remove(at).reply.send(Ok(nothing)).ok();
            } else {
                at += 1;
            }
        }
    }
}
