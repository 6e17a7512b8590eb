//! What the shell does at the core's command; each call answers with a message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tasks::{AttemptReport, LeaseRequest, Settle, Settlement, TaskState};
use values::Span;

use super::hearing::Message;
use super::known::fallback;
use super::{Shell, TURN, record};
use crate::work::attempt::{Ran, run_attempt};
use crate::work::core::Lease;

/// Wait before asking again whether the queue is empty.
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

impl Shell {
    pub(super) fn lease(&self, start: usize, hold: usize, above: Option<u8>, wait: Span) {
        let request = LeaseRequest {
            worker: self.worker,
            host: self.app.host.clone(),
            jobs: Arc::clone(&self.jobs),
            start,
            hold,
            above,
            wait,
        };
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let drained = self.drained.clone();
        tokio::spawn(async move {
            let leased = tokio::select! {
                leased = store.lease(request) => leased.map_err(|error| error.to_string()),
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
            let message = match store.start(worker, leases.clone()).await {
                Ok(rows) => {
                    let started = leases.into_iter().filter(|(row, _)| rows.contains(row));
                    Message::Started(started.collect())
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
        let (token, messages) = (known.token.clone(), self.messages.clone());
        let progress = Arc::clone(&self.progress);
        let sink: job::ProgressSink = Arc::new(move |latest| {
            progress.lock().expect("no one panics while holding it").insert(lease, latest);
        });
        tokio::spawn(async move {
            let began = Instant::now();
            let ran = run_attempt(&app, &follow_ups, &leased, token, sink, &app.clock).await;
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
        let back = |lease| {
            let report = AttemptReport::default();
            (lease, Ran { settle: Settle::GiveBack, report, outcome: None })
        };
        self.send_settlements(leases.into_iter().map(back).collect());
    }

    pub(super) fn send_settlements(&self, batch: Vec<(Lease, Ran)>) {
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
            let message = match store.settle(settlements).await {
                Ok(settled) => {
                    let leases = again.into_iter().map(|(lease, _)| lease);
                    Message::Settled(leases.zip(settled).collect())
                }
                Err(error) => Message::SettleFailed(again, error.to_string()),
            };
            messages.send(message).ok();
        });
    }

    pub(super) fn register(&self) {
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let record = record(&self.app);
        tokio::spawn(async move {
            loop {
                if let Ok(worker) = store.register(record.clone()).await {
                    messages.send(Message::Registered(worker)).ok();
                    return;
                }
                tokio::time::sleep(TURN).await;
            }
        });
    }

    pub(super) fn check_empty(&self) {
        let (store, messages) = (Arc::clone(&self.app.store), self.messages.clone());
        let jobs = Arc::clone(&self.jobs);
        tokio::spawn(async move {
            let elsewhere = match store.depths().await {
                Ok(depths) => depths.iter().any(|depth| {
                    depth.state == TaskState::Running
                        && jobs.iter().any(|(job, _)| job.as_str() == depth.job_name)
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
