//! What the shell is told by the calls and attempts it has spawned.

use std::time::Duration;

use tasks::{AttemptReport, LeasedTask, Settle, Settled};
use tokio_util::sync::CancellationToken;
use work_loop::{Event, Lease, Moment, Taken};

use super::Shell;
use super::known::{Ending, Known, stopped};
use crate::work::attempt::{Ran, backoff};
use crate::work::http::Written;

/// What the loop is told by the tasks it has spawned.
pub(super) enum Message {
    Leased(Result<Vec<LeasedTask>, String>),
    Started { asked: Vec<Lease>, counted: Vec<Lease> },
    StartFailed(Vec<Lease>),
    Ran(Lease, Box<Ran>, Duration),
    Settled(Vec<(Lease, Settled)>),
    SettleFailed(Vec<(Lease, Ran)>, String),
    Registered(i64, Moment),
    Emptiness(bool),
    Held(i64, Vec<Lease>),
}

impl Shell {
    pub(super) fn hear(&mut self, message: Message, events: &mut Vec<Event>) {
        match message {
            Message::Leased(Ok(tasks)) => {
                self.store_answers(true, "");
                events.push(Event::Leased(tasks.into_iter().map(|task| self.know(task)).collect()));
            }
            Message::Leased(Err(error)) => {
                self.app.reporter.metrics.store_failed("lease");
                self.store_answers(false, &error);
                events.push(Event::LeaseFailed);
            }
            Message::Started { asked, counted } => events.push(Event::Started { asked, counted }),
            Message::StartFailed(leases) => {
                self.app.reporter.metrics.store_failed("start");
                events.push(Event::StartFailed(leases));
            }
            Message::Ran(lease, ran, duration) => self.ended(lease, *ran, duration, events),
            Message::Settled(settled) => self.settled(settled, events),
            Message::SettleFailed(again, error) => {
                self.app.reporter.metrics.store_failed("settle");
                self.store_answers(false, &error);
                self.pulse.wrote(Written::Settlement, Some(error));
                let leases = again.iter().map(|(lease, _)| *lease).collect();
                for (lease, ran) in again {
                    if let Some(known) = self.known.get_mut(&lease) {
                        known.ran = Some(ran);
                    }
                }
                events.push(Event::SettleFailed(leases));
            }
            Message::Registered(worker, sent) => {
                self.worker = worker;
                self.heartbeat.switch((worker, sent));
                events.push(Event::Registered);
            }
            Message::Held(worker, leases) => self.held(worker, leases),
            Message::Emptiness(empty) => events.push(Event::Emptiness(empty)),
        }
    }

    /// Says once that the store is gone, and once that it is back.
    fn store_answers(&mut self, answers: bool, error: &str) {
        if answers && self.store_down {
            tracing::info!("the task store answers again");
        } else if !answers && !self.store_down {
            tracing::error!(error, "the task store does not answer; trying again");
            self.app.reporter.sentry.report(&reporting::Event::Alert {
                code: "store_unavailable",
                job_name: None,
                message: error,
            });
        }
        self.store_down = !answers;
    }

    fn know(&mut self, leased: LeasedTask) -> Taken {
        let lease = (leased.row, leased.token);
        let taken = Taken {
            lease,
            started: leased.started,
            priority: leased.priority,
            run_at: leased.run_at,
        };
        let unknown = || "unknown/unknown".parse().expect("a job name");
        let nobody = || "unknown".parse().expect("a source");
        let known = Known {
            job: leased.task.job.parse().unwrap_or_else(|_| unknown()),
            source: leased.task.source.parse().unwrap_or_else(|_| nobody()),
            task_id: leased.task.task_id,
            wait: leased.leased_at.since(leased.run_at).to_std(),
            attempt: leased.attempt,
            max_attempts: leased.max_attempts,
            task: Some(leased),
            token: CancellationToken::new(),
            lost: CancellationToken::new(),
            stopped: None,
            ran: None,
            outcome: None,
            ending: Ending::Returned,
            duration: Duration::ZERO,
            running: None,
        };
        self.known.insert(lease, known);
        taken
    }

    fn ended(&mut self, lease: Lease, mut ran: Ran, duration: Duration, events: &mut Vec<Event>) {
        self.progress.lock().expect("no one panics while holding it").remove(&lease);
        if let Some(known) = self.known.get_mut(&lease) {
            known.running = None;
            known.duration = duration;
            stopped(known.stopped, &mut ran);
            known.outcome = ran.outcome;
            known.ending = Ending::of(&ran.settle);
            known.ran = Some(ran);
        }
        events.push(Event::Ended(lease));
    }

    fn settled(&mut self, settled: Vec<(Lease, Settled)>, events: &mut Vec<Event>) {
        self.pulse.wrote(Written::Settlement, None);
        let mut over = Vec::with_capacity(settled.len());
        let mut failed = Vec::new();
        for (lease, settled) in settled {
            match settled {
                Settled::Done { follow_ups: _ } => {
                    self.count(lease);
                    over.push(lease);
                }
                Settled::LeaseLost => {
                    tracing::debug!(row = lease.0, "settled by another before");
                    self.known.remove(&lease);
                    over.push(lease);
                }
                Settled::WriteFailed { error, transient } => {
                    failed.push((lease, self.write_failed(lease, error, transient)));
                }
            }
        }
        self.send_settlements(failed);
        events.push(Event::Settled(over));
    }

    /// The final write step refused: the attempt has failed after all.
    fn write_failed(&mut self, lease: Lease, error: String, transient: bool) -> Ran {
        let known = self.known.get_mut(&lease);
        let again = known.as_ref().filter(|known| transient && known.attempt < known.max_attempts);
        let (settle, outcome) = match again {
            Some(known) => {
                let after = backoff(&self.app, &known.job, known.attempt);
                (Settle::Retry { after }, reporting::TaskOutcome::Retried)
            }
            None => (Settle::Discard, reporting::TaskOutcome::Discarded),
        };
        if let Some(known) = known {
            tracing::error!(
                job_name = %known.job, task_id = %known.task_id, error, "the final write step failed"
            );
            if outcome == reporting::TaskOutcome::Discarded {
                let task = reporting::TaskTags {
                    job_name: &known.job,
                    source: &known.source,
                    task_id: known.task_id,
                    attempt: known.attempt,
                };
                self.app.reporter.sentry.report(&reporting::Event::PermanentFailure {
                    task,
                    code: "final_write_failed",
                    message: &error,
                });
            }
            known.outcome = Some(outcome);
            known.ending = Ending::of(&settle);
        }
        let code = Some("final_write_failed".to_owned());
        let report = AttemptReport { code, error: Some(error), log: None };
        Ran { settle, report, outcome: Some(outcome) }
    }

    /// Counts a settled attempt and says so.
    fn count(&mut self, lease: Lease) {
        let Some(known) = self.known.remove(&lease) else { return };
        match known.ending {
            Ending::Completed => self.end.completed += 1,
            Ending::Again => self.end.retried += 1,
            Ending::Discarded => self.end.discarded += 1,
            Ending::Cancelled => self.end.cancelled += 1,
            Ending::Held => self.end.held += 1,
            Ending::Returned => {}
        }
        let Some(outcome) = known.outcome else { return };
        let metrics = &self.app.reporter.metrics;
        metrics.task_settled(&known.job, &known.source, outcome, known.duration, known.wait);
        tracing::info!(
            job_name = %known.job, source = %known.source, task_id = %known.task_id,
            attempt = known.attempt, outcome = outcome.name(),
            duration_ms = u64::try_from(known.duration.as_millis()).unwrap_or(u64::MAX),
            "task settled"
        );
    }
}
