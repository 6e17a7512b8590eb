//! Leases for the workers of this process: one transaction after the other, and in between whoever
//! finds nothing waits here.
//!
//! A look may begin at the beginning of each lane or where the latest one ended (see [`Floors`]).
//! The former finds everything; it is taken so often that it costs a tenth of the time, and before
//! anyone is told that there is nothing.

use std::sync::Arc;
use std::time::Duration;

use database::{Db, DbError, Durability};
use tokio::sync::mpsc;
use tokio::time::Instant;
use values::{Clock, Timestamp};

use super::candidates::{Floors, next_due};
use super::lanes::Lanes;
use super::lease::{KeptBack, lease, unlease};
use super::operate::offer_held;
use super::wake::Bell;
use crate::handover::{Handover, Orphans, Reply};
use crate::{LeaseRequest, LeasedTask, StoreError};

/// Calls of a kind that may wait; further ones are told at once that there is nothing.
const MAX_PARKED: usize = 1_024;
/// How often a waiting lease looks for tasks that no notification told of.
pub(super) const POLL: Duration = Duration::from_millis(200);
/// While tasks keep coming, the next look is this soon, or after twice the time that one takes.
const SOON: Duration = Duration::from_micros(300);
/// Tasks keep coming if there was one within this time.
const KEEPS_COMING: Duration = Duration::from_millis(100);
/// The longest rest after a look.
const LONGEST_REST: Duration = Duration::from_millis(5);
/// How long leases wait after the database failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);
/// The shortest wait, so that a task that is due but cannot run is no busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How long a look may take before its connection is given up.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// A look from the beginning takes no more than one part in so many of the time.
const REST_AFTER_FULL_LOOK: u32 = 10;

/// What is asked for, and who waits for it.
pub(super) enum Call {
    Lease(LeaseRequest, Reply<Handover>),
    /// To offer tasks that other releases hold, and to lease them before anyone else sees them: a
    /// release that held them is no quicker and holds them again.
    Offer(Held, Reply<bool>),
    /// To undo what was leased and not received, before its worker signs off and it counts as begun.
    Undo(Reply<()>),
}

/// Tasks that others than this release hold, and not for longer than since.
pub(super) type Held = (String, Timestamp);

/// A lease that waits for a task.
struct Parked {
    request: LeaseRequest,
    reply: Reply<Handover>,
    until: Instant,
    /// Whether everything was looked at for it and nothing was there.
    searched: bool,
}

/// What a look has found.
#[derive(Default)]
struct Found {
    /// Whether tasks were offered, for each who asked for that.
    offered: Vec<bool>,
    /// By position among the parked leases, ascending.
    leased: Vec<(usize, Vec<LeasedTask>)>,
    next_due: Option<Timestamp>,
    next_start: Option<Timestamp>,
    kept_back: KeptBack,
    again: bool,
}

pub(super) struct Leaser {
    db: Db,
    clock: Arc<dyn Clock>,
    lanes: Arc<Lanes>,
    bell: Arc<Bell>,
    calls: mpsc::Receiver<Call>,
    parked: Vec<Parked>,
    offers: Vec<(Held, Reply<bool>)>,
    undos: Vec<Reply<()>>,
    orphans: Orphans,
    /// Leases of a transaction whose end is not known yet.
    doubtful: Vec<(i64, i64)>,
    floors: Floors,
    look: bool,
    /// Whether tasks that wait for their time may have come or changed.
    look_for_due: bool,
    kept_back: KeptBack,
    /// When the next task is due that waits for its time or for a rate.
    next_due: Option<Timestamp>,
    /// The same for a rate, by a clock that does not jump.
    next_start: Option<Instant>,
    polled_at: Instant,
    found_at: Option<Instant>,
    looked_at: Instant,
    look_took: Duration,
    full_at: Instant,
    full_took: Duration,
    pause_until: Option<Instant>,
}

impl Leaser {
    pub(super) fn new(
        (db, clock): (Db, Arc<dyn Clock>),
        (lanes, bell): (Arc<Lanes>, Arc<Bell>),
        calls: mpsc::Receiver<Call>,
        orphans: Orphans,
    ) -> Self {
        let now = Instant::now();
        Self {
            db,
            clock,
            lanes,
            bell,
            calls,
            parked: Vec::new(),
            offers: Vec::new(),
            undos: Vec::new(),
            orphans,
            doubtful: Vec::new(),
            floors: Floors::default(),
            look: true,
            look_for_due: true,
            kept_back: KeptBack::Nothing,
            next_due: None,
            next_start: None,
            polled_at: now,
            found_at: None,
            looked_at: now,
            look_took: Duration::ZERO,
            full_at: now,
            full_took: Duration::ZERO,
            pause_until: None,
        }
    }

    /// Serves leases until every handle to the store is gone.
    pub(super) async fn run(mut self) {
        while self.wait().await {
            self.parked.retain(|parked| !parked.reply.is_closed());
            self.tell_undone();
            if self.is_idle() || !self.pause().is_zero() {
                continue;
            }
            self.poll();
            let over = self.is_over_for_someone();
            if self.look || over || !self.orphans.is_empty() {
                self.look_around(over).await;
                self.learn_lanes().await;
            }
            self.tell_undone();
            self.dismiss();
        }
    }

