//! Workers: registered, heard from, and declared dead.

use super::{State, Store, Worker, index};

/// What a rescue did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rescued {
    /// Workers declared dead.
    pub(crate) workers: Vec<i64>,
    /// Rows that run again, or were cancelled.
    pub(crate) returned: Vec<i64>,
    /// Rows out of attempts.
    pub(crate) discarded: Vec<i64>,
}

impl Store {
    pub(crate) fn register(&mut self) -> i64 {
        self.workers.push(Worker { beat: 0, dead: false, request: 0 });
        i64::try_from(self.workers.len()).expect("few workers")
    }

    /// Raises a worker's counter; whether it is dead, and its rows that are to be cancelled.
    pub(crate) fn heartbeat(&mut self, number: i64) -> (bool, Vec<i64>) {
        let worker = &mut self.workers[index(number)];
        worker.beat += i64::from(!worker.dead);
        let dead = worker.dead;
        let cancel = self.held_by_worker(number).filter(|row| self.task(*row).cancel).collect();
        (dead, cancel)
    }

    fn held_by_worker(&self, number: i64) -> impl Iterator<Item = i64> + '_ {
        let rows = (1_i64..).zip(&self.tasks);
        rows.filter(move |(_, task)| task.state == State::Running && task.worker == number)
            .map(|(row, _)| row)
    }

    pub(crate) fn sign_off(&mut self, number: i64) -> Vec<i64> {
        self.workers[index(number)].dead = true;
        let rows: Vec<i64> = self.held_by_worker(number).collect();
        for row in &rows {
            self.put_back(*row, false);
        }
        rows
    }

    /// The counters of all workers that are not dead.
    pub(crate) fn beats(&self) -> Vec<(i64, i64)> {
        let alive = (1_i64..).zip(&self.workers).filter(|(_, worker)| !worker.dead);
        alive.map(|(number, worker)| (number, worker.beat)).collect()
    }

    /// Declares workers dead if their counter is still the one given, and returns their tasks.
    pub(crate) fn rescue(&mut self, silent: &[(i64, i64)]) -> Rescued {
        let mut rescued = Rescued::default();
        for (number, beat) in silent {
            let worker = &mut self.workers[index(*number)];
            if worker.dead || worker.beat != *beat {
                continue;
            }
            worker.dead = true;
            rescued.workers.push(*number);
            let rows: Vec<i64> = self.held_by_worker(*number).collect();
            for row in rows {
                let task = self.task(row);
                if !task.cancel && task.started && task.attempt >= task.max_attempts {
                    self.finish(row, State::Discarded);
                    rescued.discarded.push(row);
                } else {
                    self.put_back(row, false);
                    rescued.returned.push(row);
                }
            }
        }
        rescued
    }
}
