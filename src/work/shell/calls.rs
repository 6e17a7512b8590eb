//! What the shell does at the core's command; each call answers with a message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tasks::{AttemptReport, LeaseRequest, Settle, Settlement, StoreFuture, TaskState};
use tokio_util::sync::CancellationToken;
use values::Span;
use work_loop::{CALL_LIMIT, LOST_GRACE, Lease};

use super::hearing::Message;
use super::known::fallback;
use super::{Shell, TURN, record};
use crate::work::attempt::{Ran, run_attempt};
use crate::work::moments;

/// How long the store may take to settle: longer than it tries, so that its answer is heard. Who asks
/// again before waits for itself.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// Settlements with final write steps or follow-ups in one call; others do not wait for them.
const SLOW_BATCH: usize = 16;
/// Wait before asking again whether the queue is empty.
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

impl Shell {
    pub(super) fn lease(&self, start: usize, hold: usize, above: Option<u8>, wait: Span) {
        let request = LeaseRequest {
            worker: self.worker,
            host: self.app.host.clone(),
            jobs: Arc::clone(&self.jobs),
            sources: Arc::clone(&self.sources),
            start,
            hold,
            above,
            wait,
        };
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let limit = CALL_LIMIT.to_std() + wait.to_std();
        let drained = self.drained.clone();
        tokio::spawn(async move {
            let leased = tokio::select! {
                leased = limited(limit, store.lease(request)) => leased,
                // What was leased and not received is given back when the worker signs off.
                () = drained.cancelled() => Ok(Vec::new()),
            };
            messages.send(Message::Leased(leased)).ok();
        });
    }

    pub(super) fn start(&self, leases: Vec<Lease>) {
        let (store, messages, worker) =
            (Arc::clone(&self.app.store), self.messages.clone(), self.worker);
        tokio::spawn(async move {
            let message =
                match limited(CALL_LIMIT.to_std(), store.start(worker, leases.clone())).await {
                    Ok(rows) => {
                        let counted = leases.iter().filter(|(row, _)| rows.contains(row));
                        Message::Started { counted: counted.copied().collect(), asked: leases }
                    }
                    Err(_) => Message::StartFailed(leases),
                };
            messages.send(message).ok();
        });
    }

    pub(super) fn run(&mut self, lease: Lease) {
        let Some(known) = self.known.get_mut(&lease) else { return };
        let Some(mut leased) = known.task.take() else { return };
        if !leased.started {
            leased.attempt += 1;
            known.attempt = leased.attempt;
        }
        known.running = Some(self.app.reporter.metrics.task_running(&known.job));
        let (app, follow_ups) = (self.app.clone(), Arc::clone(&self.follow_ups));
        let (token, lost) = (known.token.clone(), known.lost.clone());
        let messages = self.messages.clone();
        let progress = Arc::clone(&self.progress);
        let sink: job::ProgressSink = Arc::new(move |latest| {
            progress.lock().expect("no one panics while holding it").insert(lease, latest);
        });
        self.handlers.spawn(async move {
            let began = Instant::now();
            let ran = tokio::select! {
                ran = run_attempt(&app, &follow_ups, &leased, token, sink, &app.clock) => ran,
                () = too_late(lost) => given_back(),
            };
            messages.send(Message::Ran(lease, Box::new(ran), began.elapsed())).ok();
        });
    }

    pub(super) fn settle(&mut self, leases: &[Lease]) {
        let mut batch = Vec::with_capacity(leases.len());
        for lease in leases {
            if let Some(ran) = self.known.get_mut(lease).and_then(|known| known.ran.take()) {
                batch.push((*lease, ran));
            }
        }
        self.send_settlements(batch);
    }

    pub(super) fn give_back(&self, leases: Vec<Lease>) {
        self.send_settlements(leases.into_iter().map(|lease| (lease, given_back())).collect());
    }

    pub(super) fn send_settlements(&self, batch: Vec<(Lease, Ran)>) {
        let (mut slow, quick): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|(_, ran)| is_slow(&ran.settle));
        self.send_batch(quick);
        while !slow.is_empty() {
            let rest = slow.split_off(slow.len().min(SLOW_BATCH));
            self.send_batch(std::mem::replace(&mut slow, rest));
        }
    }

    fn send_batch(&self, batch: Vec<(Lease, Ran)>) {
        if batch.is_empty() {
            return;
        }
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let mut again = Vec::with_capacity(batch.len());
        let mut settlements = Vec::with_capacity(batch.len());
        for (lease, ran) in batch {
            again.push((lease, fallback(&ran)));
            let Ran { settle, report, outcome: _ } = ran;
            settlements.push(Settlement { row: lease.0, token: lease.1, settle, report });
        }
        tokio::spawn(async move {
            let message = match limited(SETTLE_LIMIT, store.settle(settlements)).await {
                Ok(settled) => {
                    let leases = again.into_iter().map(|(lease, _)| lease);
                    Message::Settled(leases.zip(settled).collect())
                }
                Err(error) => Message::SettleFailed(again, error),
            };
            messages.send(message).ok();
        });
    }

    pub(super) fn register(&self) {
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let record = record(&self.app);
        tokio::spawn(async move {
            loop {
                let sent = moments::now();
                let call = limited(CALL_LIMIT.to_std(), store.register(record.clone()));
                match call.await {
                    Ok(worker) => {
                        messages.send(Message::Registered(worker, sent)).ok();
                        return;
                    }
                    Err(error) => tracing::debug!(error = %error, "not registered yet"),
                }
                tokio::time::sleep(TURN).await;
            }
        });
    }

    pub(super) fn check_empty(&self) {
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let jobs = Arc::clone(&self.jobs);
        tokio::spawn(async move {
            let elsewhere = match limited(CALL_LIMIT.to_std(), store.depths()).await {
                Ok(depths) => depths.iter().any(|depth| {
                    depth.state == TaskState::Running
                        && jobs.iter().any(|limits| limits.job.as_str() == depth.job_name)
                }),
                Err(_) => true,
            };
            if elsewhere {
                tokio::time::sleep(EMPTY_PAUSE).await;
            }
            messages.send(Message::Emptiness(!elsewhere)).ok();
        });
    }
}

/// Whether a settlement may take long, or wait for others.
fn is_slow(settle: &Settle) -> bool {
    match settle {
        Settle::Completed { result: _, write, follow_ups } => {
            write.is_some() || !follow_ups.is_empty()
        }
        _ => false,
    }
}

fn given_back() -> Ran {
    Ran { settle: Settle::GiveBack, report: AttemptReport::default(), outcome: None }
}

/// Comes when an attempt whose lease was lost must be over.
async fn too_late(lost: CancellationToken) {
    lost.cancelled().await;
    tokio::time::sleep(LOST_GRACE.to_std()).await;
}

/// Waits for the store, but not for ever: a worker that nobody answers asks again.
pub(super) async fn limited<T>(limit: Duration, call: StoreFuture<'_, T>) -> Result<T, String> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the task store did not answer within {} s", limit.as_secs())),
    }
}
