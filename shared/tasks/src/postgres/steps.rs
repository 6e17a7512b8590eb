//! Steps of a transaction that may fail alone: savepoints, and the plans that statements go by.
//!
//! The end of one step is said in one message with the beginning of the next.

use database::{DbError, Tx};

/// How the server plans statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plans {
    /// By what it knows of the tables: for those of a job.
    Usual,
    /// By index, once: for ours.
    Steady,
}

macro_rules! usual {
    () => {
        "SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; \
         SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; \
         SET LOCAL plan_cache_mode = auto"
    };
}
macro_rules! steady {
    () => {
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
         SET LOCAL plan_cache_mode = force_generic_plan"
    };
}

/// Where a transaction stands between two steps; it begins with steady plans.
#[derive(Debug)]
pub(super) struct Steps {
    /// The savepoint of a step that went well is still there.
    is_open: bool,
    plans: Plans,
    /// The plans when the step began, which come back if it is undone.
    before: Plans,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self { is_open: false, plans: Plans::Steady, before: Plans::Steady }
    }

    /// Begins a step; the one before it stays done.
    pub(super) async fn begin(&mut self, tx: &mut Tx<'_>, plans: Plans) -> Result<(), DbError> {
        let change = (self.plans != plans).then_some(plans);
        tx.batch(match (self.is_open, change) {
            (false, None) => "SAVEPOINT outcome",
            (true, None) => "RELEASE outcome; SAVEPOINT outcome",
            (false, Some(Plans::Usual)) => concat!(usual!(), "; SAVEPOINT outcome"),
            (true, Some(Plans::Usual)) => {
                concat!("RELEASE outcome; ", usual!(), "; SAVEPOINT outcome")
            }
            (false, Some(Plans::Steady)) => concat!(steady!(), "; SAVEPOINT outcome"),
            (true, Some(Plans::Steady)) => {
                concat!("RELEASE outcome; ", steady!(), "; SAVEPOINT outcome")
            }
        })
        .await?;
        *self = Self { is_open: true, plans, before: plans };
        Ok(())
    }

    /// Goes by steady plans from here on; the step that was begun last goes on.
    pub(super) async fn steady(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        if self.plans == Plans::Usual {
            tx.batch(steady!()).await?;
            self.plans = Plans::Steady;
        }
        Ok(())
    }

    /// Undoes the step that was begun last.
    pub(super) async fn undo(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        tx.batch("ROLLBACK TO outcome; RELEASE outcome").await?;
        (self.is_open, self.plans) = (false, self.before);
        Ok(())
    }
}
