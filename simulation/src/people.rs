//! Who asks for work, and who looks after it.

use values::Span;
use work_loop::CALL_LIMIT;

use crate::history::Mark;
use crate::network::{Answer, Request};
use crate::process::Who;
use crate::releases::{JOBS, releases};
use crate::store::{New, State};
use crate::world::{Event, World};

/// The longest pause between two requests for work, in milliseconds.
const PRODUCE_EVERY_MS: usize = 1_500;
/// The longest pause between two acts of operators, in milliseconds.
const OPERATE_EVERY_MS: usize = 5_000;
/// How many unique keys there are.
const KEYS: usize = 5;

impl World {
    /// A task with an id of its own.
    pub(crate) fn new_task(&mut self, job: usize, source: usize) -> New {
        let id = self.next_id;
        self.next_id += 1;
        let row = releases().iter().find_map(|release| release.rows[job].as_ref());
        New {
            id,
            job,
            source,
            priority: row.map_or(0, |row| row.priority),
            run_at: None,
            max_attempts: row.map_or(1, |row| row.max_attempts),
            key: None,
            tick: None,
            newer: false,
            forged: false,
            depth: 0,
        }
    }

    /// Somebody asks for tasks.
    pub(crate) fn produce(&mut self) {
        if self.quiet {
            return;
        }
        let after = self.random.millis(20, PRODUCE_EVERY_MS);
        self.at(after, Event::Produce);
        let batch = (0..=self.random.below(3))
            .map(|_| {
                let (job, source) = (self.random.below(JOBS.len()), self.random.below(2));
                let mut new = self.new_task(job, source);
                new.priority = new.priority.max([0, 0, 1, 2][self.random.below(4)]);
                new.key = self.random.chance(150).then(|| self.random.below(KEYS));
                new.newer = job == 3 && self.random.chance(400);
                new.forged = self.random.chance(20);
                if self.random.chance(200) {
                    let later = self.random.millis(100, 5_000);
                    new.run_at = Some(self.wall().after(later));
                }
                new
            })
            .collect();
        self.ask_for(batch);
    }

    /// Asks until the store has answered.
    pub(crate) fn ask_for(&mut self, batch: Vec<New>) {
        self.send(Who::CLIENT, Request::Enqueue(batch), CALL_LIMIT);
    }

    /// Takes the store's answer to a request for tasks.
    pub(crate) fn client_hears(&mut self, batch: Vec<New>, answer: Option<Answer>) {
        match answer {
            Some(Answer::Stored(stored)) => self.check_acknowledged(&batch, &stored),
            _ => self.at(Span::from_millis(300), Event::Resend(batch)),
        }
    }

    /// An operator does something.
    pub(crate) fn operate(&mut self) {
        if self.quiet {
            return;
        }
        let after = self.random.millis(100, OPERATE_EVERY_MS);
        self.at(after, Event::Operator);
        if self.hangs_until > self.now || self.store.tasks.is_empty() {
            return;
        }
        let row = i64::try_from(1 + self.random.below(self.store.tasks.len())).unwrap_or(1);
        let now = self.wall();
        let about = move || format!("row {row}");
        match self.random.below(6) {
            0 | 1 if self.store.cancel(row) => self.tell(Mark::OperatorCancel, [row, 0], about),
            2 if self.store.task(row).state != State::Completed && self.store.retry(row, now) => {
                self.tell(Mark::OperatorRetry, [row, 0], about);
            }
            3 if self.random.chance(300) && self.store.discard(row) => {
                self.tell(Mark::OperatorDiscard, [row, 0], about);
            }
            4 => {
                let job = self.random.below(JOBS.len());
                self.store.paused = vec![job];
                self.tell(Mark::JobPaused, [job.cast_signed() as i64, 0], || JOBS[job].to_owned());
            }
            5 => {
                self.store.paused.clear();
                self.store.woken = true;
                self.tell(Mark::JobResumed, [0, 0], || "every job".to_owned());
            }
            _ => {}
        }
    }
}
