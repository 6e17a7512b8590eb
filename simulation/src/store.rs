//! One task store in memory: what every engine promises, and nothing it does not promise.
//!
//! Each method is one transaction: it happens completely or not at all. What can go wrong around
//! it is the network's business.

mod lease;
mod operate;
mod settle;
mod workers;

use std::collections::BTreeMap;

use values::{Rate, Timestamp};
use work_loop::Lease;

pub(crate) use lease::{Asked, Granted};
pub(crate) use settle::{Settle, Settled};

use crate::plan::Plan;

/// A task as it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) id: u64,
    pub(crate) job: usize,
    pub(crate) source: usize,
    pub(crate) priority: u8,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) max_attempts: u32,
    pub(crate) key: Option<usize>,
    pub(crate) tick: Option<Tick>,
    /// Its payload has a field that only newer releases know.
    pub(crate) newer: bool,
    /// It was put into the store past the door, without a proof.
    pub(crate) forged: bool,
    /// How many tasks asked for one another before it.
    pub(crate) depth: u8,
}

/// A tick: the schedule's name and the nominal time.
pub(crate) type Tick = (String, Timestamp);

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Scheduled,
    Available,
    Held,
    Running,
    Completed,
    Discarded,
    Cancelled,
}

impl State {
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Discarded | Self::Cancelled)
    }
}

/// A task as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) new: New,
    pub(crate) state: State,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) worker: i64,
    pub(crate) token: i64,
    /// The lease request that brought it.
    pub(crate) request: u64,
    pub(crate) started: bool,
    pub(crate) cancel: bool,
    /// The releases that held it, as bits.
    pub(crate) held_by: u32,
    pub(crate) held_since: Option<Timestamp>,
    /// How often its final write was stored.
    pub(crate) writes: u32,
    /// How often it completed.
    pub(crate) completions: u32,
}

/// A worker as the store knows it.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) beat: i64,
    pub(crate) dead: bool,
    /// The latest lease request that was served or undone.
    pub(crate) request: u64,
}

/// How many tasks came and went, counted apart from the rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) entered: u64,
    pub(crate) ended: u64,
    pub(crate) revived: u64,
}

/// What an effect's row in the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Doing,
    Done,
}

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    plan: Plan,
    /// By row; rows count from 1.
    pub(crate) tasks: Vec<Task>,
    rows: BTreeMap<u64, i64>,
    keys: BTreeMap<usize, i64>,
    /// The id of the task of each tick.
    pub(crate) ticks: BTreeMap<Tick, u64>,
    /// Since when a schedule is known.
    pub(crate) begun: BTreeMap<String, Timestamp>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) paused: Vec<usize>,
    /// Starts by job and by source, oldest first.
    starts: BTreeMap<(bool, usize), Vec<Timestamp>>,
    pub(crate) tally: Tally,
    pub(crate) ledger: BTreeMap<u64, Effect>,
    token: i64,
    /// Something may be ready for a worker that waits.
    pub(crate) woken: bool,
}

/// What became of a task that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    New,
    SameId,
    SameKey,
    SameTick,
}

impl Store {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, ..Self::default() }
    }

    pub(crate) fn task(&self, row: i64) -> &Task {
        &self.tasks[index(row)]
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<&Task> {
        self.rows.get(&id).map(|row| self.task(*row))
    }

    /// Stores a task, or finds the one that stands for it already.
    pub(crate) fn enqueue(&mut self, now: Timestamp, new: New) -> Stored {
        if let Some(tick) = &new.tick {
            if self.ticks.contains_key(tick) {
                return Stored::SameTick;
            }
            if !self.plan.plants(crate::Plant::TickWithoutRow) {
                self.ticks.insert(tick.clone(), new.id);
            }
        }
        if new.key.is_some_and(|key| self.keys.contains_key(&key)) {
            return Stored::SameKey;
        }
        if self.rows.contains_key(&new.id) {
            return Stored::SameId;
        }
        let row = i64::try_from(self.tasks.len() + 1).expect("few tasks");
        self.rows.insert(new.id, row);
        if let Some(key) = new.key {
            self.keys.insert(key, row);
        }
        let later = new.run_at.filter(|at| *at > now);
        self.tally.entered += 1;
        self.woken = true;
        self.tasks.push(Task {
            state: if later.is_some() { State::Scheduled } else { State::Available },
            run_at: later.unwrap_or(now),
            attempt: 0,
            max_attempts: new.max_attempts,
            worker: 0,
            token: 0,
            request: 0,
            started: false,
            cancel: false,
            held_by: 0,
            held_since: None,
            writes: 0,
            completions: 0,
            new,
        });
        Stored::New
    }

    /// The latest tick of a schedule; the first call says when it begins.
    pub(crate) fn last_tick(&mut self, schedule: &str, now: Timestamp) -> Timestamp {
        let begun = *self.begun.entry(schedule.to_owned()).or_insert(now);
        let ticks = self.ticks.keys().filter(|(name, _)| name == schedule);
        ticks.map(|(_, at)| *at).max().map_or(begun, |at| at.max(begun))
    }

    /// Makes due tasks available.
    fn promote(&mut self, now: Timestamp) {
        for task in &mut self.tasks {
            if task.state == State::Scheduled && task.run_at <= now {
                task.state = State::Available;
            }
        }
    }

    /// Ends a task and frees its key.
    fn finish(&mut self, row: i64, state: State) {
        let task = &mut self.tasks[index(row)];
        task.state = state;
        task.started = false;
        task.worker = 0;
        task.token = 0;
        task.cancel = false;
        task.completions += u32::from(state == State::Completed);
        if let Some(key) = task.new.key
            && self.keys.get(&key) == Some(&row)
        {
            self.keys.remove(&key);
        }
        self.tally.ended += 1;
        self.woken = true;
    }

    /// Ends a lease: the task waits for the next one.
    ///
    /// One that was cancelled meanwhile ends. One that comes back always has an attempt left:
    /// only the death of its worker, or its own failure, uses the last one up.
    fn put_back(&mut self, row: i64, uncount: bool) {
        let task = &mut self.tasks[index(row)];
        if task.cancel {
            return self.finish(row, State::Cancelled);
        }
        task.attempt -= u32::from(uncount && task.started);
        task.attempt = task.attempt.min(task.max_attempts - 1);
        task.state = State::Available;
        task.started = false;
        task.worker = 0;
        task.token = 0;
        self.woken = true;
    }

    fn is_leased(&self, lease: Lease) -> bool {
        let task = self.task(lease.0);
        task.state == State::Running && task.token == lease.1
    }

    /// Starts of the window that ends now.
    fn started_within(&mut self, of: (bool, usize), rate: Rate, now: Timestamp) -> usize {
        let starts = self.starts.entry(of).or_default();
        // A clock that was set back must not block for longer than a window.
        for start in starts.iter_mut() {
            *start = now.min(*start);
        }
        starts.iter().filter(|start| now.since(**start) < rate.per()).count()
    }
}

/// The position of a row.
pub(crate) fn index(row: i64) -> usize {
    usize::try_from(row - 1).expect("rows count from 1")
}
