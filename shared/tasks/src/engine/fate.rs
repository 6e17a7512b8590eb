//! What becomes of tasks whose worker died.

use crate::AttemptReport;

/// What becomes of a task whose worker died.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Back,
    Cancelled,
    Spent,
}

impl Fate {
    pub(crate) fn of(cancelled: bool, spent: bool) -> Self {
        match (cancelled, spent) {
            (true, _) => Self::Cancelled,
            (false, true) => Self::Spent,
            (false, false) => Self::Back,
        }
    }

    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Back => "retried",
            Self::Cancelled => "cancelled",
            Self::Spent => "discarded",
        }
    }
}

/// What is remembered of its attempt.
pub(crate) fn lost() -> AttemptReport {
    AttemptReport {
        code: Some("worker_lost".to_owned()),
        error: Some("the worker that ran this attempt died or lost the store".to_owned()),
        log: None,
    }
}
