//! A caller that asks for tasks at a steady rate and does not give up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use main_worker::bench::mixed;
use tasks::NewTask;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use values::TaskId;

use crate::site::Site;

/// Batches per second.
const BATCHES: u32 = 50;
/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(5);
/// Pause before a batch is handed in again.
const AGAIN: Duration = Duration::from_millis(50);

/// A task that was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    pub(super) number: u64,
    /// When it was handed in for the last time.
    pub(super) asked: Instant,
    pub(super) acknowledged: Instant,
}

/// Asks for tasks until it is ended; a batch is handed in again until it is accepted.
pub(super) struct Load {
    accepted: Arc<Mutex<BTreeMap<TaskId, Accepted>>>,
    stop: CancellationToken,
    asking: JoinHandle<u64>,
}

impl Load {
    pub(super) fn start(site: &Site, per_second: u32) -> Self {
        let (accepted, stop) = (Arc::default(), CancellationToken::new());
        let asking = Asking {
            producer: site.app.producer("operator").unwrap(),
            file: site.folder.path().join("effects").display().to_string(),
            accepted: Arc::clone(&accepted),
        };
        let asking = tokio::spawn(asking.run(per_second, stop.clone()));
        Self { accepted, stop, asking }
    }

    /// Ends; returns what was accepted, and how many batches had to be handed in again.
    pub(super) async fn end(self) -> (BTreeMap<TaskId, Accepted>, u64) {
        self.stop.cancel();
        let again = self.asking.await.unwrap();
        let accepted = std::mem::take(&mut *self.accepted.lock().unwrap());
        (accepted, again)
    }
}

struct Asking {
    producer: scheduling::Producer,
    file: String,
    accepted: Arc<Mutex<BTreeMap<TaskId, Accepted>>>,
}

impl Asking {
    async fn run(self, per_second: u32, stop: CancellationToken) -> u64 {
        let size = u64::from((per_second / BATCHES).max(1));
        let mut ticks = interval(Duration::from_secs(1) / BATCHES);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut next, mut again) = (0, 0);
        while !stop.is_cancelled() {
            ticks.tick().await;
            let prepare = |number| mixed(&self.producer, number, &self.file).unwrap();
            let batch: Vec<NewTask> = (next..next + size).map(prepare).collect();
            loop {
                let asked = Instant::now();
                let answer = timeout(ANSWER, self.producer.store().enqueue(batch.clone())).await;
                if matches!(answer, Ok(Ok(_))) {
                    let acknowledged = Instant::now();
                    let mut accepted = self.accepted.lock().unwrap();
                    for (number, task) in (next..).zip(&batch) {
                        let seen = Accepted { number, asked, acknowledged };
                        accepted.insert(task.stamp.task_id, seen);
                    }
                    break;
                }
                again += 1;
                tokio::time::sleep(AGAIN).await;
            }
            next += size;
        }
        again
    }
}
