//! What must hold after every step.

use std::collections::{BTreeMap, BTreeSet};

use values::{Span, Timestamp};
use work_loop::{LOST_GRACE, Lease, Moment};

use crate::process::Who;
use crate::releases::{JOBS, releases};
use crate::store::{Asked, Granted, New, State, Stored, Task, Tick};
use crate::world::World;

/// A worker that reached the store at most so long ago is never declared dead.
const REACHED: Span = Span::from_seconds(3);

/// What is remembered to check by; kept apart from what the store keeps.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) violation: Option<String>,
    /// The tasks whose acceptance somebody was told.
    acknowledged: BTreeSet<u64>,
    ticks: BTreeMap<Tick, u32>,
    /// Starts by job and by source since the store's clock was last set.
    starts: BTreeMap<(bool, usize), Vec<Moment>>,
    /// The latest instant the store's clock showed, and the earliest since.
    pub(crate) closing: bool,
}

impl Checks {
    /// Limits per time are by the store's clock; one that is set begins a new window.
    pub(crate) fn clock_was_set(&mut self) {
        self.starts.clear();
    }
}

impl World {
    /// Says what is wrong; the first thing counts.
    pub(crate) fn wrong(&mut self, what: String) {
        self.checks.violation.get_or_insert(what);
    }

    /// Accepted = waiting + running + finished + dead, counted apart from the rows.
    pub(crate) fn check_tally(&mut self) {
        let tally = self.store.tally;
        let live = self.store.tasks.iter().filter(|task| !task.state.is_final()).count() as u64;
        if tally.entered != self.store.tasks.len() as u64
            || tally.entered + tally.revived != live + tally.ended
        {
            self.wrong(format!("the counts do not add up: {live} wait or run, but {tally:?}"));
        }
    }

    pub(crate) fn check_accepted(&mut self, tick: Option<Tick>) {
        let Some(tick) = tick else { return };
        let count = self.checks.ticks.entry(tick.clone()).or_default();
        *count += 1;
        if *count > 1 {
            self.wrong(format!("tick {} {} was enqueued twice", tick.0, tick.1));
        }
    }

    pub(crate) fn check_acknowledged(&mut self, batch: &[New], stored: &[Stored]) {
        for (new, stored) in batch.iter().zip(stored) {
            if matches!(stored, Stored::New | Stored::SameId) {
                self.checks.acknowledged.insert(new.id);
            }
        }
    }

    /// Limits, attempts, holds and order of what was just leased.
    pub(crate) fn check_granted(&mut self, asked: &Asked, granted: &[Granted]) {
        let release = &releases()[asked.release];
        let started: Vec<Lease> =
            granted.iter().filter(|task| task.started).map(|task| task.lease).collect();
        self.check_started(&started);
        for task in granted {
            let stored = self.store.task(task.lease.0);
            let (job, source) = (stored.new.job, stored.new.source);
            if stored.held_by & (1 << asked.release) != 0 {
                self.wrong(format!("task {} was given to a release that held it", task.id));
            }
            let row = release.rows[job].as_ref();
            let rules = release.sources().iter().find(|(at, _)| *at == source);
            let limits = [
                ((false, job), row.map(|row| (row.max_concurrency, row.rate_limit))),
                ((true, source), rules.map(|(_, rules)| (rules.max_concurrency, rules.rate_limit))),
            ];
            for (of, limit) in limits {
                let Some((most, rate)) = limit else { continue };
                let leased = self.store.leased(of);
                if most.is_some_and(|most| leased > most as usize) {
                    self.wrong(format!("{leased} leases of {of:?}, more than {most:?}"));
                }
                let Some(rate) = rate else { continue };
                let now = self.now;
                let starts = self.checks.starts.get(&of).map_or(0, |starts| {
                    starts.iter().filter(|at| now.since(**at) < rate.per()).count()
                });
                if starts > rate.tasks() as usize {
                    self.wrong(format!("{starts} starts of {of:?} within {}", rate.per()));
                }
            }
        }
        self.check_order(asked, granted);
    }

    /// Nothing better was left behind, unless a limit kept it.
    fn check_order(&mut self, asked: &Asked, granted: &[Granted]) {
        let release = &releases()[asked.release];
        let rank = |priority: u8, run_at: Timestamp, row: i64| (2 - priority, run_at, row);
        let Some(worst) = granted.iter().map(|t| rank(t.priority, t.run_at, t.lease.0)).max()
        else {
            return;
        };
        let unlimited = |task: &Task| {
            let row = release.rows[task.new.job].as_ref();
            let rules = release.sources().iter().find(|(at, _)| *at == task.new.source);
            row.is_some_and(|row| row.max_concurrency.is_none() && row.rate_limit.is_none())
                && rules.is_none_or(|(_, rules)| {
                    rules.max_concurrency.is_none() && rules.rate_limit.is_none()
                })
        };
        for row in self.store.ready(asked, release) {
            let task = self.store.task(row);
            if unlimited(task) && rank(task.new.priority, task.run_at, row) < worst {
                let text = format!("task {} was passed over for a worse one", task.new.id);
                self.wrong(text);
            }
        }
    }

