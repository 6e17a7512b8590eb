//! Leasing: the best tasks first, within every limit.

use values::{Rate, Timestamp};
use work_loop::Lease;

use super::{State, Store, index};
use crate::releases::Release;

/// Above every priority.
const HIGHEST: u8 = 2;

/// A request for tasks.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) worker: i64,
    /// Counted by the worker process, so that a request whose answer was lost can be undone.
    pub(crate) request: u64,
    pub(crate) release: usize,
    pub(crate) start: usize,
    pub(crate) hold: usize,
    pub(crate) above: Option<u8>,
}

/// A leased task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Granted {
    pub(crate) lease: Lease,
    pub(crate) id: u64,
    pub(crate) started: bool,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) priority: u8,
    pub(crate) run_at: Timestamp,
}

/// What is left of a limit.
struct Room {
    /// Of a source, or of a job.
    is_source: bool,
    of: usize,
    leases: usize,
    starts: usize,
    has_rate: bool,
}

impl Store {
    /// Leases tasks. Undoes the worker's earlier requests whose answers it never got, and refuses
    /// requests that arrive after a later one.
    pub(crate) fn lease(
        &mut self,
        now: Timestamp,
        asked: &Asked,
        release: &Release,
    ) -> Vec<Granted> {
        let worker = &self.workers[index(asked.worker)];
        if worker.dead || asked.request < worker.request {
            return Vec::new();
        }
        self.promote(now);
        let mut rooms = self.rooms(now, release);
        let mut granted = Vec::new();
        for row in self.ready(asked, release) {
            let started = granted.len() < asked.start;
            if granted.len() == asked.start + asked.hold {
                break;
            }
            let new = &self.task(row).new;
            let (job, source) = (new.job, new.source);
            let concerns = |room: &&mut Room| room.of == if room.is_source { source } else { job };
            let mut mine: Vec<&mut Room> = rooms.iter_mut().filter(concerns).collect();
            let full = |room: &&mut Room| {
                room.leases == 0 || room.starts == 0 || (room.has_rate && !started)
            };
            if mine.iter().any(full) {
                continue;
            }
            for room in &mut mine {
                room.leases -= 1;
                room.starts -= usize::from(room.has_rate);
            }
            granted.push(self.grant(now, row, asked, started));
        }
        granted
    }

    /// Undoes what was leased by earlier requests of a worker whose answers it did not get;
    /// returns the rows.
    pub(crate) fn undo(&mut self, asked: &Asked, unanswered: &[u64]) -> Vec<i64> {
        let worker = &mut self.workers[index(asked.worker)];
        worker.request = worker.request.max(asked.request);
        let lost: Vec<i64> = (1_i64..)
            .zip(&self.tasks)
            .filter(|(_, task)| task.state == State::Running && task.worker == asked.worker)
            .filter(|(_, task)| unanswered.contains(&task.request))
            .map(|(row, _)| row)
            .collect();
        for row in &lost {
            self.put_back(*row, true);
        }
        lost
    }

    /// The rows this worker may have, best first.
    pub(crate) fn ready(&self, asked: &Asked, release: &Release) -> Vec<i64> {
        let mut ready: Vec<(u8, Timestamp, i64)> = (1_i64..)
            .zip(&self.tasks)
            .filter(|(_, task)| task.state == State::Available)
            .filter(|(_, task)| release.knows(task.new.job))
            .filter(|(_, task)| !self.paused.contains(&task.new.job))
            .filter(|(_, task)| task.held_by & (1 << asked.release) == 0)
            .filter(|(_, task)| asked.above.is_none_or(|above| task.new.priority > above))
            .map(|(row, task)| (HIGHEST - task.new.priority, task.run_at, row))
            .collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, _, row)| row).collect()
    }

    fn rooms(&mut self, now: Timestamp, release: &Release) -> Vec<Room> {
        let mut rooms = Vec::new();
        for (job, row) in release.rows.iter().enumerate() {
            if let Some(row) = row {
                self.add_room(&mut rooms, now, (false, job), row.max_concurrency, row.rate_limit);
            }
        }
        for (source, rules) in release.sources() {
            let source = *source;
            let (most, rate) = (rules.max_concurrency, rules.rate_limit);
            self.add_room(&mut rooms, now, (true, source), most, rate);
        }
        rooms
    }

    fn add_room(
        &mut self,
        rooms: &mut Vec<Room>,
        now: Timestamp,
        of: (bool, usize),
        most: Option<u32>,
        rate: Option<Rate>,
    ) {
        if most.is_none() && rate.is_none() {
            return;
        }
        let left = |most: u32, used: usize| usize::try_from(most).unwrap_or(0).saturating_sub(used);
        let leases = most.map_or(usize::MAX, |most| left(most, self.leased(of)));
        let starts =
            rate.map_or(usize::MAX, |rate| left(rate.tasks(), self.started_within(of, rate, now)));
        rooms.push(Room { is_source: of.0, of: of.1, leases, starts, has_rate: rate.is_some() });
    }

    /// How many leases there are of a source (`true`) or a job (`false`).
    pub(crate) fn leased(&self, of: (bool, usize)) -> usize {
        let running = self.tasks.iter().filter(|task| task.state == State::Running);
        running.filter(|task| of.1 == if of.0 { task.new.source } else { task.new.job }).count()
    }

    fn grant(&mut self, now: Timestamp, row: i64, asked: &Asked, started: bool) -> Granted {
        self.token += 1;
        let token = self.token;
        let task = &mut self.tasks[index(row)];
        task.state = State::Running;
        task.worker = asked.worker;
        task.token = token;
        task.request = asked.request;
        task.started = started;
        task.attempt += u32::from(started);
        let granted = Granted {
            lease: (row, token),
            id: task.new.id,
            started,
            attempt: task.attempt,
            max_attempts: task.max_attempts,
            priority: task.new.priority,
            run_at: task.run_at,
        };
        if started {
            self.count_start(now, row);
        }
        granted
    }

    fn count_start(&mut self, now: Timestamp, row: i64) {
        let new = &self.tasks[index(row)].new;
        for of in [(false, new.job), (true, new.source)] {
            self.starts.entry(of).or_default().push(now);
        }
    }

    /// Counts an attempt for held tasks; returns those that are still the worker's.
    pub(crate) fn start(&mut self, now: Timestamp, worker: i64, leases: &[Lease]) -> Vec<Lease> {
        let mut counted = Vec::new();
        for lease in leases {
            let task = &mut self.tasks[index(lease.0)];
            let ours = task.state == State::Running && task.token == lease.1;
            if ours && task.worker == worker && !task.started && !task.cancel {
                task.started = true;
                task.attempt += 1;
                counted.push(*lease);
                self.count_start(now, lease.0);
            }
        }
        counted
    }
}
