//! The shell around the step function: does what it commands and tells it what happened.

mod calls;
mod hearing;
mod known;
mod signals;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use scheduling::Producer;
use tasks::{Progress, WorkerRecord};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use values::{JobName, JobPattern};

use hearing::Message;
use known::Known;
use signals::Signals;

use super::chores::Chores;
use super::core::{Command, Core, Event, Lease, Settings};
use super::heartbeat::{Heartbeat, News};
use super::http::{Pulse, serve};
use crate::app::{App, VERSION};
use crate::title::Title;

/// Messages taken in one turn of the loop.
const MESSAGES: usize = 1_024;
/// The longest time between two turns.
const TURN: Duration = Duration::from_secs(1);
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
}

/// Jobs to lease, each with the number that may run at once across all workers.
type Jobs = Arc<[(JobName, Option<u32>)]>;

struct Shell {
    app: App,
    core: Core,
    worker: i64,
    jobs: Jobs,
    follow_ups: Arc<Producer>,
    known: HashMap<Lease, Known>,
    progress: Arc<Mutex<BTreeMap<Lease, Progress>>>,
    messages: mpsc::UnboundedSender<Message>,
    heartbeat: Heartbeat,
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
/// What prevents the start: an unknown job pattern, a missing key, a store that does not answer.
pub async fn work(app: App, options: WorkOptions) -> Result<WorkEnd> {
    let jobs = chosen_jobs(&app, &options)?;
    let follow_ups = Arc::new(app.producer("main_worker")?);
    let mut chores = Chores::new(&app, options.schedules)?;
    let worker =
        app.store.register(record(&app)).await.context("cannot register with the task store")?;
    let (news_sender, news) = mpsc::unbounded_channel();
    let (pulse, stop_http) = (Arc::new(Pulse::new()), CancellationToken::new());
    let (path, clock) = (app.home.database_path(), Arc::clone(&app.clock));
    let heartbeat = Heartbeat::start(path, clock, worker, news_sender, Arc::clone(&pulse))
        .context("cannot start the heartbeat thread")?;
    let (messages, inbox) = mpsc::unbounded_channel();
    if let Some(address) = options.listen {
        serve(app.clone(), Arc::clone(&pulse), address, stop_http.clone())
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
    }
    let settings = core_settings(&app, &options);
    tracing::info!(
        worker = %app.manifest.worker.name, host = %app.host, version = VERSION,
        release = %app.release, concurrency = settings.concurrency, jobs = jobs.len(), "working"
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
        pulse: Arc::clone(&pulse),
        drained: CancellationToken::new(),
        app: app.clone(),
    };
    let mut ears = Ears {
        inbox,
        news,
        signals: Signals::new(options.signals)?,
        stop: options.stop,
        stops: 0,
        batch: Vec::new(),
    };
    let mut events = vec![Event::Tick];
    loop {
        let commands = shell.core.step(app.clock.now(), std::mem::take(&mut events));
        let draining = shell.core.is_draining();
        pulse.turn(draining);
        if draining {
            shell.drained.cancel();
        }
        if shell.obey(commands) {
            break;
        }
        chores.turn(shell.worker, &shell.progress, draining);
        shell.show();
        ears.listen(&mut shell, &mut events).await;
    }
    stop_http.cancel();
    Ok(end(&app, shell).await)
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
                News::Lost => {
                    tracing::error!("this worker lost its leases; it starts again as a new one");
                    events.push(Event::LeasesLost);
                }
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

/// The registered jobs that the options leave, each with its limit.
fn chosen_jobs(app: &App, options: &WorkOptions) -> Result<Jobs> {
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
