//! Settling: outcome, final write and follow-ups, all or nothing, fenced by the lease's token.

use values::{Span, Timestamp};
use work_loop::Lease;

use super::{New, State, Store, Stored, index};

/// How a lease ends.
#[derive(Debug, Clone)]
pub(crate) enum Settle {
    Completed { write: bool, follow_ups: Vec<New> },
    Retry(Span),
    Snooze(Span),
    Discard,
    Reject,
    Cancel,
    Hold { release: usize },
    GiveBack,
}

/// What became of a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    Done { follow_ups: Vec<Stored> },
    LeaseLost,
    WriteFailed,
}

impl Store {
    /// Settles one lease; `refuses` says that the final write step fails.
    pub(crate) fn settle(
        &mut self,
        now: Timestamp,
        lease: Lease,
        settle: Settle,
        refuses: bool,
    ) -> Settled {
        let fenced = !self.plan.plants(crate::Plant::SettleWithoutFencing);
        if !self.is_leased(lease) && (fenced || self.task(lease.0).state != State::Running) {
            return Settled::LeaseLost;
        }
        let row = lease.0;
        let mut follow_ups = Vec::new();
        let cancelled = self.task(row).cancel;
        match settle {
            Settle::Completed { write: true, .. } if refuses => return Settled::WriteFailed,
            Settle::Completed { write, follow_ups: asked } => {
                self.tasks[index(row)].writes += u32::from(write);
                self.finish(row, State::Completed);
                follow_ups = asked.into_iter().map(|new| self.enqueue(now, new)).collect();
            }
            Settle::Discard => self.finish(row, State::Discarded),
            Settle::Reject => {
                self.uncount(row);
                self.finish(row, State::Discarded);
            }
            Settle::Cancel => self.finish(row, State::Cancelled),
            _ if cancelled => self.finish(row, State::Cancelled),
            Settle::Retry(after) => self.wait(row, now.after(after)),
            Settle::Snooze(after) => {
                self.uncount(row);
                self.wait(row, now.after(after));
            }
            Settle::Hold { release } => {
                self.uncount(row);
                let task = &mut self.tasks[index(row)];
                task.held_by |= 1 << release;
                task.held_since.get_or_insert(now);
                self.let_go(row, State::Held);
            }
            Settle::GiveBack => self.put_back(row, false),
        }
        Settled::Done { follow_ups }
    }

    fn uncount(&mut self, row: i64) {
        let task = &mut self.tasks[index(row)];
        task.attempt -= u32::from(task.started);
    }

    /// A task that runs again has been accepted, so an earlier hold is over.
    fn wait(&mut self, row: i64, run_at: Timestamp) {
        let task = &mut self.tasks[index(row)];
        task.run_at = run_at;
        task.held_by = 0;
        task.held_since = None;
        self.let_go(row, State::Scheduled);
    }

    fn let_go(&mut self, row: i64, state: State) {
        let task = &mut self.tasks[index(row)];
        task.state = state;
        task.started = false;
        task.worker = 0;
        task.token = 0;
        self.woken = true;
    }
}
