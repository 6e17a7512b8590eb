//! The shell around the step function: does what it commands and tells it what happened.

mod calls;
mod forgotten;
mod hearing;
mod known;
mod signals;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use manifest::Manifest;
use scheduling::Producer;
use tasks::{JobLimits, Progress, SourceLimits, TaskState, WorkerRecord};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use values::{JobName, JobPattern};
use work_loop::{Command, Core, Event, Lease, Settings, Stop};

use forgotten::Forgotten;
use hearing::Message;
use known::Known;
use signals::Signals;

use super::chores::Chores;
use super::handlers::Handlers;
use super::heartbeat::{Heartbeat, News};
use super::http::{Pulse, serve};
use super::moments;
use crate::app::{App, VERSION};
use crate::configuration;
use crate::title::Title;

/// Messages taken in one turn of the loop.
const MESSAGES: usize = 1_024;
/// The longest time between two turns.
const TURN: Duration = Duration::from_millis(500);
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
    /// Tasks left to other workers because the store did not answer at the end.
    pub abandoned: u64,
    /// Tasks of paused jobs that were left waiting; only counted at the end of an empty queue.
    pub paused: u64,
}

struct Shell {
    app: App,
    core: Core,
    worker: i64,
    /// Jobs to lease.
    jobs: Arc<[JobLimits]>,
    /// Sources with limits.
    sources: Arc<[SourceLimits]>,
    follow_ups: Arc<Producer>,
    known: HashMap<Lease, Known>,
    forgotten: Forgotten,
    progress: Arc<Mutex<BTreeMap<Lease, Progress>>>,
    messages: mpsc::UnboundedSender<Message>,
    heartbeat: Heartbeat,
    handlers: Handlers,
    title: Title,
    end: WorkEnd,
    store_down: bool,
    pulse: Arc<Pulse>,
    /// Cancelled when no more tasks are taken.
    drained: CancellationToken,
}

/// Works until told to stop, or until nothing is left.
///
/// # Errors
/// What prevents the start: an unknown job pattern, a missing key, a payments section that cannot
/// work, a store that does not answer.
pub async fn work(app: App, options: WorkOptions) -> Result<WorkEnd> {
    let (jobs, sources) = (chosen_jobs(&app, &options)?, limited_sources(&app.manifest));
    configuration::check_payments(&app.sections, app.settings.environment())?;
    let follow_ups = Arc::new(app.producer("main_worker")?);
    let pulse = Arc::new(Pulse::new());
    let mut chores = Chores::new(&app, options.schedules, &pulse)?;
    let sent = moments::now();
    let worker =
        app.store.register(record(&app)).await.context("cannot register with the task store")?;
    let (news_sender, news) = mpsc::unbounded_channel();
    let stop_http = CancellationToken::new();
    let heartbeat = Heartbeat::start(app.clone(), (worker, sent), news_sender, Arc::clone(&pulse))
        .context("cannot start the heartbeat thread")?;
    let (messages, inbox) = mpsc::unbounded_channel();
    if let Some(address) = options.listen {
        serve(app.clone(), Arc::clone(&pulse), address, stop_http.clone())
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
    }
    let (settings, until_empty) = (core_settings(&app, &options), options.until_empty);
    tracing::info!(
        worker = %app.manifest.worker.name, host = %app.host, version = VERSION,
        environment = app.settings.environment(), release = %app.release, concurrency = settings.concurrency, jobs = jobs.len(), "working"
    );
    let mut shell = Shell {
        core: Core::new(settings),
        worker,
        jobs,
        sources,
        follow_ups,
        known: HashMap::new(),
        forgotten: Forgotten::default(),
        progress: Arc::default(),
        messages,
        heartbeat,
        handlers: Handlers::start().context("cannot start the threads of handlers")?,
        title: Title::default(),
        end: WorkEnd::default(),
        store_down: false,
        pulse: Arc::clone(&pulse),
        drained: CancellationToken::new(),
        app: app.clone(),
    };
    let signals = Signals::new(options.signals)?;
    let mut ears = Ears { inbox, news, signals, stop: options.stop, stops: 0, batch: Vec::new() };
    let mut events = vec![Event::Tick];
    loop {
        shell.feel_pulse(&mut events);
        let commands = shell.core.step(moments::now(), std::mem::take(&mut events));
        let draining = shell.core.is_draining();
        pulse.turn(draining);
        if draining {
            shell.drained.cancel();
        }
        if shell.obey(commands) {
            break;
        }
        chores.turn(shell.worker, &shell.progress, draining);
        if !draining {
            shell.review_leases();
        }
        shell.show();
        ears.listen(&mut shell, &mut events).await;
    }
    stop_http.cancel();
    let paused = if until_empty { left_paused(&app).await } else { 0 };
    Ok(WorkEnd { paused, ..end(&app, shell).await })
}

