//! What a successful attempt returns.

use std::fmt;

use contract::Payload;
use database::{DbFuture, Tx};
use envelope::{EnvelopeError, RawJson};
use scheduling::TaskOptions;
use serde::Serialize;
use tasks::FinalWrite;
use values::Span;

/// A task to be stored with the outcome, proven as source `main_worker`.
#[derive(Debug, Clone)]
pub struct FollowUp {
    /// The job.
    pub job: &'static str,
    /// Its payload.
    pub payload: RawJson,
    /// How it waits and runs.
    pub options: TaskOptions,
}

/// How an attempt ended well: completed, or to be run later.
#[derive(Debug)]
pub struct Outcome {
    parts: OutcomeParts,
}

/// What is inside an [`Outcome`], for the one who settles it.
pub enum OutcomeParts {
    /// The job is done.
    Completed {
        /// What it returns, JSON.
        result: Result<RawJson, EnvelopeError>,
        /// Rows to write in the settling transaction.
        write: Option<FinalWrite>,
        /// Tasks to store in the settling transaction.
        follow_ups: Result<Vec<FollowUp>, EnvelopeError>,
    },
    /// The job asks to run later; this attempt does not count.
    Snoozed(Span),
}

impl fmt::Debug for OutcomeParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed { result, write: _, follow_ups } => {
                f.debug_tuple("Completed").field(result).field(follow_ups).finish()
            }
            Self::Snoozed(span) => f.debug_tuple("Snoozed").field(span).finish(),
        }
    }
}

impl Outcome {
    /// The job is done and returns `result`.
    pub fn completed(result: impl Serialize) -> Self {
        let result = RawJson::from_value(&result);
        Self { parts: OutcomeParts::Completed { result, write: None, follow_ups: Ok(Vec::new()) } }
    }

    /// The job wants to run again after a while; the attempt does not count.
    pub fn snooze(wait: Span) -> Self {
        Self { parts: OutcomeParts::Snoozed(wait) }
    }

    /// Adds the final write step; it runs in the settling transaction, once, after earlier ones.
    ///
    /// If it fails, nothing of the outcome is stored and the attempt has failed. A statement in it
    /// that may fail belongs into a [`Tx::savepoint`]: a server runs nothing after one that failed.
    #[must_use]
    pub fn commit<F>(mut self, write: F) -> Self
    where
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> DbFuture<'t, ()> + Send + 'static,
    {
        if let OutcomeParts::Completed { result: _, write: place, follow_ups: _ } = &mut self.parts
        {
            *place = Some(match place.take() {
                None => Box::new(write),
                Some(earlier) => Box::new(|tx| {
                    Box::pin(async move {
                        earlier(tx).await?;
                        write(tx).await
                    })
                }),
            });
        }
        self
    }

    /// Adds a task to be stored with the outcome.
    #[must_use]
    pub fn follow_up<P: Payload>(self, payload: &P) -> Self {
        self.follow_up_with(payload, TaskOptions::default())
    }

    /// Adds a task to be stored with the outcome, with options.
    #[must_use]
    pub fn follow_up_with<P: Payload>(mut self, payload: &P, options: TaskOptions) -> Self {
        if let OutcomeParts::Completed { result: _, write: _, follow_ups: list } = &mut self.parts {
            match (RawJson::from_value(payload), &mut *list) {
                (Ok(payload), Ok(list)) => list.push(FollowUp { job: P::JOB, payload, options }),
                (Err(error), Ok(_)) => *list = Err(error),
                (_, Err(_)) => {}
            }
        }
        self
    }

    /// Takes the outcome apart.
    pub fn into_parts(self) -> OutcomeParts {
        self.parts
    }
}
