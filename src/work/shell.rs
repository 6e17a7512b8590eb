//! The shell around the step function: does what it commands and tells it what happened.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use scheduling::Producer;
use tasks::{
    AttemptReport, LeaseRequest, LeasedTask, Progress, Settle, Settled, Settlement, TaskState,
    WorkerRecord,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use values::{JobName, JobPattern, Source, Span, TaskId};

use super::attempt::{Ran, run_attempt};
use super::chores::Chores;
use super::core::{Command, Core, Event, Lease, Settings, Stop, Taken};
use super::heartbeat::{Heartbeat, News};
use super::http::{Pulse, serve};
use crate::app::{App, VERSION};
use crate::title::Title;

/// Messages taken in one turn of the loop.
const MESSAGES: usize = 1_024;
/// The longest time between two turns.
const TURN: Duration = Duration::from_secs(1);
/// Wait before asking again whether the queue is empty.
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

/// How a worker works.
#[derive(Debug, Clone, Default)]
pub struct WorkOptions {
    /// Attempts at once; worker.toml decides when absent.
    pub concurrency: Option<u32>,
    /// End when nothing is left that could run now.
    pub until_empty: bool,
    /// Only these jobs; all when empty.
    pub jobs: Vec<JobPattern>,
    /// Not these jobs.
    pub except: Vec<JobPattern>,
    /// Run the schedules of worker.toml.
    pub schedules: bool,
    /// Where to serve health and metrics.
    pub listen: Option<SocketAddr>,
    /// Stops the worker as the first signal would.
    pub stop: CancellationToken,
    /// Whether the signals of the process are this worker's to take.
    pub signals: bool,
}

/// What a worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkEnd {
    /// Attempts that completed their task.
    pub completed: u64,
    /// Attempts that will be repeated, and snoozed ones.
    pub retried: u64,
    /// Tasks that ended among the dead letters.
    pub discarded: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Tasks that this release does not accept.
    pub held: u64,
}

/// What the loop is told by the tasks it has spawned.
enum Message {
    Leased(Result<Vec<LeasedTask>, String>),
    Started(Vec<Lease>),
    StartFailed(Vec<Lease>),
    Ran(Lease, Box<Ran>, Duration),
    Settled(Vec<(Lease, Settled)>),
    SettleFailed(Vec<(Lease, Ran)>, String),
    Registered(i64),
    Emptiness(bool),
}

/// What a settlement makes of a task, for the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Completed,
    Again,
    Discarded,
    Cancelled,
    Held,
    Returned,
}

impl Ending {
    fn of(settle: &Settle) -> Self {
        match settle {
            Settle::Completed { result: _, write: _, follow_ups: _ } => Self::Completed,
            Settle::Retry { after: _ } | Settle::Snooze { after: _ } => Self::Again,
            Settle::Discard => Self::Discarded,
            Settle::Cancel => Self::Cancelled,
            Settle::Hold { code: _, release: _ } => Self::Held,
            Settle::GiveBack => Self::Returned,
        }
    }
}

/// A lease the shell knows of.
struct Known {
    job: JobName,
    source: Source,
    task_id: TaskId,
    wait: Duration,
    task: Option<LeasedTask>,
    token: CancellationToken,
    stopped: Option<Stop>,
    ran: Option<Ran>,
    outcome: Option<reporting::TaskOutcome>,
    ending: Ending,
    duration: Duration,
    running: Option<reporting::Running>,
    attempt: u32,
    max_attempts: u32,
}

struct Shell {
    app: App,
    core: Core,
    worker: i64,
    jobs: Arc<[(JobName, Option<u32>)]>,
    follow_ups: Arc<Producer>,
    known: HashMap<Lease, Known>,
    progress: Arc<Mutex<BTreeMap<Lease, Progress>>>,
    messages: mpsc::UnboundedSender<Message>,
    heartbeat: Heartbeat,
    title: Title,
    end: WorkEnd,
    store_down: bool,
    /// Cancelled when no more tasks are taken.
    drained: CancellationToken,
}

