//! `main-worker run`: one envelope, nothing leased, the result as JSON.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use admission::{Rejection, Voucher};
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use envelope::Envelope;
use job::{ContextParts, Effects, JobError, Outcome, OutcomeParts};
use serde::Serialize;
use serde_json::value::RawValue;
use tasks::{NewTask, Progress};
use tokio_util::sync::CancellationToken;
use values::{Clock, FixedClock, Secret, Span, TaskId, Timestamp};

use super::{Exit, Invocation};
use crate::app::App;
use crate::configuration::{self, Sections};
use crate::work::{Ended, Prepared, prepare, prepare_follow_ups, run_handler};

/// Follow-ups run in one go at the most, so that a job that asks for itself ends.
const MAX_FOLLOW_UPS: usize = 10_000;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// File with the envelope; `-` or nothing for stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// File with the envelope, as IronWorker passes it (also as -payload)
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    payload: Option<PathBuf>,
    /// File with configuration sections for this run (also as -config)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Id of the hosted task, shown in the logs (also as -id)
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Folder that relative paths start from
    #[arg(short = 'd', value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Set the clock of the run, such as 2026-10-31T23:59:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Store follow-up tasks, or run them here in order
    #[arg(long, value_enum, default_value_t = FollowUps::Enqueue)]
    follow_ups: FollowUps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FollowUps {
    Enqueue,
    Run,
}

/// What is printed.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    outcome: &'static str,
    job_name: String,
    source: String,
    proof: &'static str,
    task_id: Option<TaskId>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    follow_ups: Vec<TaskId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ran: Vec<Self>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Rejection>,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    if let Some(directory) = &arguments.directory {
        std::env::set_current_dir(directory)
            .with_context(|| format!("cannot enter {}", directory.display()))
            .map_err(|error| error.context(Exit::Usage))?;
    }
    if let Some(at) = arguments.at.filter(|at| *at < Timestamp::EPOCH) {
        return Err(
            anyhow!("--at {at} lies before 1970; give a later instant").context(Exit::Usage)
        );
    }
    let settings = &invocation.settings;
    let file = arguments.payload.or(arguments.file).or_else(|| settings.payload_file.clone());
    let mut app = invocation.open().await?;
    let limit = app.manifest.worker.max_envelope_bytes;
    let bytes = read_input(file.as_deref(), limit).map_err(|error| error.context(Exit::Usage))?;
    let config = arguments.config.or_else(|| settings.config_file.clone());
    if let Some(path) = config {
        add_sections(&mut app, &path).map_err(|error| error.context(Exit::Settings))?;
    }
    if let Some(hosted) = arguments.id.or_else(|| settings.task_id.clone()) {
        tracing::info!(hosted_task_id = %hosted, "one-shot run");
    }
    if let Some(at) = arguments.at.filter(|_| settings.is_production()) {
        tracing::warn!(%at, "what this run does in production counts for this time, not for now");
    }
    let clock: Arc<dyn Clock> = match arguments.at {
        Some(at) => Arc::new(FixedClock(at)),
        None => Arc::clone(&app.clock),
    };
    let run = OneShot { app: &app, clock, run_follow_ups: arguments.follow_ups == FollowUps::Run };
    let (report, exit) = run.whole(&bytes).await?;
    invocation.output.json(&report);
    app.flush().await;
    Ok(exit)
}

/// Reads the envelope; one byte more than the limit is enough to refuse it.
pub(super) fn read_input(file: Option<&Path>, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file {
        Some(path) if path != Path::new("-") => {
            let shown = path.display();
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
            file.take(limit + 1)
                .read_to_end(&mut bytes)
                .with_context(|| format!("cannot read {shown}"))?;
        }
        _ => {
            std::io::stdin()
                .take(limit + 1)
                .read_to_end(&mut bytes)
                .context("cannot read stdin")?;
        }
    }
    Ok(bytes)
}

/// Adds the sections of IronWorker's config file to the worker's own.
fn add_sections(app: &mut App, path: &Path) -> Result<()> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let added = configuration::parse(&Secret::new(text)).with_context(|| format!("in {shown}"))?;
    configuration::check(&added, &app.contract).with_context(|| format!("in {shown}"))?;
    let mut sections = (*app.sections).clone();
    sections.extend(added);
    app.section_names = Arc::new(sections.keys().cloned().collect());
    app.sections = Arc::new(sections);
    Ok(())
}

