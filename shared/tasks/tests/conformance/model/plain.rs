//! What the store should do, over a vector.

use tasks::{NewTask, TaskState};
use values::{Span, TaskId, Timestamp};

/// Where a task of the model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Waiting,
    Held,
    Running { worker: i64, started: bool, cancel: bool },
    Ended(TaskState),
}

#[derive(Debug, Clone)]
pub(super) struct Plain {
    pub(super) task: NewTask,
    pub(super) at: At,
    pub(super) run_at: Timestamp,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    /// Row and token of the latest lease.
    pub(super) lease: Option<(i64, i64)>,
}

/// How a lease ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Complete,
    Retry(u32),
    Snooze(u32),
    Discard,
    Cancel,
    Hold,
    GiveBack,
}

impl Plain {
    pub(super) fn new(task: NewTask, now: Timestamp) -> Self {
        let run_at = task.stamp.run_at.filter(|at| *at > now).unwrap_or(now);
        let max_attempts = task.stamp.max_attempts;
        Self { task, at: At::Waiting, run_at, attempt: 0, max_attempts, lease: None }
    }

    pub(super) fn id(&self) -> TaskId {
        self.task.stamp.task_id
    }

    pub(super) fn is_live(&self) -> bool {
        !matches!(self.at, At::Ended(_))
    }

    /// The state as the store shows it; a task that is due may be shown as either.
    pub(super) fn state(&self, now: Timestamp) -> TaskState {
        match self.at {
            At::Waiting if self.run_at > now => TaskState::Scheduled,
            At::Waiting | At::Held => TaskState::Available,
            At::Running { .. } => TaskState::Running,
            At::Ended(state) => state,
        }
    }

    fn uncount(&mut self, started: bool) {
        self.attempt -= u32::from(started);
    }

    /// Ends a lease; `false` if there is none any more.
    pub(super) fn settle(&mut self, end: End, now: Timestamp) -> bool {
        let At::Running { started, cancel, .. } = self.at else { return false };
        let later = |seconds| now.after(Span::from_seconds(seconds));
        self.at = match end {
            End::Complete => At::Ended(TaskState::Completed),
            End::Discard => At::Ended(TaskState::Discarded),
            End::Cancel => At::Ended(TaskState::Cancelled),
            _ if cancel => At::Ended(TaskState::Cancelled),
            End::Retry(seconds) => {
                self.run_at = later(seconds);
                At::Waiting
            }
            End::Snooze(seconds) => {
                self.uncount(started);
                self.run_at = later(seconds);
                At::Waiting
            }
            End::Hold => {
                self.uncount(started);
                At::Held
            }
            End::GiveBack => {
                self.attempt = self.attempt.min(self.max_attempts - 1);
                At::Waiting
            }
        };
        true
    }

    /// The worker died.
    pub(super) fn rescue(&mut self, dead: i64) {
        let At::Running { worker, started, cancel } = self.at else { return };
        if worker == dead {
            self.at = match (cancel, started && self.attempt >= self.max_attempts) {
                (true, _) => At::Ended(TaskState::Cancelled),
                (false, true) => At::Ended(TaskState::Discarded),
                (false, false) => At::Waiting,
            };
        }
    }
}

/// Limits of a lease: of the first job, of the foreign source, and a rate of the second job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) job: Option<u32>,
    pub(super) source: Option<u32>,
    pub(super) rate: Option<u32>,
}

/// Which limits apply to a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) second: bool,
    pub(super) foreign: bool,
}

impl Limits {
    /// What these limits leave, given what runs and how many starts count.
    pub(super) fn room(
        mut self,
        tasks: &[Plain],
        starts: usize,
        kind_of: impl Fn(&Plain) -> Kind,
    ) -> Self {
        let less = |left: Option<u32>, by: u32| left.map(|left| left.saturating_sub(by));
        for task in tasks.iter().filter(|task| matches!(task.at, At::Running { .. })) {
            let kind = kind_of(task);
            self.job = less(self.job, u32::from(!kind.second));
            self.source = less(self.source, u32::from(kind.foreign));
        }
        self.rate = less(self.rate, u32::try_from(starts).unwrap());
        self
    }

    /// Takes room for a task, if there is some.
    pub(super) fn take(&mut self, kind: Kind, start: bool) -> bool {
        let rated = kind.second && self.rate.is_some();
        let limits = [
            (&mut self.job, !kind.second),
            (&mut self.source, kind.foreign),
            (&mut self.rate, kind.second),
        ];
        let is_full = limits.iter().any(|(left, applies)| *applies && **left == Some(0));
        if is_full || (rated && !start) {
            return false;
        }
        for (left, applies) in limits {
            *left = left.map(|left| left - u32::from(applies));
        }
        true
    }
}

/// What a lease should take, best first: positions in `tasks`.
///
/// `take` is asked in order, with the number of tasks taken before.
pub(super) fn best(
    tasks: &[Plain],
    now: Timestamp,
    mut take: impl FnMut(&Plain, usize) -> bool,
) -> Vec<usize> {
    let mut ready: Vec<usize> = (0..tasks.len())
        .filter(|at| tasks[*at].at == At::Waiting && tasks[*at].run_at <= now)
        .collect();
    ready.sort_by_key(|at| {
        let task = &tasks[*at];
        (std::cmp::Reverse(task.task.stamp.priority), task.run_at, *at)
    });
    let mut count = 0;
    ready.retain(|at| {
        let takes = take(&tasks[*at], count);
        count += usize::from(takes);
        takes
    });
    ready
}