/// Works until told to stop, or until nothing is left.
///
/// # Errors
/// What prevents the start: an unknown job pattern, a missing key, a store that does not answer.
pub async fn work(app: App, options: WorkOptions) -> Result<WorkEnd> {
    let jobs = chosen_jobs(&app, &options)?;
    let follow_ups = Arc::new(app.producer("main_worker")?);
    let mut chores = Chores::new(&app, options.schedules)?;
    let worker =
        app.store.register(record(&app)).await.context("cannot register with the task store")?;
    chores.myself(worker);
    let (news_sender, mut news) = mpsc::unbounded_channel();
    let heartbeat =
        Heartbeat::start(app.home.database_path(), Arc::clone(&app.clock), worker, news_sender)
            .context("cannot start the heartbeat thread")?;
    let (messages, mut inbox) = mpsc::unbounded_channel();
    let pulse = Arc::new(Pulse::new());
    let stop_http = CancellationToken::new();
    if let Some(address) = options.listen {
        let bound = serve(app.clone(), Arc::clone(&pulse), address, stop_http.clone())
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(address = %bound, "serving /livez, /readyz and /metrics");
    }
    let concurrency = options.concurrency.unwrap_or(app.manifest.worker.concurrency);
    let settings = Settings {
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        prefetch: usize::try_from(app.manifest.worker.prefetch).unwrap_or(0),
        drain_timeout: app.manifest.worker.drain_timeout,
        until_empty: options.until_empty,
    };
    tracing::info!(
        worker = %app.manifest.worker.name, host = %app.host, version = VERSION,
        release = %app.release, concurrency, jobs = jobs.len(), "working"
    );
    let mut shell = Shell {
        core: Core::new(settings),
        worker,
        jobs,
        follow_ups,
        known: HashMap::new(),
        progress: Arc::default(),
        messages,
        heartbeat,
        title: Title::default(),
        end: WorkEnd::default(),
        store_down: false,
        drained: CancellationToken::new(),
        app: app.clone(),
    };
    let mut signals = Signals::new(options.signals)?;
    let mut stops = 0_u32;
    let mut events = vec![Event::Tick];
    let mut batch = Vec::new();
    loop {
        let now = app.clock.now();
        let commands = shell.core.step(now, std::mem::take(&mut events));
        pulse.turn(shell.core.is_draining());
        if shell.core.is_draining() {
            shell.drained.cancel();
        }
        if shell.obey(commands) {
            break;
        }
        chores.turn(&shell.progress, shell.core.is_draining());
        shell.show();
        let patience = shell.patience();
        tokio::select! {
            count = inbox.recv_many(&mut batch, MESSAGES) => {
                debug_assert!(count > 0, "the shell itself holds a sender");
                for message in batch.drain(..) {
                    shell.hear(message, &mut events);
                }
            }
            Some(told) = news.recv() => match told {
                News::Cancel(rows) => events.push(Event::CancelAsked(rows)),
                News::Lost => {
                    tracing::error!("this worker lost its leases; it starts again as a new one");
                    events.push(Event::LeasesLost);
                }
            },
            () = signals.next() => {
                stops += 1;
                events.push(if stops == 1 { Event::Drain } else { Event::Abort });
                tracing::info!(signals = stops, "told to stop");
            }
            () = options.stop.cancelled(), if stops == 0 => {
                stops += 1;
                events.push(Event::Drain);
            }
            () = tokio::time::sleep(patience) => events.push(Event::Tick),
        }
    }
    stop_http.cancel();
    if let Err(error) = app.store.sign_off(shell.worker).await {
        tracing::warn!(error = %error, "could not sign off; others will notice the silence");
    }
    let end = shell.end.clone();
    drop(shell);
    app.flush().await;
    Ok(end)
}

fn record(app: &App) -> WorkerRecord {
    WorkerRecord {
        name: app.manifest.worker.name.clone(),
        host: app.host.clone(),
        pid: std::process::id(),
        version: VERSION.to_owned(),
        release: app.release.clone(),
    }
}

/// The registered jobs that the options leave, each with its limit.
fn chosen_jobs(app: &App, options: &WorkOptions) -> Result<Arc<[(JobName, Option<u32>)]>> {
    for pattern in options.jobs.iter().chain(&options.except) {
        if !app.registry.names().any(|job| pattern.matches(job)) {
            let names: Vec<&str> = app.registry.names().map(JobName::as_str).collect();
            return Err(anyhow!("no job matches `{pattern}`; the jobs are {}", names.join(", ")));
        }
    }
    let wanted = |job: &&JobName| {
        (options.jobs.is_empty() || options.jobs.iter().any(|pattern| pattern.matches(job)))
            && !options.except.iter().any(|pattern| pattern.matches(job))
    };
    let limit = |job: &JobName| app.manifest.jobs.get(job).and_then(|row| row.max_concurrency);
    let jobs: Vec<_> =
        app.registry.names().filter(wanted).map(|job| (job.clone(), limit(job))).collect();
    if jobs.is_empty() {
        return Err(anyhow!("--jobs and --except leave no job to run"));
    }
    Ok(jobs.into())
}

