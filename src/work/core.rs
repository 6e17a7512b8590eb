//! The decisions of the work loop, as a step function: events in, commands out.
//!
//! Nothing here waits, reads a clock or draws a random number: time comes with the events and
//! chance with the configuration of a step, so a simulation can run it under a seed. The shell
//! around it does the I/O.

use std::collections::{BTreeMap, BTreeSet};

use values::{Span, Timestamp};

/// One lease: the row and its fencing token.
pub type Lease = (i64, i64);

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

/// What holds for the whole run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Attempts at once.
    pub concurrency: usize,
    /// Tasks held ready beyond those that run.
    pub prefetch: usize,
    /// How long running attempts may take to end after a drain began.
    pub drain_timeout: Span,
    /// End when nothing is left that could run now.
    pub until_empty: bool,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The store answered a lease request.
    Leased(Vec<Taken>),
    /// The store did not answer a lease request.
    LeaseFailed,
    /// The store counted attempts for these held tasks; the others are no longer ours.
    Started(Vec<Lease>),
    /// The store did not answer a start; the leases still hold.
    StartFailed(Vec<Lease>),
    /// An attempt ended.
    Ended(Lease),
    /// The store took these settlements, or refused them because the lease was lost.
    Settled(Vec<Lease>),
    /// The store did not answer; the settlements are to be tried again.
    SettleFailed(Vec<Lease>),
    /// An operator asked to cancel these rows.
    CancelAsked(Vec<i64>),
    /// The worker was declared dead, or could not reach the store for too long.
    LeasesLost,
    /// The worker is registered again.
    Registered,
    /// Whether anything is left that could run now.
    Emptiness(bool),
    /// Stop taking tasks, end what runs.
    Drain,
    /// Stop at once, give everything back.
    Abort,
}

/// A leased task, as far as decisions need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its lease.
    pub lease: Lease,
    /// Whether its attempt is counted already.
    pub started: bool,
    /// Its priority.
    pub priority: u8,
    /// Since when it could have run.
    pub run_at: Timestamp,
}

