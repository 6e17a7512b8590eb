//! The schedules: what is due is enqueued; what cannot be is tried again, and told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use envelope::RawJson;
use manifest::Schedule;
use reporting::Event;
use scheduling::{EnqueueError, Producer, TaskOptions};
use tasks::{StoreError, Tick};
use tokio::sync::Mutex;
use values::{Classify, Retry, Source};
use work_loop::Ticked;

use crate::app::App;
use crate::work::http::{Pulse, Written};

/// The longest time between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(30);
/// How soon after a look that failed the next one follows.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// How long a look may take.
const LIMIT: Duration = Duration::from_mins(1);
/// How long what may pass by itself is waited for before people are told.
const PATIENCE: Duration = Duration::from_mins(1);

/// What one worker knows of its schedules.
pub(in crate::work) struct Schedules {
    app: App,
    producers: BTreeMap<Source, Producer>,
    health: Arc<Pulse>,
    known: Mutex<Known>,
    failed: AtomicBool,
}

#[derive(Default)]
struct Known {
    ticked: Ticked,
    /// The schedules that fail: since when, and whether people were told.
    failing: BTreeMap<String, (Instant, bool)>,
}

impl Schedules {
    /// Takes a producer for each source that schedules speak for.
    ///
    /// # Errors
    /// If this machine does not hold the key of one.
    pub(in crate::work) fn new(app: &App, health: &Arc<Pulse>) -> Result<Self> {
        let mut producers = BTreeMap::new();
        for schedule in app.manifest.schedules.values() {
            if !producers.contains_key(&schedule.source) {
                let producer = app.producer(schedule.source.as_str())?;
                producers.insert(schedule.source.clone(), producer);
            }
        }
        let (health, known, failed) = (Arc::clone(health), Mutex::default(), AtomicBool::default());
        Ok(Self { app: app.clone(), producers, health, known, failed })
    }

    /// Whether the last look failed, told once.
    pub(in crate::work) fn take_failed(&self) -> bool {
        self.failed.swap(false, Ordering::SeqCst)
    }

    /// Enqueues the ticks that are due, each at most once across all workers.
    pub(in crate::work) async fn look(self: Arc<Self>) {
        // What a panic leaves is a failure, too.
        let unfinished = "a look at the schedules did not end".to_owned();
        self.health.wrote(Written::Schedules, None);
        self.failed.store(true, Ordering::SeqCst);
        let mut known = self.known.lock().await;
        let Ok(well) = tokio::time::timeout(LIMIT, self.tick(&mut known)).await else {
            tracing::error!(seconds = LIMIT.as_secs(), "{unfinished}");
            self.health.wrote(Written::Schedules, Some(unfinished));
            return;
        };
        if well {
            self.failed.store(false, Ordering::SeqCst);
            self.app.reporter.metrics.schedules_looked_at(self.app.store.now());
        }
    }

    /// Says whether nothing that is due is left.
    async fn tick(&self, known: &mut Known) -> bool {
        for schedule in self.app.manifest.schedules.values() {
            let Some(producer) = self.producers.get(&schedule.source) else { continue };
            match self.tick_one(producer, schedule, &mut known.ticked).await {
                Ok(()) => {
                    if known.failing.remove(&schedule.name).is_some() {
                        tracing::info!(schedule = %schedule.name, "schedule ticks again");
                    }
                }
                Err(error) => self.tell(schedule, &error, &mut known.failing),
            }
        }
        known.failing.is_empty()
    }

    async fn tick_one(
        &self,
        producer: &Producer,
        schedule: &Schedule,
        ticked: &mut Ticked,
    ) -> Result<(), EnqueueError> {
        let now = self.app.store.now();
        if !ticked.knows(schedule) {
            let latest = self.app.store.last_tick(schedule.name.clone(), now).await?;
            ticked.begin(schedule, latest);
        }
        for nominal_at in ticked.due(schedule, now) {
            let payload = RawJson::from_value(&schedule.payload).map_err(EnqueueError::Payload)?;
            let options = TaskOptions {
                priority: Some(schedule.priority),
                labels: vec![format!("schedule:{}", schedule.name)],
                ..TaskOptions::default()
            };
            let tick = Tick { schedule: schedule.name.clone(), nominal_at };
            let enqueued = producer.enqueue_tick(tick, &schedule.job, payload, options).await;
            if let Err(EnqueueError::Store(StoreError::QuotaExceeded { from, .. })) = &enqueued {
                self.app.reporter.metrics.over_quota(from);
            }
            let enqueued = enqueued?;
            ticked.done(schedule, nominal_at);
            if !enqueued.existing {
                self.app.reporter.metrics.ticked(&schedule.name);
                tracing::info!(
                    schedule = %schedule.name, nominal_at = %nominal_at,
                    task_id = %enqueued.task_id, "schedule ticked"
                );
            }
        }
        Ok(())
    }

    /// Counts a failure; logs the first, and tells people once time does not mend it.
    fn tell(
        &self,
        schedule: &Schedule,
        error: &EnqueueError,
        failing: &mut BTreeMap<String, (Instant, bool)>,
    ) {
        self.app.reporter.metrics.tick_failed(&schedule.name);
        if !failing.contains_key(&schedule.name) {
            tracing::warn!(schedule = %schedule.name, error = %error, "schedule not ticked; trying again");
        }
        let (since, told) =
            failing.entry(schedule.name.clone()).or_insert_with(|| (Instant::now(), false));
        if *told || (error.retry() != Retry::Never && since.elapsed() < PATIENCE) {
            return;
        }
        *told = true;
        let message = format!("the schedule {} does not tick: {error}", schedule.name);
        tracing::error!(code = "schedule_not_ticked", reason = message, "a schedule is silent");
        self.app.reporter.sentry.report(&Event::Alert {
            code: "schedule_not_ticked",
            job_name: Some(&schedule.job),
            message: &message,
        });
    }
}