struct OneShot<'a> {
    app: &'a App,
    clock: Arc<dyn Clock>,
    run_follow_ups: bool,
}

impl OneShot<'_> {
    /// Runs the envelope and, if asked, its follow-ups in order.
    async fn whole(&self, bytes: &[u8]) -> Result<(Report, Exit)> {
        let limits = admission::limits(&self.app.manifest);
        let envelope = match admission::read(bytes, &limits) {
            Ok(envelope) => envelope,
            Err(rejection) => return Ok(self.rejected(rejection).await),
        };
        let (mut report, mut exit, first) = self.one(&envelope, None).await?;
        let mut waiting: VecDeque<NewTask> = first.into();
        while let Some(task) = waiting.pop_front() {
            let is_elsewhere = task.host.as_ref().is_some_and(|host| *host != self.app.host);
            if exit != Exit::Completed || report.ran.len() >= MAX_FOLLOW_UPS || is_elsewhere {
                // What does not run here is stored, so that nothing is lost.
                let id = task.stamp.task_id;
                self.app.store.enqueue(vec![task]).await?;
                report.follow_ups.push(id);
                continue;
            }
            let envelope = Envelope {
                configuration: task.configuration.clone(),
                job_name: task.job.to_string(),
                source: task.source.to_string(),
                job_payload: task.payload.clone(),
            };
            let (ran, ended, more) = self.one(&envelope, Some(task.stamp.task_id)).await?;
            waiting.extend(more);
            if ended != Exit::Completed {
                exit = ended;
                self.app.store.enqueue(vec![task]).await?;
            }
            report.ran.push(ran);
        }
        Ok((report, exit))
    }

    async fn rejected(&self, rejection: Rejection) -> (Report, Exit) {
        tracing::warn!(
            code = %rejection.code, job_name = %rejection.job_name, source = %rejection.source,
            field = %rejection.field, reason = %rejection.message, "request rejected"
        );
        let seen = scheduling::rejection_seen(&rejection, None, "run");
        let first = self.app.store.record_rejection(seen).await.unwrap_or(true);
        self.app.reporter.rejected(&rejection, first);
        let report = Report {
            outcome: "rejected",
            job_name: rejection.job_name.clone(),
            source: rejection.source.clone(),
            proof: "local",
            rejection: Some(rejection),
            ..Report::default()
        };
        (report, Exit::Rejected)
    }

    /// Runs one envelope; returns follow-ups that are to be run here.
    async fn one(
        &self,
        envelope: &Envelope,
        id: Option<TaskId>,
    ) -> Result<(Report, Exit, Vec<NewTask>)> {
        let app = self.app;
        let prepared = match prepare(app, envelope, &Voucher::Local) {
            Ok(prepared) => prepared,
            Err(rejection) => {
                let (report, exit) = self.rejected(rejection).await;
                return Ok((report, exit, Vec::new()));
            }
        };
        if let Some(host) = prepared.host.as_ref().filter(|host| **host != app.host) {
            return Ok((self.elsewhere(&prepared, host), Exit::Rejected, Vec::new()));
        }
        let task_id = id.unwrap_or_else(|| TaskId::new(app.clock.now(), tasks::random_bytes()));
        let (job, source) = (prepared.job.clone(), prepared.source.clone());
        let row = app.manifest.jobs.get(&job);
        let timeout = row.map_or(Span::from_minutes(10), |row| row.timeout);
        let latest: Arc<Mutex<Option<Progress>>> = Arc::default();
        let sink = Arc::clone(&latest);
        let parts = ContextParts {
            task_id,
            job: job.clone(),
            source: source.clone(),
            attempt: 1,
            max_attempts: 1,
            clock: Arc::clone(&self.clock),
            cancellation: cancelled_by_signals(),
            progress: Arc::new(move |progress| {
                *sink.lock().expect("no one panics while holding it") = Some(progress);
            }),
            alert: app.reporter.alerts_of(&job),
            effects: Effects::new(app.db.clone(), Arc::clone(&self.clock), task_id),
        };
        let log = reporting::AttemptLog::new(0);
        let span = reporting::task_span(&job, &source, task_id, 1, &log);
        let inherited = prepared.inherited.clone();
        let began = Instant::now();
        let running = run_handler(app, prepared, parts, timeout);
        let (ended, _scrub) = tracing::Instrument::instrument(running, span).await;
        let mut report = Report {
            job_name: job.to_string(),
            source: source.to_string(),
            proof: "local",
            task_id: Some(task_id),
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Report::default()
        };
        let (exit, more) = self.conclude(ended, task_id, &inherited, &mut report).await;
        Ok((report, exit, more))
    }

    /// What is told of a task whose file is on another host: a file of that path here is another.
    fn elsewhere(&self, prepared: &Prepared, host: &str) -> Report {
        let here = &self.app.host;
        Report {
            outcome: "rejected",
            job_name: prepared.job.to_string(),
            source: prepared.source.to_string(),
            proof: "local",
            error: Some(format!(
                "the task is for the host `{host}`, this one is `{here}`; run it there, or \
                 `main-worker enqueue` it for the worker of that host"
            )),
            ..Report::default()
        }
    }

    async fn conclude(
        &self,
        ended: Ended,
        task: TaskId,
        inherited: &Sections,
        report: &mut Report,
    ) -> (Exit, Vec<NewTask>) {
        let (outcome, exit, error) = match ended {
            Ended::Returned(outcome) => match self.commit(outcome, task, inherited, report).await {
                Ok(Some(more)) => {
                    report.outcome = "completed";
                    return (Exit::Completed, more);
                }
                Ok(None) => ("snoozed", Exit::NotNow, None),
                Err(error) => ("failed", Exit::TryAgain, Some(super::exit::describe(&error))),
            },
            Ended::Failed(JobError::Cancelled) => ("cancelled", Exit::NotNow, None),
            Ended::Failed(error @ JobError::Permanent(_)) => {
                ("failed", Exit::Failed, Some(error.chain()))
            }
            Ended::Failed(error) => ("failed", Exit::TryAgain, Some(error.chain())),
            Ended::Panicked(message) => {
                ("failed", Exit::TryAgain, Some(format!("the handler panicked: {message}")))
            }
            Ended::TimedOut(limit) => {
                ("failed", Exit::TryAgain, Some(format!("the run took longer than {limit}")))
            }
        };
        report.outcome = outcome;
        if let Some(error) = error {
            let error = self.app.reporter.scrubber.scrub(&error).into_owned();
            tracing::error!(error = %error, "run failed");
            report.error = Some(error);
        }
        (exit, Vec::new())
    }

    /// Writes the outcome's rows and stores its follow-ups in one transaction; `None` if snoozed.
    async fn commit(
        &self,
        outcome: Outcome,
        parent: TaskId,
        inherited: &Sections,
        report: &mut Report,
    ) -> Result<Option<Vec<NewTask>>> {
        let (result, write, asked) = match outcome.into_parts() {
            OutcomeParts::Snoozed(_) => return Ok(None),
            OutcomeParts::Completed { result, write, follow_ups } => (result?, write, follow_ups?),
        };
        let tasks = if asked.is_empty() {
            Vec::new()
        } else {
            let producer = self.app.producer("main_worker")?;
            prepare_follow_ups(parent, &producer, inherited, asked)
                .map_err(|error| anyhow!(error))?
        };
        let stored = if self.run_follow_ups { Vec::new() } else { tasks.clone() };
        if write.is_some() || !stored.is_empty() {
            let mut transaction = self.app.db.begin().await?;
            let mut tx = transaction.tx();
            if let Some(write) = write {
                write(&mut tx).await?;
            }
            let enqueued = self.app.store.enqueue_in(&mut tx, stored).await?;
            transaction.commit().await?;
            report.follow_ups = enqueued.iter().map(|enqueued| enqueued.task_id).collect();
        }
        report.result = Some(RawValue::from_string(result.as_str().to_owned())?);
        Ok(Some(if self.run_follow_ups { tasks } else { Vec::new() }))
    }
}

/// A token that SIGTERM and SIGINT cancel.
fn cancelled_by_signals() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};

    let token = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        if let Ok(mut signal) = signal(kind) {
            let token = token.clone();
            tokio::spawn(async move {
                signal.recv().await;
                token.cancel();
            });
        }
    }
    token
}
