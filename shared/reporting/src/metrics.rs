//! Counts and measurements, written as the text Prometheus scrapes.

mod conservation;
mod labels;
mod queue;
mod schedules;
mod text;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use values::{JobName, Source, Span, Timestamp};

use labels::{
    BuildLabels, CodeLabels, JobLabels, OperationLabels, ScheduleLabels, SourceLabels, TaskLabels,
};
pub use queue::QueueDepth;

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The label value of every job, source or schedule that was not named at the start.
pub const UNKNOWN_NAME: &str = "unknown";

/// Upper ends of the histograms' buckets in seconds: a millisecond to an hour.
const BUCKETS_SECONDS: [f64; 14] =
    [0.001, 0.005, 0.02, 0.1, 0.5, 2.5, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0];

/// How an attempt ended for its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskOutcome {
    /// Done.
    Completed,
    /// Failed and waiting for another attempt.
    Retried,
    /// Put off by the job itself.
    Snoozed,
    /// Among the dead letters.
    Discarded,
    /// Stopped on request.
    Cancelled,
}

impl TaskOutcome {
    const COUNT: usize = 5;

    /// The outcome as it stands in the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retried => "retried",
            Self::Snoozed => "snoozed",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The names that may become label values; they bound the number of series.
#[derive(Debug, Clone, Default)]
pub struct MetricNames {
    /// Jobs of the registry.
    pub jobs: Vec<JobName>,
    /// Sources of the manifest.
    pub sources: Vec<Source>,
    /// Schedules of the manifest.
    pub schedules: Vec<String>,
}

/// Every metric of a worker. Nothing is global: each worker, and each test, has its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    jobs: HashMap<JobName, JobMetrics>,
    unknown_job: JobMetrics,
    /// Places of the sources in `JobMetrics::tasks`; the last place is for unknown ones.
    sources: HashMap<Source, usize>,
    source_names: Vec<Arc<str>>,
    schedules: HashMap<String, Counter>,
    queue: Arc<queue::Snapshot>,
    outbox: Arc<queue::Outbox>,
    conservation: Arc<conservation::Comparison>,
    looked_at: Arc<schedules::LookedAt>,
}

type Histograms = Family<JobLabels, Histogram, fn() -> Histogram>;

/// What is registered, by label.
#[derive(Debug)]
struct Families {
    tasks: Family<TaskLabels, Counter>,
    duration: Histograms,
    wait: Histograms,
    running: Family<JobLabels, Gauge>,
    rejections: Family<CodeLabels, Counter>,
    over_quota: Family<SourceLabels, Counter>,
    store_errors: Family<OperationLabels, Counter>,
    ticks: Family<ScheduleLabels, Counter>,
    tick_failures: Family<ScheduleLabels, Counter>,
}

/// The series of one job, each made when it is first used, so that idle jobs have none.
#[derive(Debug)]
struct JobMetrics {
    name: Arc<str>,
    /// By source and outcome.
    tasks: Box<[[OnceLock<Counter>; TaskOutcome::COUNT]]>,
    duration: OnceLock<Histogram>,
    wait: OnceLock<Histogram>,
    running: OnceLock<Gauge>,
}

