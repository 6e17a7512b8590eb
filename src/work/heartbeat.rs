//! Heartbeats on a thread of their own, so that no handler, however busy, delays them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use tasks::TaskStore;
use tokio::sync::{Notify, mpsc};
use work_loop::{BEAT, Moment, Pulse};

use super::http::{Pulse as Health, Written};
use super::moments;
use crate::app::App;

/// What the thread tells the work loop.
#[derive(Debug)]
pub(super) enum News {
    /// These rows are to be cancelled.
    Cancel(Vec<i64>),
    /// The worker was declared dead, or must assume so: [`Heartbeat::lost`] says it.
    Lost,
}

/// For whom the thread beats: the worker's number, and when its registration was sent.
type Registration = (i64, Moment);

/// What thread and loop both know.
#[derive(Debug)]
struct Life {
    worker: i64,
    pulse: Pulse,
    /// The loop knows that its leases are lost.
    told: bool,
}

impl Life {
    fn new((worker, registered): Registration) -> Self {
        Self { worker, pulse: Pulse::new(registered), told: false }
    }
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Heartbeat {
    life: Arc<Mutex<Life>>,
    stop: Arc<AtomicBool>,
    /// Told when one of the two has changed.
    changed: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts the thread with a database connection of its own.
    pub(super) fn start(
        app: App,
        worker: Registration,
        news: mpsc::UnboundedSender<News>,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let life = Arc::new(Mutex::new(Life::new(worker)));
        let stop = Arc::new(AtomicBool::new(false));
        let changed = Arc::new(Notify::new());
        let (shared, stopped) = (Arc::clone(&life), Arc::clone(&stop));
        let wake = Arc::clone(&changed);
        let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(beat(&app, &shared, &stopped, &wake, &news, &health));
            }
        })?;
        Ok(Self { life, stop, changed, thread: Some(thread) })
    }

    /// Beats for another worker number from now on.
    pub(super) fn switch(&self, worker: Registration) {
        *lock(&self.life) = Life::new(worker);
        self.changed.notify_one();
    }

    /// Whether the leases are lost; says so once per registration.
    pub(super) fn lost(&self) -> bool {
        let mut life = lock(&self.life);
        let lost = life.pulse.is_lost(moments::now()) && !life.told;
        life.told |= lost;
        lost
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn lock(life: &Mutex<Life>) -> MutexGuard<'_, Life> {
    life.lock().expect("no one panics while holding it")
}

async fn beat(
    app: &App,
    life: &Mutex<Life>,
    stop: &AtomicBool,
    changed: &Notify,
    news: &mpsc::UnboundedSender<News>,
    health: &Health,
) {
    let mut store: Option<Arc<dyn TaskStore>> = None;
    while !stop.load(Ordering::SeqCst) {
        let sent = moments::now();
        let (worker, patience) = {
            let mut life = lock(life);
            (life.worker, life.pulse.beat(sent))
        };
        if let Some(patience) = patience {
            let answer = async {
                let store = if let Some(store) = &store {
                    store
                } else {
                    let opened = app.location.open_again(&app.db, &app.clock).await;
                    store.insert(opened.map_err(|error| error.to_string())?)
                };
                store.heartbeat(worker).await.map_err(|error| error.to_string())
            };
            let answer = tokio::time::timeout(patience.to_std(), answer).await;
            let answer =
                answer.unwrap_or_else(|_| Err("the task store does not answer".to_owned()));
            health.wrote(Written::Heartbeat, answer.as_ref().err().cloned());
            let mut life = lock(life);
            match answer {
                // Of a worker that has registered anew meanwhile.
                _ if life.worker != worker => continue,
                Ok(beat) => {
                    life.pulse.answered(sent, moments::now(), beat.dead);
                    if !beat.dead && !beat.cancel.is_empty() {
                        news.send(News::Cancel(beat.cancel)).ok();
                    }
                }
                Err(_) => life.pulse.failed(moments::now()),
            }
        }
        let wait = {
            let mut life = lock(life);
            let lost = life.pulse.is_lost(moments::now());
            if lost && !life.told {
                news.send(News::Lost).ok();
            }
            if lost { BEAT.to_std() } else { moments::until(life.pulse.wake_at()) }
        };
        tokio::time::timeout(wait, changed.notified()).await.ok();
    }
}
