//! What calls do at the store and at the world outside, each at one instant.

use work_loop::Lease;

use crate::history::Mark;
use crate::network::{Answer, Request, Step};
use crate::process::Who;
use crate::releases::releases;
use crate::store::{Asked, Effect, Granted, New, Settle, Settled, Stored};
use crate::world::World;

impl World {
    /// Executes a call; `None` for a lease request that waits.
    pub(crate) fn execute(&mut self, who: Who, request: Request) -> Option<Answer> {
        let now = self.wall();
        Some(match request {
            Request::Enqueue(batch) => {
                Answer::Stored(batch.into_iter().map(|new| self.accept(new)).collect())
            }
            Request::Tick(_, new) => Answer::Stored(vec![self.accept(new)]),
            Request::Lease { asked, unanswered, until } => {
                for row in self.store.undo(&asked, &unanswered) {
                    self.tell(Mark::Undone, [row, 0], || format!("row {row} of a lost answer"));
                }
                let granted = self.lease_now(&asked);
                if granted.is_empty() && until > self.now {
                    return None;
                }
                Answer::Leased(granted)
            }
            Request::Start(worker, leases) => {
                let counted = self.store.start(now, worker, &leases);
                self.check_started(&counted);
                Answer::Started(counted)
            }
            Request::Settle(batch) => Answer::Settled(
                batch.into_iter().map(|(lease, settle)| self.settle_now(lease, settle)).collect(),
            ),
            Request::Register => Answer::Registered(self.store.register()),
            Request::Beat(number) => {
                let (dead, cancel) = self.store.heartbeat(number);
                if !dead && self.processes[who.process].number == number {
                    self.processes[who.process].reached = self.now;
                }
                Answer::Beat { dead, cancel }
            }
            Request::Look => Answer::Beats(self.store.beats()),
            Request::Rescue(silent) => {
                self.rescue_now(&silent);
                Answer::Done
            }
            Request::SignOff(number) => {
                for row in self.store.sign_off(number) {
                    self.tell(Mark::SignedOff, [row, number], || {
                        format!("row {row}: worker {number} signed off")
                    });
                }
                Answer::Done
            }
            Request::Review => {
                let release = self.processes[who.process].release;
                let limit = now.before(releases()[release].manifest.worker.hold_limit);
                let over = self.store.review_held(release, limit);
                Answer::Over(over)
            }
            Request::DiscardHeld(rows) => {
                for row in self.store.discard_held(rows) {
                    self.tell(Mark::HeldTooLong, [row, 0], || format!("row {row}"));
                }
                Answer::Done
            }
            Request::LastTick(schedule) => {
                let name =
                    &releases()[self.processes[who.process].release].schedules[schedule].name;
                Answer::LastTick(self.store.last_tick(name, now))
            }
            Request::Effect(_, _, step, key) => Answer::Effect(self.effect(step, key)),
        })
    }

    /// Stores a task that somebody asks for.
    pub(crate) fn accept(&mut self, new: New) -> Stored {
        let (id, job, tick) = (new.id, new.job, new.tick.clone());
        let stored = self.store.enqueue(self.wall(), new);
        let mark = match stored {
            Stored::New => Mark::Accepted,
            Stored::SameId => Mark::AcceptedAlready,
            Stored::SameKey => Mark::KeyTaken,
            Stored::SameTick => Mark::TickKnown,
        };
        self.tell(mark, [id.cast_signed(), job.cast_signed() as i64], || {
            format!("task {id} of {} {tick:?}", crate::releases::JOBS[job])
        });
        if stored == Stored::New {
            self.check_accepted(tick);
        }
        stored
    }

    /// Leases for a request, and checks what it got.
    pub(crate) fn lease_now(&mut self, asked: &Asked) -> Vec<Granted> {
        let now = self.wall();
        let release = &releases()[asked.release];
        let granted = self.store.lease(now, asked, release);
        for task in &granted {
            let mark = if task.started { Mark::Leased } else { Mark::Held };
            let (id, lease, attempt) = (task.id, task.lease, task.attempt);
            self.tell(mark, [lease.0, lease.1], || {
                format!("task {id} as {lease:?} by worker {}, attempt {attempt}", asked.worker)
            });
        }
        self.check_granted(asked, &granted);
        granted
    }

    fn settle_now(&mut self, lease: Lease, settle: Settle) -> Settled {
        let mark = match &settle {
            Settle::Completed { write: _, follow_ups: _ } => Mark::Completed,
            Settle::Retry(_) => Mark::Retried,
            Settle::Snooze(_) => Mark::Snoozed,
            Settle::Discard => Mark::Discarded,
            Settle::Reject => Mark::Rejected,
            Settle::Cancel => Mark::Cancelled,
            Settle::Hold { release: _ } => Mark::PutOnHold,
            Settle::GiveBack => Mark::GivenBack,
        };
        let before = self.store.task(lease.0).clone();
        let refuses = !self.quiet && self.random.chance(20);
        let follow_ups = match &settle {
            Settle::Completed { write: _, follow_ups } => follow_ups.clone(),
            _ => Vec::new(),
        };
        let settled = self.store.settle(self.wall(), lease, settle, refuses);
        let mark = match &settled {
            Settled::Done { follow_ups: _ } => mark,
            Settled::LeaseLost => Mark::LeaseGone,
            Settled::WriteFailed => Mark::WriteRefused,
        };
        let id = before.new.id;
        self.tell(mark, [lease.0, lease.1], || format!("task {id} as {lease:?}"));
        if let Settled::Done { follow_ups: stored } = &settled {
            self.check_settled(lease, &before);
            for (new, stored) in follow_ups.into_iter().zip(stored) {
                self.tell(Mark::FollowUp, [new.id.cast_signed(), lease.0], || {
                    format!("task {} follows task {id}: {stored:?}", new.id)
                });
            }
        }
        settled
    }

    fn rescue_now(&mut self, silent: &[(i64, i64)]) {
        let rescued = self.store.rescue(silent);
        for number in &rescued.workers {
            self.tell(Mark::Rescued, [*number, 0], || format!("worker {number} is declared dead"));
        }
        for row in &rescued.discarded {
            self.tell(Mark::RescuedLast, [*row, 0], || format!("row {row} had its last attempt"));
        }
        self.check_rescued(&rescued.workers);
    }

    /// A step of an effect. The outside world takes the key as idempotency key.
    fn effect(&mut self, step: Step, key: u64) -> Option<Effect> {
        match step {
            Step::Begin => {
                let found = self.store.ledger.get(&key).copied();
                self.store.ledger.entry(key).or_insert(Effect::Doing);
                found
            }
            Step::Ask => self.outside.get(&key).map(|_| Effect::Done),
            Step::Call => {
                self.outside.entry(key).or_insert(1);
                None
            }
            Step::End => self.store.ledger.insert(key, Effect::Done),
        }
    }
}
