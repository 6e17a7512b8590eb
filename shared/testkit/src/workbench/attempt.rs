//! One attempt at a time, and what follows from it.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use contract::Payload;
use job::{
    Context, ContextParts, Effects, FollowUp, JobError, Outcome, OutcomeParts, ProgressSink,
};
use scheduling::Scope;
use serde_json::Value;
use tasks::Progress;
use tokio_util::sync::CancellationToken;
use values::{Clock, Source, Span, TaskId};

use super::Workbench;

/// Tasks that one [`Workbench::run_all`] works off at the most.
const TASKS_MAX: usize = 20_000;

/// What stops an attempt, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Never,
    /// The process dies in the n-th report of progress, counted from 1: nothing follows it. If it
    /// comes from another thread, the attempt ends where it waits next.
    DiesAt(usize),
    /// The attempt is cancelled at the n-th report of progress, counted from 1.
    CancelledAt(usize),
}

/// What an attempt left once it was settled.
#[derive(Debug)]
pub struct Done {
    /// What the job returned; null if it snoozed.
    pub result: Value,
    /// The tasks it asked for.
    pub follow_ups: Vec<FollowUp>,
    /// How long the job wants to wait before it runs again, if it snoozed instead of completing.
    pub snoozed: Option<Span>,
}

impl Done {
    /// The payloads of those follow-ups that ask for the job of `P`, in the order they were added.
    ///
    /// # Panics
    /// If one is not what its own type reads.
    pub fn follow_ups_of<P: Payload>(&self) -> Vec<P> {
        let of_job = self.follow_ups.iter().filter(|task| task.job == P::JOB);
        of_job.map(|task| decode(P::JOB, task.payload.as_str())).collect()
    }
}

impl Workbench {
    /// Runs one attempt without settling it; `None` if it died.
    pub async fn attempt<P: Payload>(
        &self,
        payload: &P,
        cut: Cut,
    ) -> Option<Result<Outcome, JobError>> {
        self.attempt_json(P::JOB, &encode(payload), cut).await
    }

