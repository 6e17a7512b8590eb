//! What a worker does beside running tasks: schedules, rescue, held tasks, gauges, progress.
//!
//! Each chore runs as a task of its own and at most once at a time, so that none delays the loop.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use envelope::RawJson;
use futures_util::future::BoxFuture;
use manifest::Schedule;
use reporting::Event;
use scheduling::{Producer, TaskOptions};
use tasks::{Progress, Tick};
use tokio::sync::Mutex as AsyncMutex;
use values::{Source, Timestamp};

use super::core::Lease;
use super::heartbeat::SILENCE;
use super::scheduler::{due_ticks, next_tick};
use crate::app::App;

/// How often other workers' heartbeats are looked at.
const RESCUE_EVERY: Duration = Duration::from_secs(1);
/// How often held tasks are reviewed.
const HELD_EVERY: Duration = Duration::from_secs(15);
/// How often queue depths are measured for the metrics.
const DEPTHS_EVERY: Duration = Duration::from_secs(10);
/// How often progress is written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// The longest time between two looks at the schedules.
const SCHEDULES_EVERY: Duration = Duration::from_secs(30);

/// A chore that runs now and then.
struct Chore {
    every: Duration,
    due: Instant,
    busy: Arc<AtomicBool>,
}

impl Chore {
    fn new(every: Duration) -> Self {
        Self { every, due: Instant::now(), busy: Arc::default() }
    }

    /// Runs the chore if it is due and its last run has ended.
    fn turn(&mut self, run: impl FnOnce() -> BoxFuture<'static, ()>) {
        if self.due > Instant::now() || self.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        self.due = Instant::now() + self.every;
        let (busy, running) = (Arc::clone(&self.busy), run());
        tokio::spawn(async move {
            running.await;
            busy.store(false, Ordering::SeqCst);
        });
    }
}

/// The chores of one worker.
pub(super) struct Chores {
    app: App,
    worker: Arc<AtomicI64>,
    producers: Option<Arc<BTreeMap<Source, Producer>>>,
    ticked: Arc<AsyncMutex<HashMap<String, Timestamp>>>,
    beats: Arc<AsyncMutex<HashMap<i64, (i64, Instant)>>>,
    next_tick: Option<Timestamp>,
    schedules: Chore,
    rescue: Chore,
    held: Chore,
    depths: Chore,
    progress: Chore,
}

impl Chores {
    /// Prepares the chores; with schedules, this machine must hold the keys of their sources.
    pub(super) fn new(app: &App, schedules: bool) -> Result<Self> {
        let mut producers = BTreeMap::new();
        if schedules {
            for schedule in app.manifest.schedules.values() {
                if !producers.contains_key(&schedule.source) {
                    let producer = app.producer(schedule.source.as_str())?;
                    producers.insert(schedule.source.clone(), producer);
                }
            }
        }
        Ok(Self {
            app: app.clone(),
            worker: Arc::default(),
            producers: schedules.then(|| Arc::new(producers)),
            ticked: Arc::default(),
            beats: Arc::default(),
            next_tick: None,
            schedules: Chore::new(SCHEDULES_EVERY),
            rescue: Chore::new(RESCUE_EVERY),
            held: Chore::new(HELD_EVERY),
            depths: Chore::new(DEPTHS_EVERY),
            progress: Chore::new(PROGRESS_EVERY),
        })
    }

    /// Does whatever is due; `worker` is this worker's number.
    pub(super) fn turn(
        &mut self,
        worker: i64,
        latest: &Arc<Mutex<BTreeMap<Lease, Progress>>>,
        draining: bool,
    ) {
        self.worker.store(worker, Ordering::SeqCst);
        let app = &self.app;
        if !latest.lock().expect("no one panics while holding it").is_empty() {
            self.progress.turn(|| Box::pin(write_progress(app.clone(), Arc::clone(latest))));
        }
        self.depths.turn(|| Box::pin(measure(app.clone())));
        if draining {
            return;
        }
        self.rescue.turn(|| {
            Box::pin(rescue(app.clone(), Arc::clone(&self.worker), Arc::clone(&self.beats)))
        });
        self.held.turn(|| Box::pin(review_held(app.clone())));
        if let Some(producers) = &self.producers {
            let now = app.clock.now();
            // The loop turns often; cron rows are only looked at when one of them is due.
            if self.next_tick.is_none_or(|at| at <= now) {
                if self.next_tick.is_some() {
                    self.schedules.due = Instant::now();
                }
                self.next_tick = next_tick(app.manifest.schedules.values(), now);
            }
            self.schedules.turn(|| {
                Box::pin(tick(app.clone(), Arc::clone(producers), Arc::clone(&self.ticked)))
            });
        }
    }
}

/// Enqueues the ticks that are due, each at most once across all workers.
async fn tick(
    app: App,
    producers: Arc<BTreeMap<Source, Producer>>,
    ticked: Arc<AsyncMutex<HashMap<String, Timestamp>>>,
) {
    let mut ticked = ticked.lock().await;
    for schedule in app.manifest.schedules.values() {
        let Some(producer) = producers.get(&schedule.source) else { continue };
        if let Err(error) = tick_one(&app, producer, schedule, &mut ticked).await {
            tracing::warn!(schedule = %schedule.name, error = %error, "schedule not ticked; trying again");
        }
    }
}