impl Shell {
    /// Does what the core commands; `true` when it is over.
    fn obey(&mut self, commands: Vec<Command>) -> bool {
        for command in commands {
            match command {
                Command::Lease { start, hold, above, wait } => self.lease(start, hold, above, wait),
                Command::Start(leases) => self.start(leases),
                Command::Run(lease) => self.run(lease),
                Command::Settle(leases) => self.settle(&leases),
                Command::GiveBack(leases) => self.give_back(leases),
                Command::Stop(lease, why) => {
                    if let Some(known) = self.known.get_mut(&lease) {
                        known.stopped = Some(why);
                        known.token.cancel();
                    }
                }
                Command::Forget(lease) => {
                    self.known.remove(&lease);
                }
                Command::Register => self.register(),
                Command::CheckEmpty => self.check_empty(),
                Command::Exit => return true,
            }
        }
        false
    }

    fn lease(&self, start: usize, hold: usize, above: Option<u8>, wait: Span) {
        let request = LeaseRequest {
            worker: self.worker,
            host: self.app.host.clone(),
            jobs: Arc::clone(&self.jobs),
            start,
            hold,
            above,
            wait,
        };
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let drained = self.drained.clone();
        tokio::spawn(async move {
            let leased = tokio::select! {
                leased = store.lease(request) => leased.map_err(|error| error.to_string()),
                // What was leased and not received is given back when the worker signs off.
                () = drained.cancelled() => Ok(Vec::new()),
            };
            messages.send(Message::Leased(leased)).ok();
        });
    }

    fn start(&self, leases: Vec<Lease>) {
        let (store, messages, worker) =
            (Arc::clone(&self.app.store), self.messages.clone(), self.worker);
        tokio::spawn(async move {
            let message = match store.start(worker, leases.clone()).await {
                Ok(rows) => {
                    let started = leases.into_iter().filter(|(row, _)| rows.contains(row));
                    Message::Started(started.collect())
                }
                Err(_) => Message::StartFailed(leases),
            };
            messages.send(message).ok();
        });
    }

    fn run(&mut self, lease: Lease) {
        let Some(known) = self.known.get_mut(&lease) else { return };
        let Some(mut leased) = known.task.take() else { return };
        if !leased.started {
            leased.attempt += 1;
            known.attempt = leased.attempt;
        }
        known.running = Some(self.app.reporter.metrics.task_running(&known.job));
        let (app, follow_ups) = (self.app.clone(), Arc::clone(&self.follow_ups));
        let (token, messages) = (known.token.clone(), self.messages.clone());
        let progress = Arc::clone(&self.progress);
        let sink: job::ProgressSink = Arc::new(move |latest| {
            progress.lock().expect("no one panics while holding it").insert(lease, latest);
        });
        tokio::spawn(async move {
            let began = Instant::now();
            let ran = run_attempt(&app, &follow_ups, &leased, token, sink, &app.clock).await;
            messages.send(Message::Ran(lease, Box::new(ran), began.elapsed())).ok();
        });
    }

    fn settle(&mut self, leases: &[Lease]) {
        let mut batch = Vec::with_capacity(leases.len());
        for lease in leases {
            if let Some(ran) = self.known.get_mut(lease).and_then(|known| known.ran.take()) {
                batch.push((*lease, ran));
            }
        }
        self.send_settlements(batch);
    }

    fn give_back(&self, leases: Vec<Lease>) {
        let back = |lease| {
            let report = AttemptReport::default();
            (lease, Ran { settle: Settle::GiveBack, report, outcome: None })
        };
        self.send_settlements(leases.into_iter().map(back).collect());
    }

    fn send_settlements(&self, batch: Vec<(Lease, Ran)>) {
        if batch.is_empty() {
            return;
        }
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let mut again = Vec::with_capacity(batch.len());
        let mut settlements = Vec::with_capacity(batch.len());
        for (lease, ran) in batch {
            again.push((lease, fallback(&ran)));
            let Ran { settle, report, outcome: _ } = ran;
            settlements.push(Settlement { row: lease.0, token: lease.1, settle, report });
        }
        tokio::spawn(async move {
            let message = match store.settle(settlements).await {
                Ok(settled) => {
                    let leases = again.into_iter().map(|(lease, _)| lease);
                    Message::Settled(leases.zip(settled).collect())
                }
                Err(error) => Message::SettleFailed(again, error.to_string()),
            };
            messages.send(message).ok();
        });
    }

    fn register(&self) {
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let record = record(&self.app);
        tokio::spawn(async move {
            loop {
                if let Ok(worker) = store.register(record.clone()).await {
                    messages.send(Message::Registered(worker)).ok();
                    return;
                }
                tokio::time::sleep(TURN).await;
            }
        });
    }

