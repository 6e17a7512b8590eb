//! A home of its own for a test, with the measured jobs in it and workers of the real binary.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Payload;
use main_worker::app::App;
use main_worker::bench::{self, BENCH_TABLES};
use main_worker::clock::SystemClock;
use main_worker::settings::Settings;
use reporting::Scrubber;
use rustix::process::{Pid, Signal, kill_process};
use scheduling::TaskOptions;
use tasks::TaskDetail;
use values::{Clock, TaskId};

/// The longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_main-worker");

pub(crate) struct Site {
    pub(crate) app: App,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Some(folder.path().join("home"));
        let settings = Settings { home, ..Settings::default() };
        let app = App::open(settings, &bench::program(), Arc::new(SystemClock), Scrubber::new())
            .await
            .unwrap();
        BENCH_TABLES.migrate(&app.db, SystemClock.now()).await.unwrap();
        Self { app, folder }
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
            let detail = self.task(task).await;
            if wanted(&detail) {
                return detail;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "still {:?}: {:?}",
                detail.summary,
                detail.attempts
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) fn worker(&self, arguments: &[&str]) -> Worker {
        self.worker_with(arguments, &[])
    }

    /// Starts a worker with the measured jobs and further environment variables.
    pub(crate) fn worker_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Worker {
        let unique = format!("worker-{:016x}.log", u64::from_be_bytes(tasks::random_bytes()));
        let log = self.folder.path().join(unique);
        let child = Command::new(PROGRAM)
            .args(["bench", "worker"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("MAIN_WORKER_HOME", self.folder.path().join("home"))
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
