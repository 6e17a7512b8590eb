//! The decisions of the work loop: events in, commands out.

mod filling;
mod losing;
mod messages;

use std::collections::{BTreeMap, BTreeSet};

use values::{Span, Timestamp};

use crate::Moment;
pub use messages::{Command, Event, Lease, Settings, Stop, Taken};

/// How long after a failed call the store is asked again.
pub const STORE_PAUSE: Span = Span::from_millis(500);
/// How long a lease request may wait in the store for a first task.
pub const LEASE_WAIT: Span = Span::from_seconds(10);
/// The same while tasks run whose end may empty the queue.
pub const SHORT_WAIT: Span = Span::from_millis(200);
/// How long a worker that ends waits for a store that does not answer.
pub const GIVE_UP: Span = Span::from_seconds(3);
/// The same beyond the drain time-out, so that handlers told to stop can end.
pub const GIVE_UP_AFTER_DRAIN: Span = Span::from_seconds(10);
/// The priority above which nothing can be.
const HIGHEST: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Told to stop; settled once the attempt has ended.
    Stopping,
    Settling,
    /// Its lease was lost; nothing is settled when it ends.
    Lost,
}

/// The state of the loop.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says that one kind of call is under way")]
pub struct Core {
    settings: Settings,
    /// Held tasks, best first.
    held: BTreeMap<(u8, Timestamp, i64), Lease>,
    starting: BTreeSet<Lease>,
    active: BTreeMap<Lease, State>,
    returning: BTreeSet<Lease>,
    leasing: bool,
    /// What the request under way brings was leased for a worker that others may take for dead.
    lease_is_stale: bool,
    /// A lease for higher priorities has been answered since the last start of held tasks.
    looked_above: bool,
    lease_not_before: Option<Moment>,
    resettle: BTreeSet<Lease>,
    resettle_at: Option<Moment>,
    drain_until: Option<Moment>,
    /// When leases that cannot be settled are left to others.
    give_up_at: Option<Moment>,
    abandoned: usize,
    registering: bool,
    /// The registration under way is lost already: it was answered too late.
    lost_again: bool,
    checking: bool,
    may_be_empty: bool,
    exited: bool,
}

