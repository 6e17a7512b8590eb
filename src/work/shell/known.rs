//! What the shell knows of each lease, and what its end amounts to.

use std::time::Duration;

use tasks::{AttemptReport, LeasedTask, Settle};
use tokio_util::sync::CancellationToken;
use values::{JobName, Source, Span, TaskId};
use work_loop::Stop;

use crate::work::attempt::Ran;

/// What a settlement makes of a task, for the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Completed,
    Again,
    Discarded,
    Cancelled,
    Held,
    Returned,
}

impl Ending {
    pub(super) fn of(settle: &Settle) -> Self {
        match settle {
            Settle::Completed { result: _, write: _, follow_ups: _ } => Self::Completed,
            Settle::Retry { after: _ } | Settle::Snooze { after: _ } => Self::Again,
            Settle::Discard | Settle::Reject => Self::Discarded,
            Settle::Cancel => Self::Cancelled,
            Settle::Hold { code: _, release: _ } => Self::Held,
            Settle::GiveBack => Self::Returned,
        }
    }
}

/// A lease the shell knows of.
pub(super) struct Known {
    pub(super) job: JobName,
    pub(super) source: Source,
    pub(super) task_id: TaskId,
    pub(super) wait: Duration,
    pub(super) task: Option<LeasedTask>,
    pub(super) token: CancellationToken,
    /// Cancelled when the lease is lost: the attempt must end before others may begin it.
    pub(super) lost: CancellationToken,
    pub(super) stopped: Option<Stop>,
    pub(super) ran: Option<Ran>,
    pub(super) outcome: Option<reporting::TaskOutcome>,
    pub(super) ending: Ending,
    pub(super) duration: Duration,
    pub(super) running: Option<reporting::Running>,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
}

/// An attempt that was told to stop and did not complete ends as it was told.
pub(super) fn stopped(why: Option<Stop>, ran: &mut Ran) {
    if matches!(ran.settle, Settle::Completed { .. } | Settle::Hold { .. } | Settle::Reject) {
        return;
    }
    match why {
        Some(Stop::Draining) => {
            *ran =
                Ran { settle: Settle::GiveBack, report: AttemptReport::default(), outcome: None };
        }
        Some(Stop::Cancelled) => {
            ran.settle = Settle::Cancel;
            ran.outcome = Some(reporting::TaskOutcome::Cancelled);
        }
        Some(Stop::LeaseLost) | None => {}
    }
}

/// What to settle if the store does not answer: the same, or, where a final write step went with
/// the first try, another attempt in place of this one, which may have been the last. Had the first
/// try arrived, the store refuses the second.
pub(super) fn fallback(ran: &Ran) -> Ran {
    let settle = match &ran.settle {
        Settle::Completed { result, write: None, follow_ups } => Settle::Completed {
            result: result.clone(),
            write: None,
            follow_ups: follow_ups.clone(),
        },
        Settle::Completed { result: _, write: Some(_), follow_ups: _ } => {
            Settle::Snooze { after: Span::from_seconds(1) }
        }
        Settle::Retry { after } => Settle::Retry { after: *after },
        Settle::Snooze { after } => Settle::Snooze { after: *after },
        Settle::Discard => Settle::Discard,
        Settle::Reject => Settle::Reject,
        Settle::Cancel => Settle::Cancel,
        Settle::Hold { code, release } => {
            Settle::Hold { code: code.clone(), release: release.clone() }
        }
        Settle::GiveBack => Settle::GiveBack,
    };
    Ran { settle, report: ran.report.clone(), outcome: ran.outcome }
}
