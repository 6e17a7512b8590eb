//! What a test works with: a store, its clock, and short ways to say common things.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use database::{Db, Query};
use envelope::{RawJson, Stamp};
use futures_util::future::BoxFuture;
use tasks::{
    AttemptReport, Enqueued, LeaseRequest, LeasedTask, NewTask, Settle, Settled, Settlement,
    SqliteStore, TaskFilter, TaskState, TaskStore, TaskSummary, WorkerRecord, random_bytes,
};
use values::{Clock, JobName, Span, TaskId, Timestamp};

/// The jobs that [`World::request`] asks for.
pub(crate) const JOBS: [&str; 2] = ["test/one", "test/two"];
/// When every test begins: 2026-10-01T00:00:00Z.
const BEGIN: i64 = 1_790_812_800_000_000;

/// A clock that stands still until it is told.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(BEGIN))
    }

    pub(crate) fn advance(&self, span: Span) {
        self.0.fetch_add(span.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Makes a further store on the same data, as another process would.
type Another = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn TaskStore>> + Send + Sync>;

/// One engine, empty.
pub(crate) struct World {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) db: Db,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) another: Another,
    jobs: Arc<[(JobName, Option<u32>)]>,
    _kept: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("store", &self.store).finish_non_exhaustive()
    }
}

/// The embedded engine on a fresh file.
pub(crate) async fn sqlite() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.db");
    let clock = Arc::new(TestClock::new());
    let db = Db::open_sqlite(&path).await.unwrap();
    let given: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
    let store = SqliteStore::open(db.clone(), Arc::clone(&given)).await.unwrap();
    let another: Another = Box::new(move || {
        let (path, clock) = (path.clone(), Arc::clone(&given));
        Box::pin(async move {
            let db = Db::open_sqlite(&path).await.unwrap();
            let store: Arc<dyn TaskStore> = Arc::new(SqliteStore::open(db, clock).await.unwrap());
            store
        })
    });
    let jobs = JOBS.map(|job| (job.parse().unwrap(), None)).into();
    World { store: Arc::new(store), db, clock, another, jobs, _kept: Box::new(folder) }
}

/// A plain `Completed`.
pub(crate) fn completed() -> Settle {
    Settle::Completed { result: None, write: None, follow_ups: Vec::new() }
}

/// A settlement of a lease without a report.
pub(crate) fn settlement(lease: &LeasedTask, settle: Settle) -> Settlement {
    let report = AttemptReport::default();
    Settlement { row: lease.row, token: lease.token, settle, report }
}

/// Ids of leased tasks.
pub(crate) fn ids(leased: &[LeasedTask]) -> Vec<TaskId> {
    leased.iter().map(|lease| lease.task.task_id).collect()
}

/// Row and token of each.
pub(crate) fn leases(leased: &[LeasedTask]) -> Vec<(i64, i64)> {
    leased.iter().map(|lease| (lease.row, lease.token)).collect()
}

impl World {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A task nobody has stored yet.
    pub(crate) fn task(&self, job: &str) -> NewTask {
        let now = self.now();
        let stamp = Stamp {
            task_id: TaskId::new(now, random_bytes()),
            issued_at: now,
            not_after: now.after(Span::from_days(30)),
            run_at: None,
            priority: 1,
            max_attempts: 3,
            unique_key: None,
        };
        NewTask {
            stamp,
            job: job.parse().unwrap(),
            source: "api".parse().unwrap(),
            configuration: RawJson::empty_object(),
            payload: RawJson::from_value(&job).unwrap(),
            proof: None,
            host: None,
            timeout: None,
            labels: Vec::new(),
            unique_for: None,
            parent: None,
            tick: None,
        }
    }

    pub(crate) fn unique(&self, key: &str) -> NewTask {
        let mut task = self.task(JOBS[0]);
        task.stamp.unique_key = Some(key.to_owned());
        task
    }

    pub(crate) fn in_future(&self, span: Span) -> NewTask {
        let mut task = self.task(JOBS[0]);
        task.stamp.run_at = Some(self.now().after(span));
        task
    }

    pub(crate) async fn put(&self, task: NewTask) -> Enqueued {
        self.store.enqueue(vec![task]).await.unwrap()[0]
    }

    /// Stores a plain task.
    pub(crate) async fn add(&self, job: &str) -> TaskId {
        let enqueued = self.put(self.task(job)).await;
        assert!(!enqueued.existing);
        enqueued.task_id
    }

    pub(crate) async fn worker(&self) -> i64 {
        let record = WorkerRecord {
            name: "Tester".to_owned(),
            host: "here".to_owned(),
            pid: 7,
            version: "1.0.0".to_owned(),
            release: "blue".to_owned(),
        };
        self.store.register(record).await.unwrap()
    }

    /// Asks for up to 100 tasks of [`JOBS`] to start at once, without waiting.
    pub(crate) fn request(&self, worker: i64) -> LeaseRequest {
        let jobs = Arc::clone(&self.jobs);
        let host = "here".to_owned();
        let wait = Span::ZERO;
        LeaseRequest { worker, host, jobs, start: 100, hold: 0, above: None, wait }
    }

    pub(crate) async fn lease(&self, worker: i64) -> Vec<LeasedTask> {
        self.store.lease(self.request(worker)).await.unwrap()
    }

    /// Leases the one task that is there.
    pub(crate) async fn lease_one(&self, worker: i64) -> LeasedTask {
        let mut leased = self.lease(worker).await;
        assert_eq!(leased.len(), 1, "{leased:?}");
        leased.remove(0)
    }

    pub(crate) async fn settle(&self, lease: &LeasedTask, settle: Settle) -> Settled {
        self.store.settle(vec![settlement(lease, settle)]).await.unwrap().remove(0)
    }

    /// Settles and expects that it is stored.
    pub(crate) async fn end(&self, lease: &LeasedTask, settle: Settle) {
        let settled = self.settle(lease, settle).await;
        assert!(matches!(settled, Settled::Done { .. }), "{settled:?}");
    }

    pub(crate) async fn summary(&self, task: TaskId) -> TaskSummary {
        self.store.get(task).await.unwrap().summary
    }

    pub(crate) async fn state(&self, task: TaskId) -> TaskState {
        self.summary(task).await.state
    }

    pub(crate) async fn search(&self, filter: TaskFilter) -> Vec<TaskId> {
        let found = self.store.search(TaskFilter { limit: 100, ..filter }).await.unwrap();
        found.iter().map(|summary| summary.task_id).collect()
    }

    /// Makes a table that final write steps of the test may write to.
    pub(crate) async fn domain_table(&self) {
        self.db.execute(Query::new("CREATE TABLE domain (id BIGINT PRIMARY KEY)")).await.unwrap();
    }

    pub(crate) async fn domain_rows(&self) -> i64 {
        let row = self.db.first(Query::new("SELECT count(*) FROM domain")).await.unwrap();
        row.unwrap().get(0).unwrap()
    }
}