    fn check_empty(&self) {
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let jobs = Arc::clone(&self.jobs);
        tokio::spawn(async move {
            let elsewhere = match store.depths().await {
                Ok(depths) => depths.iter().any(|depth| {
                    depth.state == TaskState::Running
                        && jobs.iter().any(|(job, _)| job.as_str() == depth.job_name)
                }),
                Err(_) => true,
            };
            if elsewhere {
                tokio::time::sleep(EMPTY_PAUSE).await;
            }
            messages.send(Message::Emptiness(!elsewhere)).ok();
        });
    }

    fn hear(&mut self, message: Message, events: &mut Vec<Event>) {
        match message {
            Message::Leased(Ok(tasks)) => {
                self.store_answers(true, "");
                events.push(Event::Leased(tasks.into_iter().map(|task| self.know(task)).collect()));
            }
            Message::Leased(Err(error)) => {
                self.app.reporter.metrics.store_failed("lease");
                self.store_answers(false, &error);
                events.push(Event::LeaseFailed);
            }
            Message::Started(leases) => events.push(Event::Started(leases)),
            Message::StartFailed(leases) => {
                self.app.reporter.metrics.store_failed("start");
                events.push(Event::StartFailed(leases));
            }
            Message::Ran(lease, ran, duration) => self.ended(lease, *ran, duration, events),
            Message::Settled(settled) => self.settled(settled, events),
            Message::SettleFailed(again, error) => {
                self.app.reporter.metrics.store_failed("settle");
                self.store_answers(false, &error);
                let leases = again.iter().map(|(lease, _)| *lease).collect();
                for (lease, ran) in again {
                    if let Some(known) = self.known.get_mut(&lease) {
                        known.ran = Some(ran);
                    }
                }
                events.push(Event::SettleFailed(leases));
            }
            Message::Registered(worker) => {
                self.worker = worker;
                self.heartbeat.switch(worker);
                events.push(Event::Registered);
            }
            Message::Emptiness(empty) => events.push(Event::Emptiness(empty)),
        }
    }

    /// Says once that the store is gone, and once that it is back.
    fn store_answers(&mut self, answers: bool, error: &str) {
        if answers && self.store_down {
            tracing::info!("the task store answers again");
        } else if !answers && !self.store_down {
            tracing::error!(error, "the task store does not answer; trying again");
            self.app.reporter.sentry.report(&reporting::Event::Alert {
                code: "store_unavailable",
                job_name: None,
                message: error,
            });
        }
        self.store_down = !answers;
    }

    fn know(&mut self, leased: LeasedTask) -> Taken {
        let lease = (leased.row, leased.token);
        let taken = Taken {
            lease,
            started: leased.started,
            priority: leased.priority,
            run_at: leased.run_at,
        };
        let unknown = || "unknown/unknown".parse().expect("a job name");
        let nobody = || "unknown".parse().expect("a source");
        let known = Known {
            job: leased.task.job.parse().unwrap_or_else(|_| unknown()),
            source: leased.task.source.parse().unwrap_or_else(|_| nobody()),
            task_id: leased.task.task_id,
            wait: leased.leased_at.since(leased.run_at).to_std(),
            attempt: leased.attempt,
            max_attempts: leased.max_attempts,
            task: Some(leased),
            token: CancellationToken::new(),
            stopped: None,
            ran: None,
            outcome: None,
            ending: Ending::Returned,
            duration: Duration::ZERO,
            running: None,
        };
        self.known.insert(lease, known);
        taken
    }

    fn ended(&mut self, lease: Lease, mut ran: Ran, duration: Duration, events: &mut Vec<Event>) {
        self.progress.lock().expect("no one panics while holding it").remove(&lease);
        if let Some(known) = self.known.get_mut(&lease) {
            known.running = None;
            known.duration = duration;
            stopped(known.stopped, &mut ran);
            known.outcome = ran.outcome;
            known.ending = Ending::of(&ran.settle);
            known.ran = Some(ran);
        }
        events.push(Event::Ended(lease));
    }

    fn settled(&mut self, settled: Vec<(Lease, Settled)>, events: &mut Vec<Event>) {
        let mut over = Vec::with_capacity(settled.len());
        let mut failed = Vec::new();
        for (lease, settled) in settled {
            match settled {
                Settled::Done { follow_ups: _ } => {
                    self.count(lease);
                    over.push(lease);
                }
                Settled::LeaseLost => {
                    tracing::debug!(row = lease.0, "settled by another before");
                    self.known.remove(&lease);
                    over.push(lease);
                }
                Settled::WriteFailed { error, transient } => {
                    failed.push((lease, self.write_failed(lease, error, transient)));
                }
            }
        }
        self.send_settlements(failed);
        events.push(Event::Settled(over));
    }

