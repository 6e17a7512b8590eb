//! One attempt: admission again, configuration opened, the handler run inside its bounds.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use admission::{Code, Rejection, Voucher};
use envelope::{Envelope, RawJson, SealedSection};
use futures_util::FutureExt;
use job::{
    Context, ContextParts, Effects, ErasedJob, JobError, Outcome, OutcomeParts, ProgressSink,
};
use reporting::{AttemptLog, Event, ScrubGuard, TaskOutcome, TaskTags};
use scheduling::Producer;
use tasks::{AttemptReport, Backoff, LeasedTask, Settle};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use values::{Clock, JobName, Secret, Source, Span, TaskId};

use super::stored::admit_stored;
use crate::app::App;
use crate::configuration::{self, Sections};
use crate::keys::Keys;

/// How long a handler that was told to stop may take before it is dropped.
const STOP_GRACE: Duration = Duration::from_secs(5);
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

/// A request that was admitted, with its handler found and its configuration opened.
pub struct Prepared {
    /// The handler.
    pub handler: Arc<dyn ErasedJob>,
    /// The job.
    pub job: JobName,
    /// Who asks.
    pub source: Source,
    /// The only host that may run it, as its payload says.
    pub host: Option<String>,
    /// The payload's text.
    pub payload: RawJson,
    /// Opened sections.
    pub sections: Sections,
    /// Those of them that came with the envelope; follow-ups that declare them inherit them.
    pub inherited: Sections,
    /// Keeps the sections' texts out of every log while it lives.
    pub scrub: ScrubGuard,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("job", &self.job).finish_non_exhaustive()
    }
}

/// How the handler ended.
#[derive(Debug)]
pub enum Ended {
    /// It returned.
    Returned(Outcome),
    /// It failed.
    Failed(JobError),
    /// It panicked.
    Panicked(String),
    /// It took too long.
    TimedOut(Span),
}

/// Admits an envelope, finds its handler and opens its configuration.
///
/// What only other keys could accept is judged again by the newest ones: a key may have been added
/// a moment ago.
///
/// # Errors
/// A rejection, never a failed attempt.
pub fn prepare(
    app: &App,
    envelope: &Envelope,
    voucher: &Voucher<'_>,
) -> Result<Prepared, Rejection> {
    let keys = app.keys.current();
    match prepare_with(app, &keys, envelope, voucher) {
        Err(rejection) if depends_on_keys(&rejection) => {
            let newest = app.keys.newest();
            if Arc::ptr_eq(&keys, &newest) {
                return Err(rejection);
            }
            prepare_with(app, &newest, envelope, voucher)
        }
        prepared => prepared,
    }
}

/// Whether a proof or a sealed section may be right under keys that are not known yet.
fn depends_on_keys(rejection: &Rejection) -> bool {
    matches!(rejection.code, Code::BadProof | Code::MissingConfiguration)
        && !rejection.ends_at_once()
}

fn prepare_with(
    app: &App,
    keys: &Keys,
    envelope: &Envelope,
    voucher: &Voucher<'_>,
) -> Result<Prepared, Rejection> {
    let admitted = admission::admit(&app.rules(keys), envelope, voucher)?;
    let job = admitted.descriptor.job.clone();
    let reject = |code, field: &str, message: String| {
        Rejection::new(code, &envelope.job_name, &envelope.source, field, message)
    };
    let Some(handler) = app.registry.get(job.as_str()) else {
        let message = format!("this release has no handler for `{job}`");
        return Err(reject(Code::UnknownJob, "jobName", message));
    };
    let given = envelope.sections().unwrap_or_default();
    let (mut sections, mut inherited) = (Sections::new(), Sections::new());
    for declared in admitted.descriptor.sections {
        let value = match given.get(declared.name) {
            Some(value) => {
                let opened = open(keys, envelope, declared.name, value).map_err(|message| {
                    let field = format!("configuration.{}", declared.name);
                    reject(Code::MissingConfiguration, &field, message)
                })?;
                inherited.insert(declared.name.to_owned(), opened.clone());
                opened
            }
            None if declared.origin.allows_worker() => match app.sections.get(declared.name) {
                Some(value) => value.clone(),
                None => continue,
            },
            None => continue,
        };
        sections.insert(declared.name.to_owned(), value);
    }
    let texts = sections.values().flat_map(configuration::texts).collect();
    Ok(Prepared {
        handler: Arc::clone(handler),
        source: admitted.source,
        host: admitted.host,
        payload: envelope.job_payload.clone(),
        scrub: app.reporter.scrubber.guard(texts),
        sections,
        inherited,
        job,
    })
}

fn open(
    keys: &Keys,
    envelope: &Envelope,
    name: &str,
    value: &RawJson,
) -> Result<Secret<String>, String> {
    let sealed = SealedSection::from_json(value).map_err(|error| error.to_string())?;
    if sealed.is_none() {
        return Ok(Secret::new(value.as_str().to_owned()));
    }
    let text: String =
        serde_json::from_str(value.as_str()).map_err(|_| "it is not a text".to_owned())?;
    let opened = keys
        .sealing
        .open(&envelope.source, &envelope.job_name, name, &text)
        .map_err(|error| error.to_string())?;
    let opened = String::from_utf8(opened.expose().clone());
    opened.map(Secret::new).map_err(|_| "the sealed section is not UTF-8".to_owned())
}