/// Counts a task as running until it is dropped.
#[derive(Debug)]
#[must_use = "the task counts as running only while this is held"]
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Makes the metrics of a worker of `version` that knows these names.
    pub fn new(version: &str, names: MetricNames) -> Arc<Self> {
        let mut registry = Registry::with_prefix("main_worker");
        let families = Families::register(&mut registry, version);
        let MetricNames { jobs, sources, schedules } = names;
        let known: Vec<Arc<str>> = jobs.iter().map(|job| job.as_str().into()).collect();
        let queue = Arc::new(queue::Snapshot::new(known.clone()));
        registry.register_collector(Box::new(Arc::clone(&queue)));
        let outbox = Arc::<queue::Outbox>::default();
        registry.register_collector(Box::new(Arc::clone(&outbox)));
        let conservation = Arc::new(conservation::Comparison::new(known));
        registry.register_collector(Box::new(Arc::clone(&conservation)));
        let looked_at = Arc::<schedules::LookedAt>::default();
        registry.register_collector(Box::new(Arc::clone(&looked_at)));
        let mut source_names: Vec<Arc<str>> =
            sources.iter().map(|source| source.as_str().into()).collect();
        source_names.push(UNKNOWN_NAME.into());
        let places = source_names.len();
        let tick = |schedule: &str| {
            families.ticks.get_or_create_owned(&ScheduleLabels { schedule: schedule.into() })
        };
        Arc::new(Self {
            jobs: jobs
                .into_iter()
                .map(|job| (job.clone(), JobMetrics::new(job.as_str(), places)))
                .collect(),
            unknown_job: JobMetrics::new(UNKNOWN_NAME, places),
            sources: sources.into_iter().enumerate().map(|(place, name)| (name, place)).collect(),
            source_names,
            schedules: schedules.into_iter().map(|name| (name.clone(), tick(&name))).collect(),
            registry,
            families,
            queue,
            outbox,
            conservation,
            looked_at,
        })
    }

    /// Writes every metric in Prometheus' text format, as [`CONTENT_TYPE`] says.
    pub fn encode(&self) -> String {
        text::encode(&self.registry)
    }

    /// Counts the end of an attempt, with how long it ran and how long its task was due before.
    pub fn task_settled(
        &self,
        job: &JobName,
        source: &Source,
        outcome: TaskOutcome,
        duration: Duration,
        wait: Duration,
    ) {
        let metrics = self.job(job);
        let place = self.sources.get(source).copied().unwrap_or(self.source_names.len() - 1);
        let labels = || TaskLabels {
            job_name: Arc::clone(&metrics.name),
            source: Arc::clone(&self.source_names[place]),
            outcome: outcome.name(),
        };
        metrics.tasks[place][outcome as usize]
            .get_or_init(|| self.families.tasks.get_or_create_owned(&labels()))
            .inc();
        metrics
            .duration
            .get_or_init(|| self.families.duration.get_or_create_owned(&metrics.labels()))
            .observe(duration.as_secs_f64());
        metrics
            .wait
            .get_or_init(|| self.families.wait.get_or_create_owned(&metrics.labels()))
            .observe(wait.as_secs_f64());
    }

    /// Counts a task of a job as running until the result is dropped.
    pub fn task_running(&self, job: &JobName) -> Running {
        let metrics = self.job(job);
        let gauge = metrics
            .running
            .get_or_init(|| self.families.running.get_or_create_owned(&metrics.labels()));
        gauge.inc();
        Running(gauge.clone())
    }

    /// Counts a request that admission refused with this code.
    pub fn rejected(&self, code: &'static str) {
        self.families.rejections.get_or_create(&CodeLabels { code }).inc();
    }

    /// Counts a request for more tasks than `max_waiting` of its source leaves room for.
    pub fn over_quota(&self, source: &Source) {
        let place = self.sources.get(source).copied().unwrap_or(self.source_names.len() - 1);
        let source = Arc::clone(&self.source_names[place]);
        self.families.over_quota.get_or_create(&SourceLabels { source }).inc();
    }

    /// Counts a failure of the task store during this operation, such as `lease`.
    pub fn store_failed(&self, operation: &'static str) {
        self.families.store_errors.get_or_create(&OperationLabels { operation }).inc();
    }

    /// Counts a tick of a schedule that became a task.
    pub fn ticked(&self, schedule: &str) {
        if let Some(counter) = self.schedules.get(schedule) {
            counter.inc();
        } else {
            let schedule = UNKNOWN_NAME.into();
            self.families.ticks.get_or_create(&ScheduleLabels { schedule }).inc();
        }
    }

    /// Counts a look at a schedule that could not enqueue what is due.
    pub fn tick_failed(&self, schedule: &str) {
        let known = self.schedules.contains_key(schedule);
        let schedule = if known { schedule } else { UNKNOWN_NAME }.into();
        self.families.tick_failures.get_or_create(&ScheduleLabels { schedule }).inc();
    }

    /// Says when every schedule was looked at and nothing was left to enqueue.
    pub fn schedules_looked_at(&self, at: Timestamp) {
        self.looked_at.set(at);
    }

    /// Replaces what is known about the queue; what is not in `rows` is gone from the metrics.
    ///
    /// Rows in any order, at most one per job and state; those of unknown jobs are added up.
    pub fn set_queue(&self, rows: Vec<QueueDepth>) {
        self.queue.set(rows);
    }

    /// Says how many mails are not sent yet, and how long the oldest of them has waited.
    pub fn set_outbox(&self, mails: u64, oldest: Span) {
        self.outbox.set(mails, oldest);
    }

    /// Replaces the last comparison of counts and rows: when it was, and by how many tasks each
    /// job differs; rows of one job are added up, those of unknown jobs under one name.
    pub fn set_conservation<'r>(&self, at: Timestamp, rows: impl Iterator<Item = (&'r str, u64)>) {
        self.conservation.set(at, rows);
    }

    fn job(&self, job: &JobName) -> &JobMetrics {
        self.jobs.get(job).unwrap_or(&self.unknown_job)
    }
}

impl JobMetrics {
    fn new(name: &str, sources: usize) -> Self {
        Self {
            name: name.into(),
            tasks: (0..sources).map(|_| Default::default()).collect(),
            duration: OnceLock::new(),
            wait: OnceLock::new(),
            running: OnceLock::new(),
        }
    }

    fn labels(&self) -> JobLabels {
        JobLabels { job_name: Arc::clone(&self.name) }
    }
}

impl Families {
    fn register(registry: &mut Registry, version: &str) -> Self {
        let build = Family::<BuildLabels, Gauge<i64>>::default();
        build.get_or_create(&BuildLabels { version: version.into() }).set(1);
        let histograms = || {
            let new: fn() -> Histogram = || Histogram::new(BUCKETS_SECONDS);
            Family::new_with_constructor(new)
        };
        let families = Self {
            tasks: Family::default(),
            duration: histograms(),
            wait: histograms(),
            running: Family::default(),
            rejections: Family::default(),
            over_quota: Family::default(),
            store_errors: Family::default(),
            ticks: Family::default(),
            tick_failures: Family::default(),
        };
        let Self {
            tasks,
            duration,
            wait,
            running,
            rejections,
            over_quota,
            store_errors,
            ticks,
            tick_failures,
        } = &families;
        registry.register("build_info", "What is running; always 1", build);
        // The encoder adds `_total` to the names of counters.
        registry.register(
            "tasks",
            "Attempts that ended, by what became of the task",
            tasks.clone(),
        );
        registry.register("task_duration_seconds", "How long attempts ran", duration.clone());
        registry.register("task_wait_seconds", "How long due tasks waited to start", wait.clone());
        registry.register("running", "Attempts that are running in this process", running.clone());
        registry.register("rejections", "Requests that admission refused", rejections.clone());
        registry.register(
            "over_quota",
            "Requests beyond what a source may have waiting",
            over_quota.clone(),
        );
        registry.register("store_errors", "Failures of the task store", store_errors.clone());
        registry.register("ticks", "Ticks of schedules that became tasks", ticks.clone());
        registry.register(
            "tick_failures",
            "Looks at a schedule that could not enqueue what is due",
            tick_failures.clone(),
        );
        families
    }
}

#[cfg(test)]
mod tests;