    /// Waits for calls and news, or until it is time to look; `false` when the store is dropped.
    async fn wait(&mut self) -> bool {
        let patience = if self.is_idle() { Duration::MAX } else { self.patience() };
        let bell = Arc::clone(&self.bell);
        let mut next = tokio::select! {
            call = self.calls.recv() => match call {
                Some(call) => Some(call),
                None => return false,
            },
            () = bell.wait() => None,
            () = tokio::time::sleep(patience) => None,
        };
        while let Some(call) = next {
            self.park(call);
            next = self.calls.try_recv().ok();
        }
        let news = self.bell.take();
        if news.back {
            self.floors.forget();
        }
        self.look |= news.tasks || news.back || (news.room && self.kept_back != KeptBack::Nothing);
        self.look_for_due |= news.tasks || news.back;
        true
    }

    fn is_idle(&self) -> bool {
        let waits = !self.parked.is_empty() || !self.offers.is_empty() || !self.undos.is_empty();
        !waits && self.orphans.is_empty()
    }

    fn park(&mut self, call: Call) {
        match call {
            Call::Lease(_, reply) if self.parked.len() >= MAX_PARKED => {
                reply.send(Ok(Handover::new(Vec::new(), &self.orphans))).ok();
            }
            Call::Offer(_, reply) if self.offers.len() >= MAX_PARKED => {
                reply.send(Ok(false)).ok();
            }
            Call::Undo(reply) if self.undos.len() >= MAX_PARKED => {
                reply.send(Ok(())).ok();
            }
            Call::Lease(request, reply) => {
                let until = Instant::now() + request.wait.to_std();
                self.parked.push(Parked { request, reply, until, searched: false });
            }
            Call::Offer(held, reply) => self.offers.push((held, reply)),
            Call::Undo(reply) => self.undos.push(reply),
        }
        self.look = true;
    }

    /// How long to leave the database alone: after a failure, and after each look for as long as it
    /// took, so that one look finds what several asked for. One that waited for a server that was
    /// away says nothing of the next.
    fn pause(&self) -> Duration {
        let rested = self.looked_at + self.look_took.min(LONGEST_REST);
        self.pause_until.map_or(rested, |until| until.max(rested)) - Instant::now()
    }

    /// How long to wait for a call before looking around.
    fn patience(&self) -> Duration {
        if self.look {
            return self.pause();
        }
        let poll = POLL.saturating_sub(self.polled_at.elapsed());
        let due = self.next_due.map_or(POLL, |due| due.since(self.clock.now()).to_std());
        let start = self.next_start.map_or(POLL, |at| at - Instant::now());
        let until = self.parked.iter().map(|parked| parked.until).min();
        let until = until.map_or(POLL, |until| until - Instant::now());
        let soon = self.next_soon().map_or(POLL, |at| at - Instant::now());
        let wait = poll.min(due).min(start).min(until).min(soon);
        wait.max(self.pause()).max(SHORTEST_WAIT)
    }

    /// When to look again because tasks keep coming, and there is room for them.
    fn next_soon(&self) -> Option<Instant> {
        if self.kept_back == KeptBack::Everything {
            return None; // whoever makes room tells of it, or has it
        }
        self.found_at.filter(|at| at.elapsed() < KEEPS_COMING)?;
        Some(self.looked_at + SOON.max(self.look_took * 2))
    }

    /// Finds out whether it is time to look without having been told.
    fn poll(&mut self) {
        let now = Instant::now();
        self.look |= self.next_due.is_some_and(|due| due <= self.clock.now());
        self.look |= self.next_start.is_some_and(|at| at <= now);
        self.look |= self.next_soon().is_some_and(|at| at <= now);
        if self.polled_at.elapsed() >= POLL {
            self.polled_at = now;
            (self.look, self.look_for_due) = (true, true);
        }
    }

    /// Whether someone has waited long enough, but not everything was looked at for them.
    fn is_over_for_someone(&self) -> bool {
        let now = Instant::now();
        self.parked.iter().any(|parked| parked.until <= now && !parked.searched)
    }