/// Counts what waits and would run if its job were not paused.
async fn left_paused(app: &App) -> u64 {
    let (Ok(paused), Ok(depths)) = (app.store.paused().await, app.store.depths().await) else {
        return 0;
    };
    let is_paused = |job: &String| paused.iter().any(|name| name == "*" || name == job);
    let left = depths.iter().filter(|depth| depth.state == TaskState::Available);
    left.filter(|depth| is_paused(&depth.job_name)).map(|depth| depth.count).sum()
}

/// Signs off and sums up.
async fn end(app: &App, mut shell: Shell) -> WorkEnd {
    if let Err(error) = app.store.sign_off(shell.worker).await {
        tracing::warn!(error = %error, "could not sign off; others will notice the silence");
    }
    shell.end.abandoned = shell.core.abandoned() as u64;
    if shell.end.abandoned > 0 {
        tracing::error!(tasks = shell.end.abandoned, "not settled; other workers take them over");
    }
    let end = std::mem::take(&mut shell.end);
    drop(shell);
    app.flush().await;
    end
}

fn core_settings(app: &App, options: &WorkOptions) -> Settings {
    let worker = &app.manifest.worker;
    let concurrency = options.concurrency.unwrap_or(worker.concurrency);
    Settings {
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        prefetch: usize::try_from(worker.prefetch).unwrap_or(0),
        drain_timeout: worker.drain_timeout,
        until_empty: options.until_empty,
    }
}

/// Everything the loop waits for.
struct Ears {
    inbox: mpsc::UnboundedReceiver<Message>,
    news: mpsc::UnboundedReceiver<News>,
    signals: Signals,
    stop: CancellationToken,
    stops: u32,
    batch: Vec<Message>,
}

impl Ears {
    /// Waits for something to happen, at most until the core has to look again.
    async fn listen(&mut self, shell: &mut Shell, events: &mut Vec<Event>) {
        tokio::select! {
            _ = self.inbox.recv_many(&mut self.batch, MESSAGES) => {
                for message in self.batch.drain(..) {
                    shell.hear(message, events);
                }
            }
            Some(told) = self.news.recv() => match told {
                News::Cancel(rows) => events.push(Event::CancelAsked(rows)),
                News::Lost => {}
            },
            () = self.signals.next() => {
                self.stops += 1;
                tracing::info!(signals = self.stops, "told to stop");
                events.push(if self.stops == 1 { Event::Drain } else { Event::Abort });
            }
            () = self.stop.cancelled(), if self.stops == 0 => {
                self.stops += 1;
                events.push(Event::Drain);
            }
            () = tokio::time::sleep(shell.patience()) => events.push(Event::Tick),
        }
    }
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

/// The registered jobs that the options leave, with their limits.
fn chosen_jobs(app: &App, options: &WorkOptions) -> Result<Arc<[JobLimits]>> {
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
    let limits = |job: &JobName| {
        let row = app.manifest.jobs.get(job);
        JobLimits {
            job: job.clone(),
            max_concurrency: row.and_then(|row| row.max_concurrency),
            rate: row.and_then(|row| row.rate_limit),
        }
    };
    let jobs: Vec<_> = app.registry.names().filter(wanted).map(limits).collect();
    if jobs.is_empty() {
        return Err(anyhow!("--jobs and --except leave no job to run"));
    }
    Ok(jobs.into())
}

/// The sources whose tasks are limited whatever their job.
fn limited_sources(manifest: &Manifest) -> Arc<[SourceLimits]> {
    let limits = manifest.sources.iter().map(|(source, rules)| SourceLimits {
        source: source.clone(),
        max_concurrency: rules.max_concurrency,
        rate: rules.rate_limit,
    });
    limits.filter(|limits| limits.max_concurrency.is_some() || limits.rate.is_some()).collect()
}

impl Shell {
    /// Tells the core first of all if its leases are lost, so that it begins nothing more.
    fn feel_pulse(&self, events: &mut Vec<Event>) {
        if self.heartbeat.lost() {
            tracing::error!("this worker lost its leases; it starts again as a new one");
            events.insert(0, Event::LeasesLost);
        }
    }

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
                        if why == Stop::LeaseLost {
                            known.lost.cancel();
                        }
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

    fn patience(&self) -> Duration {
        let wake = self.core.wake_at().map_or(TURN, moments::until);
        wake.clamp(Duration::from_millis(1), TURN)
    }

    /// Shows what runs in the process list.
    fn show(&mut self) {
        let running = self.known.values().filter(|known| known.running.is_some());
        self.title.show(running.map(|known| known.job.as_str()));
    }
}