impl Core {
    /// Begins with nothing leased.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            held: BTreeMap::new(),
            starting: BTreeSet::new(),
            active: BTreeMap::new(),
            returning: BTreeSet::new(),
            leasing: false,
            lease_is_stale: false,
            looked_above: false,
            lease_not_before: None,
            resettle: BTreeSet::new(),
            resettle_at: None,
            drain_until: None,
            give_up_at: None,
            abandoned: 0,
            registering: false,
            lost_again: false,
            checking: false,
            may_be_empty: false,
            exited: false,
        }
    }

    /// Attempts that run now.
    pub fn running(&self) -> usize {
        self.active
            .values()
            .filter(|state| matches!(state, State::Running | State::Stopping))
            .count()
    }

    /// Whether tasks are still taken.
    pub fn is_draining(&self) -> bool {
        self.drain_until.is_some()
    }

    /// Leases that were left to others because the store did not answer at the end.
    pub fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// When the next tick is needed at the latest, if nothing happens before.
    pub fn wake_at(&self) -> Option<Moment> {
        let running = self.active.values().any(|state| *state == State::Running);
        let drain_until = self.drain_until.filter(|_| running);
        [self.lease_not_before, self.resettle_at, drain_until, self.give_up_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes events and says what to do.
    pub fn step(&mut self, now: Moment, events: Vec<Event>) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut settle = Vec::new();
        for event in events {
            self.take(now, event, &mut settle, &mut commands);
        }
        if self.resettle_at.is_some_and(|at| at <= now) {
            self.resettle_at = None;
            settle.extend(std::mem::take(&mut self.resettle));
        }
        if !settle.is_empty() {
            commands.push(Command::Settle(settle));
        }
        self.drain(now, &mut commands);
        self.give_up(now, &mut commands);
        self.fill(now, &mut commands);
        self.finish(&mut commands);
        commands
    }

    fn take(
        &mut self,
        now: Moment,
        event: Event,
        settle: &mut Vec<Lease>,
        commands: &mut Vec<Command>,
    ) {
        match event {
            Event::Tick => {}
            Event::Leased(tasks) => self.leased(tasks, commands),
            Event::LeaseFailed => {
                self.leasing = false;
                self.lease_is_stale = false;
                self.lease_not_before = Some(now.after(STORE_PAUSE));
            }
            Event::Started { asked, counted } => self.started(asked, &counted, commands),
            Event::StartFailed(leases) => {
                self.lease_not_before = Some(now.after(STORE_PAUSE));
                for lease in leases {
                    // Whether it was counted is unknown; giving it back is right either way.
                    if self.starting.remove(&lease) {
                        self.give_back(vec![lease], commands);
                    }
                }
            }
            Event::Ended(lease) => match self.active.get(&lease) {
                Some(State::Running | State::Stopping) => {
                    self.active.insert(lease, State::Settling);
                    settle.push(lease);
                }
                Some(State::Lost) => {
                    self.active.remove(&lease);
                    commands.push(Command::Forget(lease));
                }
                Some(State::Settling) | None => {}
            },
            Event::Settled(leases) => {
                self.may_be_empty = false;
                for lease in leases {
                    self.active.remove(&lease);
                    self.returning.remove(&lease);
                    self.resettle.remove(&lease);
                }
            }
            Event::SettleFailed(leases) => {
                self.resettle_at = Some(now.after(STORE_PAUSE));
                let ours = |lease: &Lease| {
                    self.active.contains_key(lease) || self.returning.contains(lease)
                };
                self.resettle.extend(leases.into_iter().filter(ours));
            }
            Event::CancelAsked(rows) => self.cancel(&rows, commands),
            Event::LeasesLost => self.lose(commands),
            Event::Registered => {
                self.registering = false;
                if std::mem::take(&mut self.lost_again) {
                    self.register(commands);
                }
            }
            Event::Emptiness(empty) => {
                self.checking = false;
                if empty && self.settings.until_empty {
                    self.begin_drain(now);
                }
            }
            Event::Drain => self.begin_drain(now),
            Event::Abort => {
                self.drain_until = Some(now);
                self.give_up_at = Some(now.after(GIVE_UP));
                self.abort(commands);
            }
        }
    }

    fn leased(&mut self, tasks: Vec<Taken>, commands: &mut Vec<Command>) {
        self.leasing = false;
        if std::mem::take(&mut self.lease_is_stale) {
            self.give_back(tasks.into_iter().map(|task| task.lease).collect(), commands);
            return;
        }
        self.looked_above = true;
        self.may_be_empty = tasks.is_empty();
        for task in tasks {
            if task.started {
                self.active.insert(task.lease, State::Running);
                commands.push(Command::Run(task.lease));
            } else {
                let rank = (HIGHEST.saturating_sub(task.priority), task.run_at, task.lease.0);
                self.held.insert(rank, task.lease);
            }
        }
    }

    fn started(&mut self, asked: Vec<Lease>, counted: &[Lease], commands: &mut Vec<Command>) {
        for lease in asked {
            // One that is not starting any more was lost meanwhile.
            if !self.starting.remove(&lease) {
                continue;
            }
            if counted.contains(&lease) {
                self.active.insert(lease, State::Running);
                commands.push(Command::Run(lease));
            } else {
                // Cancelled while it was held, or lost: the store knows which.
                self.give_back(vec![lease], commands);
            }
        }
    }

    fn give_back(&mut self, leases: Vec<Lease>, commands: &mut Vec<Command>) {
        if !leases.is_empty() {
            self.returning.extend(&leases);
            commands.push(Command::GiveBack(leases));
        }
    }

    fn begin_drain(&mut self, now: Moment) {
        if self.drain_until.is_none() {
            let until = now.after(self.settings.drain_timeout);
            self.drain_until = Some(until);
            self.give_up_at = Some(until.after(GIVE_UP_AFTER_DRAIN));
        }
    }

    /// Leaves what cannot be settled to others: the store gives it to them once we are silent.
    fn give_up(&mut self, now: Moment, commands: &mut Vec<Command>) {
        if self.give_up_at.is_none_or(|at| at > now) {
            return;
        }
        self.give_up_at = None;
        let mut left: BTreeSet<Lease> = std::mem::take(&mut self.active).into_keys().collect();
        left.extend(std::mem::take(&mut self.returning));
        left.extend(std::mem::take(&mut self.starting));
        self.resettle.clear();
        self.abandoned += left.len();
        commands.extend(left.into_iter().map(Command::Forget));
    }

    fn finish(&mut self, commands: &mut Vec<Command>) {
        let idle = self.active.is_empty()
            && self.starting.is_empty()
            && self.held.is_empty()
            && self.returning.is_empty()
            && !self.leasing;
        if self.drain_until.is_some() && idle && !self.exited {
            self.exited = true;
            commands.push(Command::Exit);
        }
    }
}

#[cfg(test)]
mod tests;