/// Runs a prepared request inside its time limit and panic boundary.
pub async fn run_handler(
    app: &App,
    prepared: Prepared,
    mut parts: ContextParts,
    timeout: Span,
) -> (Ended, ScrubGuard) {
    let cancellation = parts.cancellation.clone();
    let stop = CancellationToken::new();
    parts.cancellation = stop.clone();
    let cx = Context::new(parts);
    let Prepared { handler, job: _, source: _, host: _, payload, sections, inherited: _, scrub } =
        prepared;
    let handled = AssertUnwindSafe(handler.run(&cx, payload.as_str(), sections)).catch_unwind();
    tokio::pin!(handled);
    let ended = tokio::select! {
        ended = &mut handled => ended,
        () = tokio::time::sleep(timeout.to_std()) => {
            // What runs on other threads sees the token; the handler itself is dropped.
            stop.cancel();
            return (Ended::TimedOut(timeout), scrub);
        }
        () = cancellation.cancelled() => {
            stop.cancel();
            match tokio::time::timeout(STOP_GRACE, &mut handled).await {
                Ok(ended) => ended,
                Err(_) => return (Ended::Failed(JobError::Cancelled), scrub),
            }
        }
    };
    let ended = match ended {
        Ok(Ok(outcome)) => Ended::Returned(outcome),
        Ok(Err(error)) => Ended::Failed(error),
        Err(panic) => {
            Ended::Panicked(app.reporter.scrubber.scrub(&panic_text(&*panic)).into_owned())
        }
    };
    (ended, scrub)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".to_owned())
}

/// What one attempt is about, for its messages.
struct About<'a> {
    app: &'a App,
    job: JobName,
    source: Source,
    task_id: TaskId,
    attempt: u32,
    max_attempts: u32,
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
pub(super) fn backoff(app: &App, job: &JobName, attempt: u32) -> Span {
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

/// Runs one attempt of a leased task.
pub async fn run_attempt(
    app: &App,
    follow_ups: &Producer,
    leased: &LeasedTask,
    cancellation: CancellationToken,
    progress: ProgressSink,
    clock: &Arc<dyn Clock>,
) -> Ran {
    let prepared = match admit_stored(app, &leased.task, leased.into(), clock.now()) {
        Ok(prepared) => prepared,
        Err(rejection) => return rejected(app, leased, &rejection).await,
    };
    let (job, source) = (prepared.job.clone(), prepared.source.clone());
    let lines = usize::try_from(app.manifest.worker.log_lines_per_attempt).unwrap_or(usize::MAX);
    let log = AttemptLog::new(lines);
    let span = reporting::task_span(&job, &source, leased.task.task_id, leased.attempt, &log);
    let about = About {
        app,
        job: job.clone(),
        source,
        task_id: leased.task.task_id,
        attempt: leased.attempt,
        max_attempts: leased.max_attempts,
    };
    let (mut ran, _scrub) =
        attempt(&about, follow_ups, leased, prepared, cancellation, progress, clock)
            .instrument(span)
            .await;
    let lines = log.take();
    if !lines.is_empty() {
        ran.report.log = serde_json::to_string(&lines).ok();
    }
    ran
}

async fn attempt(
    about: &About<'_>,
    follow_ups: &Producer,
    leased: &LeasedTask,
    prepared: Prepared,
    cancellation: CancellationToken,
    progress: ProgressSink,
    clock: &Arc<dyn Clock>,
) -> (Ran, ScrubGuard) {
    let app = about.app;
    let row_timeout = app.manifest.jobs.get(&about.job).map(|row| row.timeout);
    let timeout = leased.task.timeout.or(row_timeout).unwrap_or(Span::from_minutes(10));
    let parts = ContextParts {
        task_id: about.task_id,
        job: about.job.clone(),
        source: about.source.clone(),
        attempt: about.attempt,
        max_attempts: about.max_attempts,
        clock: Arc::clone(clock),
        cancellation,
        progress,
        alert: app.reporter.alerts_of(&about.job),
        effects: Effects::new(app.db.clone(), Arc::clone(clock), about.task_id),
    };
    let inherited = prepared.inherited.clone();
    let began = std::time::Instant::now();
    let (ended, scrub) = run_handler(app, prepared, parts, timeout).await;
    let ran = conclude(about, follow_ups, &inherited, ended);
    let span = tracing::Span::current();
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.record("duration_ms", millis);
    if let Some(outcome) = ran.outcome {
        span.record("outcome", outcome.name());
    }
    tracing::debug!(duration_ms = millis, "attempt ended");
    (ran, scrub)
}

/// Turns the end of a handler into what the store is to do.
fn conclude(about: &About<'_>, follow_ups: &Producer, inherited: &Sections, ended: Ended) -> Ran {
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
async fn rejected(app: &App, leased: &LeasedTask, rejection: &Rejection) -> Ran {
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