    /// Runs one attempt of the named job as [`Workbench::attempt`] does, whatever the payload.
    ///
    /// # Panics
    /// If there is no such job.
    pub async fn attempt_json(
        &self,
        job: &str,
        payload: &Value,
        cut: Cut,
    ) -> Option<Result<Outcome, JobError>> {
        let (cancellation, death) = (CancellationToken::new(), CancellationToken::new());
        let cx =
            self.context(job, progress(cut, cancellation.clone(), death.clone()), cancellation);
        let job = self.registry.get(job).unwrap_or_else(|| panic!("no job is called `{job}`"));
        let declared = job.descriptor();
        let mut sections = self.sections.clone();
        sections.retain(|name, _| declared.section(name).is_some());
        let payload = payload.to_string();
        let mut attempt = pin!(ATTEMPT.scope((), job.run(&cx, &payload, sections)));
        let attempt = poll_fn(|task| {
            let polled = catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(task)));
            match polled {
                Ok(polled) => polled.map(Some),
                Err(panic) if panic.is::<Death>() => Poll::Ready(None),
                Err(panic) => resume_unwind(panic),
            }
        });
        tokio::select! {
            biased;
            () = death.cancelled() => None,
            // A job that waited for nothing more has died all the same.
            ended = attempt => ended.filter(|_| !death.is_cancelled()),
        }
    }

    /// Stores an outcome as a worker's settlement does: its final write in one transaction.
    ///
    /// # Errors
    /// If the final write fails, or the result is no JSON; then nothing is stored.
    pub async fn settle(&self, outcome: Outcome) -> Result<Done, JobError> {
        let (result, write, follow_ups) = match outcome.into_parts() {
            OutcomeParts::Completed { result, write, follow_ups } => (result, write, follow_ups),
            OutcomeParts::Snoozed(wait) => {
                return Ok(Done {
                    result: Value::Null,
                    follow_ups: Vec::new(),
                    snoozed: Some(wait),
                });
            }
        };
        let unfit = |error| JobError::permanent(format!("the outcome is not JSON: {error}"));
        let (result, follow_ups) = (result.map_err(unfit)?, follow_ups.map_err(unfit)?);
        if let Some(write) = write {
            let mut transaction = self.db.begin().await?;
            write(&mut transaction.tx()).await?;
            transaction.commit().await?;
        }
        let result = serde_json::from_str(result.as_str()).expect("a result is JSON");
        Ok(Done { result, follow_ups, snoozed: None })
    }

    /// Runs and settles one attempt that nothing cuts off.
    ///
    /// # Errors
    /// Those of the job and of [`Workbench::settle`].
    pub async fn run<P: Payload>(&self, payload: &P) -> Result<Done, JobError> {
        self.run_json(P::JOB, &encode(payload)).await
    }

    /// Runs and settles one attempt of the named job as [`Workbench::run`] does.
    ///
    /// # Errors
    /// As [`Workbench::run`].
    pub async fn run_json(&self, job: &str, payload: &Value) -> Result<Done, JobError> {
        let outcome = self.attempt_json(job, payload, Cut::Never).await;
        self.settle(outcome.expect("nothing cuts it off")?).await
    }

    /// Runs a task and all that follows from it, oldest first; returns how often each job ran.
    ///
    /// Follow-ups with a unique key are left out while an equal one waits.
    ///
    /// # Errors
    /// The first one of any task.
    ///
    /// # Panics
    /// If the follow-ups do not end.
    pub async fn run_all<P: Payload>(
        &self,
        payload: &P,
    ) -> Result<BTreeMap<String, usize>, JobError> {
        self.run_all_json(P::JOB, &encode(payload)).await
    }

    /// Runs the named job and all that follows from it as [`Workbench::run_all`] does.
    ///
    /// # Errors
    /// As [`Workbench::run_all`].
    pub async fn run_all_json(
        &self,
        job: &str,
        payload: &Value,
    ) -> Result<BTreeMap<String, usize>, JobError> {
        let mut counts = BTreeMap::new();
        let mut waiting = VecDeque::from([(job.to_owned(), payload.clone(), None)]);
        for _ in 0..TASKS_MAX {
            let Some((job, payload, _)) = waiting.pop_front() else { return Ok(counts) };
            let done = self.run_json(&job, &payload).await?;
            *counts.entry(job).or_default() += 1;
            for task in done.follow_ups {
                let key = unique_key(&task);
                if key.is_none() || waiting.iter().all(|(_, _, other)| *other != key) {
                    let payload = decode(task.job, task.payload.as_str());
                    waiting.push_back((task.job.to_owned(), payload, key));
                }
            }
        }
        panic!("more than {TASKS_MAX} tasks followed from `{job}`");
    }

    fn context(
        &self,
        job: &str,
        progress: ProgressSink,
        cancellation: CancellationToken,
    ) -> Context {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let task_id = TaskId::from_bytes([9; 16]);
        let alerts = Arc::clone(&self.alerts);
        Context::new(ContextParts {
            task_id,
            job: job.parse().unwrap_or_else(|error| panic!("{error}")),
            source: "main_worker".parse::<Source>().expect("a source"),
            attempt: 1,
            max_attempts: 3,
            clock: Arc::clone(&clock),
            cancellation,
            progress,
            alert: Arc::new(move |code, message| {
                let mut told = alerts.lock().unwrap_or_else(PoisonError::into_inner);
                told.push((code, message.to_owned()));
            }),
            effects: Effects::new(self.db.clone(), clock, task_id),
        })
    }
}

tokio::task_local! {
    /// Set where an attempt runs itself.
    static ATTEMPT: ();
}

/// What unwinds an attempt that dies. Dropped only where it waits, it would come further by luck:
/// an answer that is there at once is nothing to wait for.
struct Death;

/// Counts reports of progress and pulls the trigger at the one that is meant.
fn progress(cut: Cut, cancellation: CancellationToken, death: CancellationToken) -> ProgressSink {
    let reports = AtomicUsize::new(0);
    Arc::new(move |_: Progress| {
        let number = reports.fetch_add(1, Ordering::Relaxed) + 1;
        match cut {
            Cut::DiesAt(at) if number == at => {
                death.cancel();
                if ATTEMPT.try_with(|()| ()).is_ok() {
                    resume_unwind(Box::new(Death));
                }
            }
            Cut::CancelledAt(at) if number == at => cancellation.cancel(),
            Cut::Never | Cut::DiesAt(_) | Cut::CancelledAt(_) => (),
        }
    })
}

/// What makes two follow-ups the same.
fn unique_key(task: &FollowUp) -> Option<(&'static str, String)> {
    let what = match &task.options.unique.as_ref()?.scope {
        Scope::Job | Scope::Source => String::new(),
        Scope::Payload => task.payload.as_str().to_owned(),
        Scope::Key(text) => text.clone(),
    };
    Some((task.job, what))
}

fn encode<P: Payload>(payload: &P) -> Value {
    serde_json::to_value(payload).unwrap_or_else(|error| panic!("payload of {}: {error}", P::JOB))
}

fn decode<T: serde::de::DeserializeOwned>(job: &str, payload: &str) -> T {
    serde_json::from_str(payload).unwrap_or_else(|error| panic!("payload of {job}: {error}"))
}
