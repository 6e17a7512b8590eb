//! What a test works with: a store, its clock, and short ways to say common things.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use database::{Db, EngineKind, PostgresSettings, Query};
use envelope::{RawJson, Stamp};
use futures_util::future::BoxFuture;
use tasks::{
    AttemptReport, Enqueued, JobLimits, LeaseRequest, LeasedTask, NewTask, PostgresStore, SCHEMA,
    Settle, Settled, Settlement, SqliteStore, TaskFilter, TaskState, TaskStore, TaskSummary,
    WorkerRecord, random_bytes,
};
use testkit::TestDb;
use values::{Clock, Secret, Span, TaskId, Timestamp};

/// The jobs that [`World::request`] asks for.
pub(crate) const JOBS: [&str; 2] = ["test/one", "test/two"];
/// When every test begins: 2026-10-01T00:00:00Z.
const BEGIN: i64 = 1_790_812_800_000_000;

/// A clock that stands still until it is told.
#[derive(Debug)]
pub(crate) struct TestClock {
    now: AtomicI64,
    asked: AtomicI64,
}

impl TestClock {
    pub(crate) fn new() -> Self {
        Self { now: AtomicI64::new(BEGIN), asked: AtomicI64::new(0) }
    }

    pub(crate) fn advance(&self, span: Span) {
        self.now.fetch_add(span.as_micros(), Ordering::SeqCst);
    }

    pub(crate) fn turn_back(&self, span: Span) {
        self.now.fetch_sub(span.as_micros(), Ordering::SeqCst);
    }

    /// How many times anyone has looked at the clock.
    pub(crate) fn asked(&self) -> i64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
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
    jobs: Arc<[JobLimits]>,
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
    let jobs = JOBS.map(|job| JobLimits::none(job.parse().unwrap())).into();
    World { store: Arc::new(store), db, clock, another, jobs, _kept: Box::new(folder) }
}

/// The server's engine on a database of its own.
pub(crate) async fn postgres() -> World {
    let kept = TestDb::new(EngineKind::Postgres, "tasks", &[SCHEMA]).await;
    let url = kept.url().unwrap().to_owned();
    on_server(kept.db.clone(), url, Box::new(kept)).await
}

/// The server's engine in a database that is reached at `url` and migrated if it is empty.
pub(crate) async fn postgres_at(url: &str, kept: Box<dyn Any + Send + Sync>) -> World {
    let db = connect(url).await;
    SCHEMA.migrate(&db, Timestamp::EPOCH).await.unwrap();
    on_server(db, url.to_owned(), kept).await
}

async fn on_server(db: Db, url: String, kept: Box<dyn Any + Send + Sync>) -> World {
    let clock = Arc::new(TestClock::new());
    let given: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
    let store = PostgresStore::open(db.clone(), Arc::clone(&given)).await.unwrap();
    let another: Another = Box::new(move || {
        let (url, clock) = (url.clone(), Arc::clone(&given));
        Box::pin(async move {
            let db = connect(&url).await;
            let store: Arc<dyn TaskStore> = Arc::new(PostgresStore::open(db, clock).await.unwrap());
            store
        })
    });
    let jobs = JOBS.map(|job| JobLimits::none(job.parse().unwrap())).into();
    World { store: Arc::new(store), db, clock, another, jobs, _kept: kept }
}

async fn connect(url: &str) -> Db {
    let usual = PostgresSettings::new(Secret::new(url.to_owned()));
    let settings = PostgresSettings { pooled: Some(false), ..usual };
    Db::open_postgres(&settings).await.unwrap()
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
            max_waiting: None,
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
        let sources = Arc::from([]);
        LeaseRequest { worker, host, jobs, sources, start: 100, hold: 0, above: None, wait }
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

    /// Makes the database refuse tasks of priority 0.
    pub(crate) async fn refuse_lowest_priority(&self) {
        let statements: &[&str] = match self.db.kind() {
            EngineKind::Sqlite => &["CREATE TRIGGER refuse BEFORE INSERT ON mw_task
                   WHEN NEW.priority = 0 BEGIN SELECT RAISE(ABORT, 'refused'); END"],
            EngineKind::Postgres => &[
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE 'refused'; END $$",
                "CREATE TRIGGER refuse BEFORE INSERT ON mw_task FOR EACH ROW
                   WHEN (NEW.priority = 0) EXECUTE FUNCTION refuse()",
            ],
        };
        for statement in statements {
            self.db.execute(Query::new(statement)).await.unwrap();
        }
    }

    pub(crate) async fn domain_rows(&self) -> i64 {
        let row = self.db.first(Query::new("SELECT count(*) FROM domain")).await.unwrap();
        row.unwrap().get(0).unwrap()
    }
}
