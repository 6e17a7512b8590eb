//! A server, workers on it, and what must hold once the bad day is over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use main_worker::app::BUILT_IN_MANIFEST;
use main_worker::bench::{FaultReport, OCCUPIED, Occupy, audit};
use rustix::process::Signal;
use testkit::{PostgresOptions, PostgresServer};
use values::TaskId;

use super::load::Accepted;
use crate::site::{Site, Worker, migrate};

/// Attempts at once of each worker, unless a scenario needs more.
const PLACES: usize = 8;
/// How soon a fresh task must run on each worker once all is well again.
const SOON: Duration = Duration::from_secs(5);
/// How long a worker is kept busy to find the others.
const BUSY_MS: u64 = 600;
/// Until everything that was accepted must be done, once all is well again.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);

/// A server of its own with a database, and workers.
pub(super) struct Ground {
    // In this order: workers end before their server does.
    pub(super) workers: Vec<Worker>,
    pub(super) site: Site,
    pub(super) server: PostgresServer,
    /// Attempts at once of each worker.
    pub(super) places: usize,
    occupied: u64,
}

/// One run of an [`Occupy`]: which, where, and from when to when (microseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) pid: u32,
}

impl Ground {
    pub(super) async fn new(options: PostgresOptions) -> Self {
        let server = options.start().await.unwrap();
        let url = server.fresh_database().await.unwrap();
        migrate(url.clone()).await.unwrap();
        let site = Site::at(&url).await;
        Self { workers: Vec::new(), site, server, places: PLACES, occupied: 0 }
    }

    /// Starts a worker, with further environment variables, and waits until it works.
    pub(super) fn hire(&mut self, variables: &[(&str, &str)]) {
        let places = self.places.to_string();
        let arguments = ["--concurrency", &places, "--listen", "127.0.0.1:0"];
        let worker = self.site.worker_with(&arguments, variables);
        worker.says("\"working\"");
        self.workers.push(worker);
    }

    /// Asks for a task that takes so long; returns its id.
    pub(super) async fn occupy(&mut self, millis: u64) -> TaskId {
        self.occupied += 1;
        let file = self.occupied_file().display().to_string();
        self.site.enqueue(&Occupy { number: self.occupied, millis, file }).await
    }

    fn occupied_file(&self) -> PathBuf {
        self.site.folder.path().join("occupied")
    }

    /// The runs of all [`Occupy`], as far as each got.
    pub(super) fn runs(&self) -> Vec<Run> {
        let text = std::fs::read_to_string(self.occupied_file()).unwrap_or_default();
        let mut runs = BTreeMap::new();
        for line in text.lines() {
            let fields: Vec<u64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
            let [pid, number, began, ended] = fields[..] else { panic!("{line}") };
            runs.insert((number, began, u32::try_from(pid).unwrap()), ended);
        }
        let run = |((number, began, pid), ended)| Run { number, began, ended, pid };
        runs.into_iter().map(run).collect()
    }

    /// No task ran at two places at a time.
    pub(super) fn nothing_ran_twice_at_a_time(&self) {
        let runs = self.runs();
        for pair in runs.windows(2) {
            let [one, next] = pair else { unreachable!() };
            assert!(one.number != next.number || one.ended <= next.began, "{one:?} {next:?}");
        }
    }

    /// Waits until nothing waits or runs.
    pub(super) async fn emptied(&self) {
        let began = Instant::now();
        loop {
            // The server may not answer yet.
            let left = self.site.app.store.depths().await;
            if left.as_ref().is_ok_and(|depths| depths.iter().all(|depth| depth.count == 0)) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "still there: {left:?}\n{}", self.logs());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A fresh task runs soon, on every worker.
    pub(super) async fn nobody_is_deaf(&mut self) {
        let first = self.occupied + 1;
        let began = Instant::now();
        let expected: BTreeSet<u32> = self.workers.iter().map(Worker::pid).collect();
        let mut occupied_at = None::<Instant>;
        loop {
            // As long as one worker has got none: the others may have been quicker.
            if occupied_at.is_none_or(|at| at.elapsed().as_millis() > u128::from(BUSY_MS)) {
                for _ in 0..self.places * self.workers.len() {
                    self.occupy(BUSY_MS).await;
                }
                occupied_at = Some(Instant::now());
            }
            let last = self.occupied;
            let runs = self.runs().into_iter().filter(|run| run.number >= first);
            let (numbers, pids): (BTreeSet<u64>, BTreeSet<u32>) =
                runs.map(|run| (run.number, run.pid)).unzip();
            if numbers.len() as u64 > last - first && pids == expected {
                break;
            }
            assert!(
                began.elapsed() < SOON,
                "{} of {} tasks, on {pids:?} of {expected:?}\n{}",
                numbers.len(),
                last - first + 1,
                self.logs()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everything that was accepted was done, once; nobody is deaf; the books are right.
    ///
    /// Ends the workers. Returns what was found, for those who promise less.
    pub(super) async fn ends(&mut self, accepted: &BTreeMap<TaskId, Accepted>) -> FaultReport {
        self.emptied().await;
        self.nobody_is_deaf().await;
        self.emptied().await;
        self.nothing_ran_twice_at_a_time();
        for worker in &mut self.workers {
            worker.signal(Signal::TERM);
            assert!(worker.ended().success(), "{}", worker.log());
        }
        let effects = self.site.folder.path().join("effects");
        let numbers = accepted.values().map(|seen| seen.number);
        let report = audit(&self.site.app, &effects, numbers).await.unwrap();
        let rows = "SELECT count(*), count(DISTINCT number) FROM bench_row WHERE number >= $1";
        let query = database::Query::new(rows).bind(OCCUPIED.cast_signed());
        let row = self.site.app.db.first(query).await.unwrap().unwrap();
        let (rows, distinct): (i64, i64) = (row.get(0).unwrap(), row.get(1).unwrap());
        assert_eq!((rows, distinct), (self.occupied.cast_signed(), self.occupied.cast_signed()));
        self.books_are_right();
        report
    }

    fn books_are_right(&self) {
        let company = self.site.folder.path().join("company.toml");
        std::fs::write(&company, BUILT_IN_MANIFEST).unwrap();
        let variables = [("MAIN_WORKER_MANIFEST", company.to_str().unwrap())];
        let mut check = self.site.start(&["check", "--conservation"], &variables);
        assert_eq!(check.ended().code(), Some(0), "{}", check.log());
    }

    pub(super) fn logs(&self) -> String {
        self.workers.iter().map(Worker::log).collect::<Vec<_>>().join("\n---\n")
    }
}

/// The usual end: nothing lost, nothing doubled.
pub(super) fn clean(report: &FaultReport) -> String {
    assert!(report.is_clean(), "{report:?}");
    format!(
        "{} tasks, 0 lost, 0 doubled, {} attempts repeated",
        report.tasks, report.repeated_attempts
    )
}