/// Why a running attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// An operator cancelled the task.
    Cancelled,
    /// The worker ends; the task goes back.
    Draining,
    /// The lease belongs to others; nothing may be settled.
    LeaseLost,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the store for tasks; exactly one such request is under way at a time.
    Lease {
        /// Tasks to start at once.
        start: usize,
        /// Tasks to hold.
        hold: usize,
        /// Only above this priority.
        above: Option<u8>,
        /// How long to wait for a first one.
        wait: Span,
    },
    /// Count an attempt for held tasks.
    Start(Vec<Lease>),
    /// Run an attempt.
    Run(Lease),
    /// Settle an ended attempt.
    Settle(Vec<Lease>),
    /// Give held tasks back uncounted.
    GiveBack(Vec<Lease>),
    /// Stop a running attempt.
    Stop(Lease, Stop),
    /// Forget a lease without telling the store.
    Forget(Lease),
    /// Register as a new worker.
    Register,
    /// Find out whether anything is left that could run now.
    CheckEmpty,
    /// Everything is settled or given back; end.
    Exit,
}

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
    /// A lease for higher priorities has been answered since the last start of held tasks.
    looked_above: bool,
    lease_not_before: Option<Timestamp>,
    resettle: BTreeSet<Lease>,
    resettle_at: Option<Timestamp>,
    drain_until: Option<Timestamp>,
    /// When leases that cannot be settled are left to others.
    give_up_at: Option<Timestamp>,
    abandoned: usize,
    registering: bool,
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
            looked_above: false,
            lease_not_before: None,
            resettle: BTreeSet::new(),
            resettle_at: None,
            drain_until: None,
            give_up_at: None,
            abandoned: 0,
            registering: false,
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
    pub fn wake_at(&self) -> Option<Timestamp> {
        let running = self.active.values().any(|state| *state == State::Running);
        let drain_until = self.drain_until.filter(|_| running);
        [self.lease_not_before, self.resettle_at, drain_until, self.give_up_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes events and says what to do.
    pub fn step(&mut self, now: Timestamp, events: Vec<Event>) -> Vec<Command> {
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
        now: Timestamp,
        event: Event,
        settle: &mut Vec<Lease>,
        commands: &mut Vec<Command>,
    ) {
        match event {
            Event::Tick => {}
            Event::Leased(tasks) => self.leased(tasks, commands),
            Event::LeaseFailed => {
                self.leasing = false;
                self.lease_not_before = Some(now.after(STORE_PAUSE));
            }
            Event::Started(leases) => {
                for lease in std::mem::take(&mut self.starting) {
                    if leases.contains(&lease) {
                        self.active.insert(lease, State::Running);
                        commands.push(Command::Run(lease));
                    } else {
                        // Cancelled while it was held, or lost: the store knows which.
                        self.give_back(vec![lease], commands);
                    }
                }
            }
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
            Event::Registered => self.registering = false,
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

    fn give_back(&mut self, leases: Vec<Lease>, commands: &mut Vec<Command>) {
        if !leases.is_empty() {
            self.returning.extend(&leases);
            commands.push(Command::GiveBack(leases));
        }
    }

    /// Stops what runs of these rows; what is only held ends as cancelled when it is given back.
    fn cancel(&mut self, rows: &[i64], commands: &mut Vec<Command>) {
        for (lease, state) in &mut self.active {
            if rows.contains(&lease.0) && *state == State::Running {
                *state = State::Stopping;
                commands.push(Command::Stop(*lease, Stop::Cancelled));
            }
        }
        let held: Vec<Lease> =
            self.held.values().copied().filter(|lease| rows.contains(&lease.0)).collect();
        self.held.retain(|_, lease| !held.contains(lease));
        self.give_back(held, commands);
    }

    /// Gives back what runs without waiting for it; what it still does is not settled.
    fn abort(&mut self, commands: &mut Vec<Command>) {
        let mut running = Vec::new();
        for (lease, state) in &mut self.active {
            if matches!(state, State::Running | State::Stopping) {
                *state = State::Settling;
                running.push(*lease);
            }
        }
        for lease in &running {
            commands.push(Command::Stop(*lease, Stop::Draining));
        }
        self.give_back(running, commands);
    }

    /// Everything leased belongs to others now.
    fn lose(&mut self, commands: &mut Vec<Command>) {
        for (lease, state) in &mut self.active {
            match state {
                State::Running | State::Stopping => {
                    *state = State::Lost;
                    commands.push(Command::Stop(*lease, Stop::LeaseLost));
                }
                State::Settling | State::Lost => {}
            }
        }
        // The store refuses what is late by itself; it is not tried again.
        let settling =
            |(lease, state): (&Lease, &State)| (*state == State::Settling).then_some(*lease);
        for lease in self.active.iter().filter_map(settling).collect::<Vec<_>>() {
            self.active.remove(&lease);
            commands.push(Command::Forget(lease));
        }
        self.resettle.clear();
        self.returning.clear();
        let gone = std::mem::take(&mut self.held).into_values();
        commands.extend(gone.chain(std::mem::take(&mut self.starting)).map(Command::Forget));
        if !self.registering {
            self.registering = true;
            commands.push(Command::Register);
        }
    }

    fn begin_drain(&mut self, now: Timestamp) {
        if self.drain_until.is_none() {
            let until = now.after(self.settings.drain_timeout);
            self.drain_until = Some(until);
            self.give_up_at = Some(until.after(GIVE_UP_AFTER_DRAIN));
        }
    }

    /// Leaves what cannot be settled to others: the store gives it to them once we are silent.
    fn give_up(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
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

    /// Gives held tasks back and stops what runs for too long, once draining.
    fn drain(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let Some(until) = self.drain_until else { return };
        let held = std::mem::take(&mut self.held).into_values().collect();
        self.give_back(held, commands);
        if until <= now {
            for (lease, state) in &mut self.active {
                if *state == State::Running {
                    *state = State::Stopping;
                    commands.push(Command::Stop(*lease, Stop::Draining));
                }
            }
        }
    }

    /// Fills free slots: first with tasks above the held ones, then with the best held ones.
    fn fill(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if self.drain_until.is_some() || self.leasing || self.registering {
            return;
        }
        if self.lease_not_before.is_some_and(|at| at > now) {
            return;
        }
        self.lease_not_before = None;
        let busy = self.running() + self.starting.len();
        let free = self.settings.concurrency.saturating_sub(busy);
        if free == 0 {
            return;
        }
        let best = self.held.first_key_value().map(|((rank, _, _), _)| HIGHEST - rank);
        match best {
            None => {
                let idle = self.active.is_empty() && self.starting.is_empty();
                if self.settings.until_empty && self.may_be_empty && idle {
                    self.check_empty(commands);
                    return;
                }
                let wait = match (self.settings.until_empty, idle) {
                    (false, _) => LEASE_WAIT,
                    (true, true) => Span::ZERO,
                    (true, false) => SHORT_WAIT,
                };
                self.leasing = true;
                let hold = self.settings.prefetch;
                commands.push(Command::Lease { start: free, hold, above: None, wait });
            }
            Some(best) if best < HIGHEST && !self.looked_above => {
                self.leasing = true;
                let (above, wait) = (Some(best), Span::ZERO);
                commands.push(Command::Lease { start: free, hold: 0, above, wait });
            }
            Some(_) => {
                self.looked_above = false;
                let mut leases = Vec::new();
                while leases.len() < free {
                    let Some((_, lease)) = self.held.pop_first() else { break };
                    leases.push(lease);
                }
                self.starting.extend(&leases);
                commands.push(Command::Start(leases));
            }
        }
    }

    fn check_empty(&mut self, commands: &mut Vec<Command>) {
        if !self.checking {
            self.checking = true;
            self.may_be_empty = false;
            commands.push(Command::CheckEmpty);
        }
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