    /// The final write step refused: the attempt has failed after all.
    fn write_failed(&mut self, lease: Lease, error: String, transient: bool) -> Ran {
        let known = self.known.get_mut(&lease);
        let spent = known.as_ref().is_none_or(|known| known.attempt >= known.max_attempts);
        let (settle, outcome) = if transient && !spent {
            (Settle::Retry { after: Span::from_seconds(1) }, reporting::TaskOutcome::Retried)
        } else {
            (Settle::Discard, reporting::TaskOutcome::Discarded)
        };
        if let Some(known) = known {
            tracing::error!(
                job_name = %known.job, task_id = %known.task_id, error, "the final write step failed"
            );
            if outcome == reporting::TaskOutcome::Discarded {
                let task = reporting::TaskTags {
                    job_name: &known.job,
                    source: &known.source,
                    task_id: known.task_id,
                    attempt: known.attempt,
                };
                self.app.reporter.sentry.report(&reporting::Event::PermanentFailure {
                    task,
                    code: "final_write_failed",
                    message: &error,
                });
            }
            known.outcome = Some(outcome);
            known.ending = Ending::of(&settle);
        }
        let code = Some("final_write_failed".to_owned());
        let report = AttemptReport { code, error: Some(error), log: None };
        Ran { settle, report, outcome: Some(outcome) }
    }

    /// Counts a settled attempt and says so.
    fn count(&mut self, lease: Lease) {
        let Some(known) = self.known.remove(&lease) else { return };
        match known.ending {
            Ending::Completed => self.end.completed += 1,
            Ending::Again => self.end.retried += 1,
            Ending::Discarded => self.end.discarded += 1,
            Ending::Cancelled => self.end.cancelled += 1,
            Ending::Held => self.end.held += 1,
            Ending::Returned => {}
        }
        let Some(outcome) = known.outcome else { return };
        let metrics = &self.app.reporter.metrics;
        metrics.task_settled(&known.job, &known.source, outcome, known.duration, known.wait);
        tracing::info!(
            job_name = %known.job, source = %known.source, task_id = %known.task_id,
            attempt = known.attempt, outcome = outcome.name(),
            duration_ms = u64::try_from(known.duration.as_millis()).unwrap_or(u64::MAX),
            "task settled"
        );
    }

    fn patience(&self) -> Duration {
        let now = self.app.clock.now();
        let wake = self.core.wake_at().map_or(TURN, |at| at.since(now).to_std());
        wake.clamp(Duration::from_millis(1), TURN)
    }

    /// Shows what runs in the process list.
    fn show(&mut self) {
        let running = self.known.values().filter(|known| known.running.is_some());
        self.title.show(running.map(|known| known.job.as_str()));
    }
}

/// An attempt that was told to stop and did not complete ends as it was told.
fn stopped(why: Option<Stop>, ran: &mut Ran) {
    if matches!(ran.settle, Settle::Completed { .. } | Settle::Hold { .. }) {
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
/// the first try, another attempt. Had the first try arrived, the store refuses the second.
fn fallback(ran: &Ran) -> Ran {
    let settle = match &ran.settle {
        Settle::Completed { result, write: None, follow_ups } => Settle::Completed {
            result: result.clone(),
            write: None,
            follow_ups: follow_ups.clone(),
        },
        Settle::Completed { result: _, write: Some(_), follow_ups: _ } => {
            Settle::Retry { after: Span::from_seconds(1) }
        }
        Settle::Retry { after } => Settle::Retry { after: *after },
        Settle::Snooze { after } => Settle::Snooze { after: *after },
        Settle::Discard => Settle::Discard,
        Settle::Cancel => Settle::Cancel,
        Settle::Hold { code, release } => {
            Settle::Hold { code: code.clone(), release: release.clone() }
        }
        Settle::GiveBack => Settle::GiveBack,
    };
    Ran { settle, report: ran.report.clone(), outcome: ran.outcome }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Option<tokio::signal::unix::Signal>,
    interrupt: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    fn new(listen: bool) -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        if !listen {
            return Ok(Self { terminate: None, interrupt: None });
        }
        let terminate = Some(signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?);
        let interrupt = Some(signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?);
        Ok(Self { terminate, interrupt })
    }

    async fn next(&mut self) {
        match (&mut self.terminate, &mut self.interrupt) {
            (Some(terminate), Some(interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ => std::future::pending().await,
        }
    }
}
