//! What a worker does beside running tasks: schedules, watched folders, rescue, held tasks, gauges,
//! progress.
//!
//! Each chore runs as a task of its own and at most once at a time, so that none delays the loop.

mod conservation;
mod schedules;
mod watched;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::BoxFuture;
use reporting::Event;
use tasks::Progress;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;
use values::{Span, Timestamp};
use work_loop::{LOOK_EVERY, LOOK_LIMIT, Lease, Watch, next_tick};

use watched::Watched;

pub(super) use schedules::Schedules;

use super::http::Pulse;
use super::moments;
use crate::app::App;

/// How often held tasks are reviewed.
const HELD_EVERY: Duration = Duration::from_secs(5);
/// How often queue depths are measured for the metrics.
const DEPTHS_EVERY: Duration = Duration::from_secs(10);
/// How often the outbox is measured for the metrics.
const OUTBOX_EVERY: Duration = Duration::from_mins(1);
/// How often progress is written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How long one run of a chore may take; a store that never answers must not end it for ever.
const CHORE_LIMIT: Duration = Duration::from_mins(1);

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
        let busy = Arc::clone(&self.busy);
        let running = tokio::spawn(timeout(CHORE_LIMIT, run()));
        tokio::spawn(async move {
            match running.await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::warn!("a chore took too long; it is done again"),
                Err(error) => tracing::error!(error = %error, "a chore broke; it is done again"),
            }
            busy.store(false, Ordering::SeqCst);
        });
    }
}

/// The chores of one worker.
pub(super) struct Chores {
    app: App,
    worker: Arc<AtomicI64>,
    schedules: Option<Arc<Schedules>>,
    watched: Option<Arc<Watched>>,
    watch: Arc<AsyncMutex<Watch>>,
    next_tick: Option<Timestamp>,
    ticks: Chore,
    rescue: Chore,
    held: Chore,
    depths: Chore,
    outbox: Chore,
    progress: Chore,
    books: Chore,
    folders: Chore,
    told: conservation::Told,
}

impl Chores {
    /// Prepares the chores; with schedules, this machine must hold the keys of their sources.
    pub(super) fn new(app: &App, schedules: bool, health: &Arc<Pulse>) -> Result<Self> {
        let schedules = if schedules { Some(Schedules::new(app, health)?) } else { None };
        Ok(Self {
            app: app.clone(),
            worker: Arc::default(),
            schedules: schedules.map(Arc::new),
            watched: Watched::new(app)?.map(Arc::new),
            watch: Arc::default(),
            next_tick: None,
            ticks: Chore::new(schedules::EVERY),
            rescue: Chore::new(LOOK_EVERY.to_std()),
            held: Chore::new(HELD_EVERY),
            depths: Chore::new(DEPTHS_EVERY),
            outbox: Chore::new(OUTBOX_EVERY),
            progress: Chore::new(PROGRESS_EVERY),
            books: Chore::new(conservation::EVERY),
            folders: Chore::new(watched::EVERY),
            told: conservation::Told::default(),
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
        self.outbox.turn(|| Box::pin(measure_outbox(app.clone())));
        if draining {
            return;
        }
        self.rescue.turn(|| {
            Box::pin(rescue(app.clone(), Arc::clone(&self.worker), Arc::clone(&self.watch)))
        });
        self.books.turn(|| {
            Box::pin(conservation::compare(app.clone(), conservation::Told::clone(&self.told)))
        });
        self.held.turn(|| Box::pin(review_held(app.clone())));
        if let Some(watched) = &self.watched {
            let watched = Arc::clone(watched);
            self.folders.turn(|| Box::pin(async move { watched.look().await }));
        }
        if let Some(schedules) = &self.schedules {
            let now = app.store.now();
            // The loop turns often; cron rows are only looked at when one of them is due.
            if self.next_tick.is_none_or(|at| at <= now) {
                if self.next_tick.is_some() {
                    self.ticks.due = Instant::now();
                }
                self.next_tick = next_tick(app.manifest.schedules.values(), now);
            }
            if schedules.take_failed() {
                self.ticks.due = self.ticks.due.min(Instant::now() + schedules::AGAIN);
            }
            self.ticks.turn(|| Box::pin(Arc::clone(schedules).look()));
        }
    }
}

/// Looks at the others' heartbeats.
async fn rescue(app: App, worker: Arc<AtomicI64>, watch: Arc<AsyncMutex<Watch>>) {
    let sent = moments::now();
    let Ok(Ok(beats)) = timeout(LOOK_LIMIT.to_std(), app.store.beats()).await else { return };
    let myself = worker.load(Ordering::SeqCst);
    let silent = watch.lock().await.looked(sent, moments::now(), myself, &beats);
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
    let limit = app.store.now().before(app.manifest.worker.hold_limit);
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

/// Measures the outbox for the metrics.
async fn measure_outbox(app: App) {
    match models::outbox::unsent(&app.db).await {
        Ok(found) => {
            let (mails, oldest) = found.map_or((0, Span::ZERO), |unsent| {
                (unsent.count, app.clock.now().since(unsent.oldest))
            });
            app.reporter.metrics.set_outbox(mails, oldest);
        }
        Err(error) => tracing::debug!(error = %error, "outbox not measured"),
    }
}

async fn write_progress(app: App, latest: Arc<Mutex<BTreeMap<Lease, Progress>>>) {
    let taken = std::mem::take(&mut *latest.lock().expect("no one panics while holding it"));
    let batch = taken.into_iter().map(|((row, token), progress)| (row, token, progress)).collect();
    if let Err(error) = app.store.progress(batch).await {
        tracing::debug!(error = %error, "progress not written");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn a_chore_that_breaks_is_done_again() {
        let (mut chore, begun) = (Chore::new(Duration::ZERO), Arc::new(AtomicUsize::new(0)));
        let again = async {
            while begun.load(Ordering::SeqCst) < 3 {
                let begun = Arc::clone(&begun);
                chore.turn(|| {
                    Box::pin(async move {
                        assert!(begun.fetch_add(1, Ordering::SeqCst) > 0, "breaks the first time");
                    })
                });
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), again).await.expect("it is done again and again");
    }
}
