//! After an attempt: what its end means for the task.

use admission::Rejection;
use job::{JobError, OutcomeParts};
use reporting::{Event, TaskOutcome, TaskTags};
use scheduling::Producer;
use tasks::{AttemptReport, Backoff, LeasedTask, Settle};
use values::{JobName, Source, Span, TaskId};

use super::Ended;
use crate::app::App;
use crate::configuration::Sections;

/// Bytes of a result at the most.
const MAX_RESULT_BYTES: usize = 1024 * 1024;
/// Bytes of an error text at the most.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// How an attempt ended, ready to be settled.
#[derive(Debug)]
pub struct Ran {
    /// What the store is to do.
    pub settle: Settle,
    /// What is kept of the attempt.
    pub report: AttemptReport,
    /// For metrics; absent where no attempt took place.
    pub outcome: Option<TaskOutcome>,
}

/// What one attempt is about, for its messages.
pub(super) struct About<'a> {
    pub(super) app: &'a App,
    pub(super) job: JobName,
    pub(super) source: Source,
    pub(super) task_id: TaskId,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
}

impl About<'_> {
    fn tags(&self) -> TaskTags<'_> {
        TaskTags {
            job_name: &self.job,
            source: &self.source,
            task_id: self.task_id,
            attempt: self.attempt,
        }
    }

    /// Ends an attempt that failed: again after a wait, or for good.
    fn failed(&self, code: &'static str, error: &str, after: Option<Span>, last: bool) -> Ran {
        let error = bounded(self.app.reporter.scrubber.scrub(error).into_owned());
        let (settle, outcome) = if last || self.attempt >= self.max_attempts {
            let code = if last { code } else { "attempts_exhausted" };
            tracing::error!(code, error = %error, "task discarded");
            let task = self.tags();
            self.app.reporter.sentry.report(&Event::PermanentFailure {
                task,
                code,
                message: &error,
            });
            (Settle::Discard, TaskOutcome::Discarded)
        } else {
            let after = after.unwrap_or_else(|| backoff(self.app, &self.job, self.attempt));
            tracing::warn!(code, error = %error, retry_in = %after, "attempt failed");
            (Settle::Retry { after }, TaskOutcome::Retried)
        };
        let report = AttemptReport { code: Some(code.to_owned()), error: Some(error), log: None };
        Ran { settle, report, outcome: Some(outcome) }
    }
}

/// How long a job waits after this attempt of a task has failed.
pub(in crate::work) fn backoff(app: &App, job: &JobName, attempt: u32) -> Span {
    let row = app.manifest.jobs.get(job);
    let backoff = row
        .map_or(Backoff { base: Span::from_seconds(10), max: Span::from_hours(1) }, |row| {
            Backoff { base: row.backoff_base, max: row.backoff_max }
        });
    backoff.wait(attempt, u64::from_be_bytes(tasks::random_bytes()))
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_ERROR_BYTES {
        let mut end = MAX_ERROR_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}

/// Turns the end of a handler into what the store is to do.
pub(super) fn conclude(
    about: &About<'_>,
    follow_ups: &Producer,
    inherited: &Sections,
    ended: Ended,
) -> Ran {
    let report = AttemptReport::default();
    match ended {
        Ended::Returned(outcome) => match outcome.into_parts() {
            OutcomeParts::Snoozed(after) => Ran {
                settle: Settle::Snooze { after },
                report,
                outcome: Some(TaskOutcome::Snoozed),
            },
            OutcomeParts::Completed { result, write, follow_ups: asked } => {
                let result = match result {
                    Ok(result) if result.as_bytes().len() <= MAX_RESULT_BYTES => result,
                    Ok(_) => {
                        let error = format!("the result has more than {MAX_RESULT_BYTES} bytes");
                        return about.failed("result_too_large", &error, None, true);
                    }
                    Err(error) => {
                        return about.failed("bad_result", &error.to_string(), None, true);
                    }
                };
                let asked = asked.map_err(|error| error.to_string());
                let prepared = asked.and_then(|asked| {
                    prepare_follow_ups(about.task_id, follow_ups, inherited, asked)
                });
                match prepared {
                    Ok(tasks) => {
                        let result =
                            (result.as_str() != "null").then(|| result.as_str().to_owned());
                        let settle = Settle::Completed { result, write, follow_ups: tasks };
                        Ran { settle, report, outcome: Some(TaskOutcome::Completed) }
                    }
                    Err(error) => about.failed("follow_up_refused", &error, None, true),
                }
            }
        },
        Ended::Failed(JobError::Cancelled) => {
            Ran { settle: Settle::Cancel, report, outcome: Some(TaskOutcome::Cancelled) }
        }
        Ended::Failed(error @ JobError::Permanent(_)) => {
            about.failed("permanent", &error.chain(), None, true)
        }
        Ended::Failed(error) => {
            let after = match &error {
                JobError::Retryable { after, cause: _ } => *after,
                JobError::Permanent(_) | JobError::Cancelled => None,
            };
            about.failed("retryable", &error.chain(), after, false)
        }
        Ended::Panicked(message) => {
            let place = reporting::take_panic().and_then(|report| report.location);
            let task = about.tags();
            let event = Event::Panic { task, message: &message, location: place.as_deref() };
            about.app.reporter.sentry.report(&event);
            let place = place.map_or(String::new(), |place| format!(" at {place}"));
            about.failed("panic", &format!("the handler panicked{place}: {message}"), None, false)
        }
        Ended::TimedOut(limit) => {
            about.failed("timeout", &format!("the attempt took longer than {limit}"), None, false)
        }
    }
}

/// Makes the tasks of follow-ups, each with the sections it declares of those inherited.
///
/// # Errors
/// Which follow-up is refused, and why.
pub fn prepare_follow_ups(
    parent: TaskId,
    producer: &Producer,
    inherited: &Sections,
    asked: Vec<job::FollowUp>,
) -> Result<Vec<tasks::NewTask>, String> {
    let mut tasks = Vec::with_capacity(asked.len());
    for follow_up in asked {
        let job::FollowUp { job, payload, options } = follow_up;
        let task = producer
            .prepare_follow_up(job, inherited, payload, options, parent)
            .map_err(|error| format!("follow-up `{job}`: {error}"))?;
        tasks.push(task);
    }
    Ok(tasks)
}

/// A task that admission refuses at dispatch: it ends, or is held for another release.
pub(super) async fn rejected(app: &App, leased: &LeasedTask, rejection: &Rejection) -> Ran {
    tracing::warn!(
        code = %rejection.code,
        job_name = %rejection.job_name,
        source = %rejection.source,
        task_id = %leased.task.task_id,
        field = %rejection.field,
        reason = %rejection.message,
        "stored task rejected"
    );
    let seen = scheduling::rejection_seen(rejection, Some(leased.task.task_id), "dispatch");
    let first = app.store.record_rejection(seen).await.unwrap_or(true);
    app.reporter.rejected(rejection, first);
    let report = AttemptReport {
        code: Some(rejection.code.to_string()),
        error: Some(rejection.to_string()),
        log: None,
    };
    let settle = if rejection.ends_at_once() {
        Settle::Reject
    } else {
        Settle::Hold { code: rejection.code.to_string(), release: app.holder() }
    };
    Ran { settle, report, outcome: None }
}