async fn tick_one(
    app: &App,
    producer: &Producer,
    schedule: &Schedule,
    ticked: &mut HashMap<String, Timestamp>,
) -> Result<()> {
    let now = app.clock.now();
    let last = match ticked.get(&schedule.name) {
        Some(last) => *last,
        None => app.store.last_tick(schedule.name.clone(), now).await?,
    };
    ticked.insert(schedule.name.clone(), last);
    for nominal_at in due_ticks(schedule, last, now) {
        let payload = RawJson::from_value(&schedule.payload)?;
        let options = TaskOptions {
            priority: Some(schedule.priority),
            labels: vec![format!("schedule:{}", schedule.name)],
            ..TaskOptions::default()
        };
        let tick = Tick { schedule: schedule.name.clone(), nominal_at };
        let enqueued = producer.enqueue_tick(tick, &schedule.job, payload, options).await?;
        ticked.insert(schedule.name.clone(), nominal_at);
        if !enqueued.existing {
            app.reporter.metrics.ticked(&schedule.name);
            tracing::info!(
                schedule = %schedule.name, nominal_at = %nominal_at, task_id = %enqueued.task_id,
                "schedule ticked"
            );
        }
    }
    Ok(())
}

/// Looks at the others' heartbeats over this process's monotonic clock.
async fn rescue(
    app: App,
    worker: Arc<AtomicI64>,
    seen: Arc<AsyncMutex<HashMap<i64, (i64, Instant)>>>,
) {
    let Ok(beats) = app.store.beats().await else { return };
    let mut seen = seen.lock().await;
    let now = Instant::now();
    let myself = worker.load(Ordering::SeqCst);
    let mut silent = Vec::new();
    for (number, beat) in &beats {
        let entry = seen.entry(*number).or_insert((*beat, now));
        if entry.0 != *beat {
            *entry = (*beat, now);
        }
        if *number != myself && now.duration_since(entry.1) >= SILENCE {
            silent.push((*number, *beat));
        }
    }
    seen.retain(|number, _| beats.iter().any(|(alive, _)| alive == number));
    if silent.is_empty() {
        return;
    }
    match app.store.rescue(silent).await {
        Ok(rescued) if rescued.workers > 0 => {
            tracing::warn!(
                workers = rescued.workers,
                returned = rescued.returned,
                discarded = rescued.discarded.len(),
                "tasks of dead workers returned"
            );
            for (task, job) in rescued.discarded {
                let message =
                    format!("task {task} of {job} was on its last attempt when its worker died");
                let event = Event::Alert { code: "worker_lost", job_name: None, message: &message };
                app.reporter.sentry.report(&event);
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(error = %error, "could not rescue tasks"),
    }
}

/// Offers held tasks to this release again if another one held them; ends those over the limit.
async fn review_held(app: App) {
    let limit = app.clock.now().before(app.manifest.worker.hold_limit);
    let over = match app.store.review_held(app.holder(), limit).await {
        Ok(over) if !over.is_empty() => over,
        _ => return,
    };
    for task in &over {
        let message = format!(
            "task {} of {} was held since {}: {}",
            task.task_id, task.job, task.since, task.code
        );
        tracing::error!(task_id = %task.task_id, job_name = %task.job, code = %task.code, "held task discarded");
        app.reporter.sentry.report(&Event::Alert {
            code: "held_too_long",
            job_name: None,
            message: &message,
        });
    }
    if let Err(error) = app.store.discard_held(over).await {
        tracing::warn!(error = %error, "could not discard held tasks");
    }
}

/// Measures the queue for the metrics.
async fn measure(app: App) {
    let Ok(depths) = app.store.depths().await else { return };
    let now = app.clock.now();
    let mut rows: BTreeMap<(String, &'static str), (u64, Option<Timestamp>)> = BTreeMap::new();
    for depth in depths {
        let row = rows.entry((depth.job_name, depth.state.as_str())).or_default();
        row.0 += depth.count;
        row.1 = match (row.1, depth.oldest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    let rows = rows.into_iter().filter_map(|((job, state), (tasks, oldest))| {
        let job_name = job.parse().ok()?;
        let oldest = oldest.map(|oldest| now.since(oldest));
        Some(reporting::QueueDepth { job_name, state, tasks, oldest })
    });
    app.reporter.metrics.set_queue(rows.collect());
}

async fn write_progress(app: App, latest: Arc<Mutex<BTreeMap<Lease, Progress>>>) {
    let taken = std::mem::take(&mut *latest.lock().expect("no one panics while holding it"));
    let batch = taken.into_iter().map(|((row, token), progress)| (row, token, progress)).collect();
    if let Err(error) = app.store.progress(batch).await {
        tracing::debug!(error = %error, "progress not written");
    }
}
