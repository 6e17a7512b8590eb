//! A home of its own for a test, with the measured jobs in it and workers of the real binary.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Payload;
use database::EngineKind;
use main_worker::app::App;
use main_worker::bench::{self, BENCH_TABLES};
use main_worker::clock::SystemClock;
use main_worker::home::Home;
use main_worker::settings::Settings;
use main_worker::storage::{Access, Location, PARTS};
use reporting::Scrubber;
use rustix::process::{Pid, Signal, kill_process};
use scheduling::TaskOptions;
use tasks::TaskDetail;
use testkit::TestDatabase;
use values::{Clock, Secret, TaskId};

/// The longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_main-worker");

pub(crate) struct Site {
    pub(crate) app: App,
    pub(crate) folder: tempfile::TempDir,
    url: Option<String>,
    _database: Option<TestDatabase>,
}

pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

/// Makes the tables of the program and of the measured jobs in an empty database.
pub(crate) async fn migrate(url: String) -> anyhow::Result<()> {
    let database_url = Some(Secret::new(url));
    let location = Location::of(&Settings { database_url, ..Settings::default() })?;
    let db = location.connect(Access::Work).await?;
    for part in PARTS.into_iter().chain([&BENCH_TABLES]) {
        part.migrate(&db, SystemClock.now()).await?;
    }
    db.close().await;
    Ok(())
}

impl Site {
    /// On an engine.
    pub(crate) async fn on(engine: EngineKind) -> Self {
        match engine {
            EngineKind::Sqlite => Self::new().await,
            EngineKind::Postgres => Self::postgres().await,
        }
    }

    /// On the embedded database.
    pub(crate) async fn new() -> Self {
        let site = Self::open(None, None).await;
        BENCH_TABLES.migrate(&site.app.db, SystemClock.now()).await.unwrap();
        site
    }

    /// In a database of its own on the PostgreSQL that tests share.
    pub(crate) async fn postgres() -> Self {
        let database = testkit::postgres_template("measured", migrate).await.unwrap();
        let url = database.url().to_owned();
        Self::open(Some(url), Some(database)).await
    }

    /// In the database of a URL, which [`migrate`] has seen.
    pub(crate) async fn at(url: &str) -> Self {
        Self::open(Some(url.to_owned()), None).await
    }

    async fn open(url: Option<String>, database: Option<TestDatabase>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        if url.is_some() {
            Home::init_keys(&home, None, false, SystemClock.now()).unwrap();
        }
        let database_url = url.clone().map(Secret::new);
        let settings = Settings { home: Some(home), database_url, ..Settings::default() };
        let app = App::open(settings, &bench::program(), Arc::new(SystemClock), Scrubber::new())
            .await
            .unwrap();
        Self { app, folder, url, _database: database }
    }

    /// The server's database it is in.
    pub(crate) fn url(&self) -> String {
        self.url.clone().expect("a site on a server")
    }

    pub(crate) async fn enqueue(&self, payload: &impl Payload) -> TaskId {
        self.enqueue_with(payload, TaskOptions::default()).await
    }

    pub(crate) async fn enqueue_with(
        &self,
        payload: &impl Payload,
        options: TaskOptions,
    ) -> TaskId {
        let producer = self.app.producer("operator").unwrap();
        producer.enqueue(payload, options).await.unwrap().task_id
    }

    /// Writes a manifest of the measured jobs with something in it replaced; returns its path.
    pub(crate) fn manifest(&self, name: &str, from: &str, to: &str) -> String {
        let text = include_str!("../../src/bench/worker.toml");
        assert!(text.contains(from), "{from}");
        let path = self.folder.path().join(name);
        std::fs::write(&path, text.replace(from, to)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) async fn task(&self, task: TaskId) -> TaskDetail {
        self.app.store.get(task).await.unwrap()
    }

    /// Waits until the task is as wanted.
    pub(crate) async fn until(
        &self,
        task: TaskId,
        wanted: impl Fn(&TaskDetail) -> bool,
    ) -> TaskDetail {
        let began = Instant::now();
        loop {
            // A server may have closed connections that were not in use.
            let seen = match self.app.store.get(task).await {
                Ok(detail) if wanted(&detail) => return detail,
                Ok(detail) => format!("{:?}: {:?}", detail.summary, detail.attempts),
                Err(error) => format!("{error}"),
            };
            assert!(began.elapsed() < PATIENCE, "still {seen}");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) fn worker(&self, arguments: &[&str]) -> Worker {
        self.worker_with(arguments, &[])
    }

    /// Starts a worker with the measured jobs and further environment variables.
    pub(crate) fn worker_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Worker {
        self.start(&[&["bench", "worker"], arguments].concat(), variables)
    }

    /// Starts a command of the program.
    pub(crate) fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Worker {
        let unique = format!("worker-{:016x}.log", u64::from_be_bytes(tasks::random_bytes()));
        let log = self.folder.path().join(unique);
        let child = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("MAIN_WORKER_HOME", self.folder.path().join("home"))
            .envs(self.url.iter().map(|url| ("DATABASE_URL", url)))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Worker { child, log }
    }
}

impl Worker {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the worker does not end:\n{}", self.log());
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the log says something, and returns the line.
    pub(crate) fn says(&self, words: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "the worker never said {words:?}:\n{log}");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended already is gone.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
