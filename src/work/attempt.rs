//! One attempt: admission again, configuration opened, the handler run inside its bounds.

mod conclude;
mod prepare;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

pub(super) use conclude::backoff;
use conclude::{About, conclude, rejected};
pub use conclude::{Ran, prepare_follow_ups};
use futures_util::FutureExt;
use job::{Context, ContextParts, Effects, JobError, Outcome, ProgressSink};
pub use prepare::{Prepared, prepare};
use reporting::{AttemptLog, ScrubGuard};
use scheduling::Producer;
use tasks::LeasedTask;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use values::{Clock, Span};

use super::stored::admit_stored;
use crate::app::App;

/// How long a handler that was told to stop may take before it is dropped.
const STOP_GRACE: Duration = Duration::from_secs(5);

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