    async fn look_around(&mut self, fully: bool) {
        let began = Instant::now();
        let full = fully || began - self.full_at >= self.full_took * REST_AFTER_FULL_LOOK;
        if full {
            self.floors.forget();
        }
        let orphans = self.orphans.take();
        let looked = tokio::time::timeout(LOOK_LIMIT, self.look(&orphans, fully)).await;
        match looked.unwrap_or_else(|_| Err(DbError::no_answer())) {
            Ok(found) => {
                (self.looked_at, self.look_took) = (Instant::now(), began.elapsed());
                (self.look, self.pause_until, self.kept_back) = (false, None, found.kept_back);
                if full {
                    (self.full_at, self.full_took) = (self.looked_at, self.look_took);
                }
                self.look_for_due &= found.leased.len() == self.parked.len();
                self.next_due = found.next_due;
                let now = self.clock.now();
                self.next_start =
                    found.next_start.map(|at| Instant::now() + at.since(now).to_std());
                if found.again || !found.leased.is_empty() {
                    self.found_at = Some(Instant::now());
                }
                for ((_, reply), offered) in self.offers.drain(..).zip(found.offered) {
                    reply.send(Ok(offered)).ok();
                }
                self.tell(found.leased, full && !found.again);
            }
            Err(error) => {
                // What was leased after all is not left with a worker that does not know of it.
                self.orphans.add(orphans.into_iter().chain(std::mem::take(&mut self.doubtful)));
                self.tell_failure(&error.into());
            }
        }
    }

    /// Looks once more if someone goes without and others have made a lane meanwhile.
    async fn learn_lanes(&mut self) {
        if self.parked.is_empty() || !self.lanes.are_old() {
            return;
        }
        match self.lanes.refresh().await {
            Ok(changed) => self.look |= changed,
            Err(error) => self.tell_failure(&error.into()),
        }
    }

    /// Looks in one transaction for everyone who waits. What a lease gives is worthless after a
    /// power failure, so nothing waits for the disk.
    async fn look(&mut self, orphans: &[(i64, i64)], fully: bool) -> Result<Found, DbError> {
        // What is offered may be in a lane that others have made.
        if fully || !self.offers.is_empty() {
            self.lanes.refresh().await?;
        }
        let lanes = self.lanes.all();
        let mut transaction = self.db.begin_steady(Durability::Relaxed).await?;
        let mut tx = transaction.tx();
        let now = self.clock.now();
        let mut found = Found::default();
        if !orphans.is_empty() {
            unlease(&mut tx, now, orphans).await?;
            self.floors.forget();
        }
        for ((release, since), _) in &self.offers {
            let offered = offer_held(&mut tx, release, *since).await?;
            found.offered.push(offered);
            self.look_for_due |= offered;
            if offered {
                self.floors.forget();
            }
        }
        let mut kept_back = Vec::with_capacity(self.parked.len());
        for (at, parked) in self.parked.iter().enumerate() {
            let leased = lease(&mut tx, &parked.request, now, &lanes, &mut self.floors).await?;
            // Who is gone hears so at once, and comes back as another.
            let Some(leased) = leased else {
                kept_back.push(KeptBack::Nothing);
                found.leased.push((at, Vec::new()));
                continue;
            };
            kept_back.push(leased.kept_back);
            found.next_start = found.next_start.into_iter().chain(leased.next_start).min();
            found.again |= leased.again;
            if !leased.tasks.is_empty() {
                found.leased.push((at, leased.tasks));
            }
        }
        found.kept_back = KeptBack::of_all(&kept_back);
        found.next_due = self.next_due.filter(|due| *due > now);
        if found.leased.len() < self.parked.len()
            && (self.look_for_due || self.next_due != found.next_due)
        {
            let lanes = lanes.iter().map(|lane| lane.number).collect();
            found.next_due = next_due(&mut tx, now, lanes).await?;
        }
        let leased = found.leased.iter().flat_map(|(_, tasks)| tasks);
        self.doubtful = leased.map(|task| (task.row, task.token)).collect();
        transaction.commit().await?;
        self.doubtful.clear();
        Ok(found)
    }

    fn tell(&mut self, leased: Vec<(usize, Vec<LeasedTask>)>, full: bool) {
        for parked in &mut self.parked {
            parked.searched |= full;
        }
        for (at, leased) in leased.into_iter().rev() {
            let handover = Handover::new(leased, &self.orphans);
            self.parked.remove(at).reply.send(Ok(handover)).ok();
        }
    }

    /// Answers who waits until nothing is left to undo.
    fn tell_undone(&mut self) {
        if self.orphans.is_empty() {
            for reply in self.undos.drain(..) {
                reply.send(Ok(())).ok();
            }
        }
    }

    /// Tells everyone of a failure; nothing is leased, or that is not known and will be rescued.
    fn tell_failure(&mut self, error: &StoreError) {
        tracing::debug!(error = %error, "looking for work failed");
        self.floors.forget();
        (self.look, self.look_for_due) = (true, true);
        self.pause_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
        for parked in self.parked.drain(..) {
            parked.reply.send(Err(error.clone())).ok();
        }
        for (_, reply) in self.offers.drain(..) {
            reply.send(Err(error.clone())).ok();
        }
        for reply in self.undos.drain(..) {
            reply.send(Err(error.clone())).ok();
        }
    }

    /// Answers leases that have waited long enough.
    fn dismiss(&mut self) {
        let now = Instant::now();
        let mut at = 0;
        while at < self.parked.len() {
            if self.parked[at].until <= now && self.parked[at].searched {
                let nothing = Handover::new(Vec::new(), &self.orphans);
                self.parked.remove(at).reply.send(Ok(nothing)).ok();
            } else {
                at += 1;
            }
        }
    }
}
