//! `monitoring/check_queues`: tasks that wait or run for too long, and mails that nobody accepts,
//! told once per incident.
//!
//! An incident is open from the first check that finds it to the first that does not; only its
//! beginning is told: to the admins by mail, and, since mail may be what is stuck, as an alert at
//! once. What cannot be counted is no all-clear: then nothing changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::emails::DeliverEmail;
use contract::monitoring::CheckQueues as Payload;
use contract::{NoConfiguration, Payload as _};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{AdminEvent, AdminEventKind};
use models::{incidents, outbox};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use tasks::{QueueDepth, TaskState, TaskStore};
use values::{Span, Timestamp};

use crate::emails::{deliver, event};

/// What worker.toml says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long a task may wait from when it could have run.
    #[serde(default = "max_wait", deserialize_with = "span")]
    max_wait: Span,
    /// How long an attempt may run.
    #[serde(default = "max_run", deserialize_with = "span")]
    max_run: Span,
    /// How long mails may wait without any of them being accepted.
    #[serde(default = "max_unsent", deserialize_with = "span")]
    max_unsent: Span,
    /// Other limits by job, for waiting and running alike.
    #[serde(default)]
    jobs: BTreeMap<String, Limit>,
}

/// The limits of one job.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    #[serde(default = "max_wait", deserialize_with = "span")]
    max_wait: Span,
    #[serde(default = "max_run", deserialize_with = "span")]
    max_run: Span,
}

fn max_wait() -> Span {
    Span::from_minutes(10)
}

fn max_run() -> Span {
    Span::from_hours(1)
}

fn max_unsent() -> Span {
    Span::from_hours(1)
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Checks queues.
pub(crate) struct CheckQueues {
    db: Db,
    tasks: Arc<dyn TaskStore>,
    settings: Settings,
}

/// What one attempt found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Jobs with tasks that wait or run for too long, or whose mails nobody accepts.
    stuck: Vec<Stuck>,
    /// Incidents that began.
    begun: u32,
    /// Incidents that are over.
    ended: usize,
}

/// A job whose oldest task is over its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stuck {
    job_name: String,
    /// `waiting`, `running` or `unsent`.
    kind: &'static str,
    since: Timestamp,
}

impl Stuck {
    /// What a person is told: a stable code, and what happened and where to look further.
    fn told(&self) -> (&'static str, String) {
        let Self { job_name, kind, since } = self;
        if *kind == UNSENT {
            let message = format!(
                "no mail was accepted since {since} although mails wait; main-worker emails list \
                 --state waiting,sending shows what the mail server said"
            );
            return ("mails_unsent", message);
        }
        let message = format!(
            "the oldest task of {job_name} has been {kind} since {since}; main-worker tasks depth \
             and main-worker jobs show {job_name} say more"
        );
        ("queue_stuck", message)
    }
}

/// The kind of incident in which mails wait.
const UNSENT: &str = "unsent";

impl Job for CheckQueues {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), tasks: Arc::clone(&services.tasks), settings }
    }

    async fn run(&self, cx: &Context, _: Payload, _: NoConfiguration) -> Result<Outcome, JobError> {
        let mut stuck = stuck(&self.tasks.depths().await?, &self.settings, cx.now());
        let unsent = outbox::unsent(&self.db).await?.map(|unsent| unsent.stuck_since());
        if let Some(since) = unsent
            && since.after(self.settings.max_unsent) < cx.now()
        {
            stuck.push(Stuck { job_name: DeliverEmail::JOB.to_owned(), kind: UNSENT, since });
        }
        cx.progress(0.5, "queues are counted");
        let mut report = Report { stuck, ..Report::default() };
        let mut work = self.db.begin().await?;
        for one in &report.stuck {
            let Stuck { job_name, kind, since: _ } = one;
            if !incidents::open(&mut work.tx(), job_name, kind, cx.now()).await? {
                continue;
            }
            report.begun += 1;
            let mut told = AdminEvent::new(AdminEventKind::QueueStuck, cx.now());
            told.code = format!("{job_name}:{kind}").parse().ok();
            let key = format!("queue_stuck/{job_name}/{kind}/{}", cx.now());
            outbox::note_event(&mut work.tx(), &event(key, &told)?).await?;
            // Before the incident is on record: rather twice than never.
            let (code, message) = one.told();
            cx.alert(code, &message);
        }
        let standing = report.stuck.iter().map(|one| (one.job_name.clone(), one.kind.to_owned()));
        let standing: Vec<(String, String)> = standing.collect();
        report.ended = incidents::close_others(&mut work.tx(), &standing).await?;
        work.commit().await?;
        tracing::info!(
            stuck = report.stuck.len(),
            begun = report.begun,
            ended = report.ended,
            "queues checked"
        );
        Ok(deliver(Outcome::completed(report)))
    }
}

/// The jobs whose oldest task is over its limit, by name and kind.
fn stuck(depths: &[QueueDepth], settings: &Settings, now: Timestamp) -> Vec<Stuck> {
    let mut oldest: BTreeMap<(&str, &'static str), Timestamp> = BTreeMap::new();
    for QueueDepth { job_name, source: _, state, count: _, oldest: since } in depths {
        let kind = match state {
            TaskState::Available => "waiting",
            TaskState::Running => "running",
            // Not due yet, or at its end.
            TaskState::Scheduled
            | TaskState::Completed
            | TaskState::Discarded
            | TaskState::Cancelled => continue,
        };
        if let Some(since) = since {
            let first = oldest.entry((job_name, kind)).or_insert(*since);
            *first = (*first).min(*since);
        }
    }
    let usual = Limit { max_wait: settings.max_wait, max_run: settings.max_run };
    let is_over = |((job, kind), since): &((&str, &'static str), Timestamp)| {
        let limit = settings.jobs.get(*job).unwrap_or(&usual);
        let limit = if *kind == "waiting" { limit.max_wait } else { limit.max_run };
        since.after(limit) < now
    };
    let over = oldest.into_iter().filter(is_over);
    over.map(|((job, kind), since)| Stuck { job_name: job.to_owned(), kind, since }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn depth(job: &str, state: TaskState, oldest: &str) -> QueueDepth {
        QueueDepth {
            job_name: job.to_owned(),
            source: "operator".to_owned(),
            state,
            count: 1,
            oldest: Some(at(oldest)),
        }
    }

    #[test]
    fn a_job_is_stuck_once_its_oldest_task_is_over_its_limit() {
        let limit = Limit { max_wait: Span::from_hours(2), max_run: Span::from_hours(2) };
        let settings = Settings {
            max_wait: max_wait(),
            max_run: max_run(),
            max_unsent: max_unsent(),
            jobs: BTreeMap::from([("c/slow".to_owned(), limit)]),
        };
        let (wait, run) = (TaskState::Available, TaskState::Running);
        let depths = [
            depth("a/a", wait, "2026-11-01T11:50:00Z"),
            depth("a/b", wait, "2026-11-01T11:58:00Z"),
            depth("a/b", wait, "2026-11-01T11:49:59Z"),
            depth("a/b", run, "2026-11-01T11:00:00Z"),
            depth("b/run", run, "2026-11-01T10:59:59Z"),
            depth("b/later", TaskState::Scheduled, "2026-11-01T00:00:00Z"),
            depth("c/slow", wait, "2026-11-01T10:00:00Z"),
        ];
        let found = stuck(&depths, &settings, at("2026-11-01T12:00:00Z"));
        let found: Vec<_> = found.iter().map(|one| (one.job_name.as_str(), one.kind)).collect();
        assert_eq!(found, [("a/b", "waiting"), ("b/run", "running")]);
    }
}