    /// Attempts stay within their limit; starts are remembered for the rates.
    pub(crate) fn check_started(&mut self, leases: &[Lease]) {
        for lease in leases {
            let task = self.store.task(lease.0);
            let (job, source) = (task.new.job, task.new.source);
            if task.attempt > task.max_attempts {
                let (id, attempt, most) = (task.new.id, task.attempt, task.max_attempts);
                self.wrong(format!("task {id} begins attempt {attempt} of {most}"));
            }
            for of in [(false, job), (true, source)] {
                self.checks.starts.entry(of).or_default().push(self.now);
            }
        }
    }

    /// Of what a worker holds, the best is started first.
    pub(crate) fn check_start_order(&mut self, who: Who, leases: &[Lease]) {
        let process = &self.processes[who.process];
        let rank = |lease: &Lease| {
            process.known.get(lease).map(|known| {
                let task = known.granted;
                (2 - task.priority, task.run_at, lease.0)
            })
        };
        let worst = leases.iter().filter_map(rank).max();
        let waits = |lease: &&Lease| {
            process
                .known
                .get(lease)
                .is_some_and(|known| !known.granted.started && !known.begun && !known.abandoned)
        };
        let left = process.known.keys().filter(waits).filter(|lease| !leases.contains(lease));
        let best = left.filter_map(rank).min();
        if let (Some(worst), Some(best)) = (worst, best)
            && best < worst
        {
            let what =
                format!("process {} starts {worst:?} although it holds {best:?}", who.process);
            self.wrong(what);
        }
    }

    /// A settlement was taken: it must be the one of the lease the task had.
    pub(crate) fn check_settled(&mut self, lease: Lease, before: &Task) {
        if before.state != State::Running || before.token != lease.1 {
            let (id, token) = (before.new.id, before.token);
            self.wrong(format!(
                "a settlement of task {id} under lease {} was taken after lease {token} began",
                lease.1
            ));
        }
        let task = self.store.task(lease.0);
        if task.writes > task.completions {
            let (id, writes) = (task.new.id, task.writes);
            self.wrong(format!("task {id} wrote {writes} times, more often than it completed"));
        }
    }

    /// No worker that reaches the store is declared dead.
    pub(crate) fn check_rescued(&mut self, workers: &[i64]) {
        for number in workers {
            let found = self.processes.iter().position(|process| {
                process.up
                    && process.number == *number
                    && self.now.since(process.reached) <= REACHED
            });
            if let Some(process) = found {
                let ago = self.now.since(self.processes[process].reached);
                self.wrong(format!(
                    "process {process} (worker {number}) is declared dead, {ago} after it reached the store"
                ));
            }
        }
    }

    /// No other attempt of the task runs, except in a process that is or just was stopped.
    pub(crate) fn check_run(&mut self, who: Who, lease: Lease) {
        let now = self.now;
        let Some(known) = self.processes[who.process].known.get(&lease) else { return };
        let (attempt, granted) = (known.attempt(), known.granted);
        if attempt > granted.max_attempts {
            self.wrong(format!("task {} runs attempt {attempt}", granted.id));
        }
        let twice = self.processes.iter().position(|process| {
            let awake = process.up
                && (process.paused_until == Moment::default()
                    || (process.paused_until < now
                        && now.since(process.paused_until) > LOST_GRACE));
            awake
                && process.known.iter().any(|(other, known)| {
                    other.0 == lease.0 && *other != lease && known.running && !known.abandoned
                })
        });
        if let Some(process) = twice {
            self.wrong(format!(
                "task {} begins in process {} while process {process} still runs it",
                granted.id, who.process
            ));
        }
    }

    /// What must hold once everything has ended: nothing accepted is missing, every tick was
    /// enqueued, every effect of a completed task happened once.
    pub(crate) fn check_end(&mut self) {
        for id in self.checks.acknowledged.clone() {
            if self.store.by_id(id).is_none() {
                self.wrong(format!("task {id} was acknowledged and is gone"));
            }
        }
        for task in self.store.tasks.clone() {
            let id = task.new.id;
            if task.state == State::Running {
                self.wrong(format!("task {id} of {} is still leased", JOBS[task.new.job]));
            }
            for key in crate::script::effects(self.seed, id) {
                let happened = self.outside.get(&key).copied().unwrap_or(0);
                if happened > 1 || (task.completions > 0 && happened == 0) {
                    let state = task.state;
                    self.wrong(format!(
                        "effect {key} of task {id} ({state:?}) happened {happened} times"
                    ));
                }
            }
        }
        for process in 0..self.processes.len() {
            if self.processes[process].up {
                self.wrong(format!("process {process} was told to drain and does not end"));
            }
        }
    }
}
