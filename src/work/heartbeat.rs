//! Heartbeats on a thread of their own, so that no handler, however busy, delays them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use database::Db;
use tasks::{SqliteStore, TaskStore};
use tokio::sync::mpsc;
use values::Clock;

use super::http::{Pulse, Written};

/// How often a worker says that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// A worker whose counter stands still for so long is dead.
pub(super) const SILENCE: Duration = Duration::from_secs(8);
/// A worker that could not reach the store for so long gives its leases up before others take them.
pub(super) const CUT_OFF: Duration = Duration::from_secs(6);

/// What the thread tells the work loop.
#[derive(Debug)]
pub(super) enum News {
    /// These rows are to be cancelled.
    Cancel(Vec<i64>),
    /// The worker was declared dead, or must assume so.
    Lost,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Heartbeat {
    worker: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts the thread with a database connection of its own.
    pub(super) fn start(
        path: std::path::PathBuf,
        clock: Arc<dyn Clock>,
        worker: i64,
        news: mpsc::UnboundedSender<News>,
        pulse: Arc<Pulse>,
    ) -> std::io::Result<Self> {
        let worker = Arc::new(AtomicI64::new(worker));
        let stop = Arc::new(AtomicBool::new(false));
        let (number, stopped) = (Arc::clone(&worker), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(beat(path, clock, &number, &stopped, &news, &pulse));
            }
        })?;
        Ok(Self { worker, stop, thread: Some(thread) })
    }

    /// Beats for another worker number from now on.
    pub(super) fn switch(&self, worker: i64) {
        self.worker.store(worker, Ordering::SeqCst);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().ok();
        }
    }
}

async fn beat(
    path: std::path::PathBuf,
    clock: Arc<dyn Clock>,
    worker: &AtomicI64,
    stop: &AtomicBool,
    news: &mpsc::UnboundedSender<News>,
    pulse: &Pulse,
) {
    let mut store: Option<SqliteStore> = None;
    let mut last_good = Instant::now();
    let mut told = false;
    let mut current = worker.load(Ordering::SeqCst);
    while !stop.load(Ordering::SeqCst) {
        let number = worker.load(Ordering::SeqCst);
        if number != current {
            current = number;
            told = false;
            last_good = Instant::now();
        }
        if store.is_none() {
            store = connect(&path, &clock).await;
        }
        let answer = match &store {
            Some(store) => tokio::time::timeout(BEAT * 3, store.heartbeat(number)).await.ok(),
            None => None,
        };
        match answer {
            Some(Ok(beat)) => {
                last_good = Instant::now();
                pulse.wrote(Written::Heartbeat, None);
                if beat.dead && !told {
                    told = news.send(News::Lost).is_ok();
                } else if !beat.cancel.is_empty() {
                    news.send(News::Cancel(beat.cancel)).ok();
                }
            }
            failed @ (Some(Err(_)) | None) => {
                let why = match failed {
                    Some(Err(error)) => error.to_string(),
                    _ => "the task store does not answer".to_owned(),
                };
                pulse.wrote(Written::Heartbeat, Some(why));
                if last_good.elapsed() >= CUT_OFF && !told {
                    told = news.send(News::Lost).is_ok();
                }
            }
        }
        std::thread::park_timeout(BEAT);
    }
}

async fn connect(path: &std::path::Path, clock: &Arc<dyn Clock>) -> Option<SqliteStore> {
    let db = Db::open_existing_sqlite(path).await.ok()?;
    SqliteStore::open(db, Arc::clone(clock)).await.ok()
}
