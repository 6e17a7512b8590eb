//! How a lease ends, and what is kept of it.

use std::fmt;

use database::{DbError, DbFuture, Tx};
use serde::Serialize;
use values::Span;

use super::{Enqueued, NewTask};

/// The final write step of an outcome; runs in the settling transaction.
pub type FinalWrite = Box<dyn for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> DbFuture<'t, ()> + Send>;

/// How an attempt, or a lease without one, ends.
pub enum Settle {
    /// It did what it should.
    Completed {
        /// What the job returned, JSON.
        result: Option<String>,
        /// Domain rows to write with the outcome.
        write: Option<FinalWrite>,
        /// Tasks to store with the outcome.
        follow_ups: Vec<NewTask>,
    },
    /// It failed and runs again.
    Retry {
        /// The wait.
        after: Span,
    },
    /// It asked to run later; the attempt does not count.
    Snooze {
        /// The wait.
        after: Span,
    },
    /// It ends among the dead letters.
    Discard,
    /// Admission refuses it for good: it ends among the dead letters, and no attempt is counted.
    Reject,
    /// It was cancelled.
    Cancel,
    /// This worker's release does not accept it; others may.
    Hold {
        /// The rejection's code.
        code: String,
        /// Fingerprint of the release that does not accept it.
        release: String,
    },
    /// It goes back as if never leased; an attempt that was begun stays counted, unless it
    /// was the last: what is given back can always run again.
    GiveBack,
}

impl Settle {
    /// Whether tasks may wait for a later time after this.
    pub(crate) fn may_schedule(&self) -> bool {
        match self {
            Self::Completed { result: _, write: _, follow_ups } => !follow_ups.is_empty(),
            Self::Retry { after: _ } | Self::Snooze { after: _ } => true,
            Self::Discard
            | Self::Reject
            | Self::Cancel
            | Self::Hold { code: _, release: _ }
            | Self::GiveBack => false,
        }
    }
}

impl fmt::Debug for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed { result: _, write: _, follow_ups } => {
                write!(f, "Completed({} follow-ups)", follow_ups.len())
            }
            Self::Retry { after } => write!(f, "Retry({after})"),
            Self::Snooze { after } => write!(f, "Snooze({after})"),
            Self::Discard => f.write_str("Discard"),
            Self::Reject => f.write_str("Reject"),
            Self::Cancel => f.write_str("Cancel"),
            Self::Hold { code, release: _ } => write!(f, "Hold({code})"),
            Self::GiveBack => f.write_str("GiveBack"),
        }
    }
}

/// What is kept of one attempt beside the outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptReport {
    /// Stable word for what went wrong, such as `panic`, `timeout` or a rejection's code.
    pub code: Option<String>,
    /// The error with its causes, scrubbed of secrets.
    pub error: Option<String>,
    /// Its log lines, a JSON array, scrubbed of secrets.
    pub log: Option<String>,
}

/// One task to settle.
#[derive(Debug)]
pub struct Settlement {
    /// The row, as leased.
    pub row: i64,
    /// The token, as leased.
    pub token: i64,
    /// How it ends.
    pub settle: Settle,
    /// What is kept of the attempt.
    pub report: AttemptReport,
}

/// What became of a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is stored; these follow-ups were stored with it.
    Done {
        /// The follow-ups' ids, in order.
        follow_ups: Vec<Enqueued>,
    },
    /// Another lease or an operator was there first; nothing of it is stored.
    LeaseLost,
    /// The final write step refused; nothing of it is stored and the lease still holds.
    WriteFailed {
        /// Why, with its causes.
        error: String,
        /// Whether the same write may succeed later.
        transient: bool,
    },
}

/// How far a running task has come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: f64,
    /// In words.
    pub text: String,
}

/// Why a final write step or a store call failed, for the attempt's error text.
pub(crate) fn chain(error: &DbError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
