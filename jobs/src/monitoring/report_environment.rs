//! `monitoring/report_environment`: what the worker sees of its surroundings.
//!
//! It looks no further than the databases, so that it answers within milliseconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use contract::NoConfiguration;
use contract::monitoring::ReportEnvironment as Payload;
use database::Db;
use job::{Context, Facts, Job, JobError, NoSettings, Outcome, Services};
use serde::Serialize;
use serde_json::Value;
use tasks::TaskStore;
use values::Timestamp;

/// Reports the environment.
pub(crate) struct ReportEnvironment {
    db: Db,
    tasks: Arc<dyn TaskStore>,
    facts: Arc<Facts>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    worker: &'a str,
    version: &'a str,
    release: &'a str,
    host: &'a str,
    /// By name, secrets redacted.
    settings: BTreeMap<&'a str, &'a str>,
    clock: Clocks,
    database: Reached,
    task_store: Reached,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<Value>,
}

/// The same instant by different clocks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Clocks {
    /// The run's, which `--at` sets.
    run: Timestamp,
    /// The task store's.
    task_store: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reached {
    is_reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Job for ReportEnvironment {
    type Payload = Payload;
    type Settings = NoSettings;

    fn new(services: &Services, _: NoSettings) -> Self {
        Self {
            db: services.db.clone(),
            tasks: Arc::clone(&services.tasks),
            facts: Arc::clone(&services.facts),
        }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let Facts { version, worker, host, environment: _, home: _, release, settings } =
            &*self.facts;
        let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let report = Report {
            worker,
            version,
            release,
            host,
            settings: settings.collect(),
            clock: Clocks { run: cx.now(), task_store: self.tasks.now() },
            database: self.reach_database().await,
            task_store: Reached::new(self.tasks.check().await.map(|()| None)),
            echo: payload.echo,
        };
        Ok(Outcome::completed(report))
    }
}

impl ReportEnvironment {
    async fn reach_database(&self) -> Reached {
        let engine = async {
            self.db.check().await?;
            self.db.engine().await.map(Some)
        };
        Reached::new(engine.await)
    }
}

impl Reached {
    fn new<E: Error>(reached: Result<Option<String>, E>) -> Self {
        match reached {
            Ok(engine) => Self { is_reachable: true, engine, error: None },
            Err(error) => Self { is_reachable: false, engine: None, error: Some(chain(&error)) },
        }
    }
}

/// The error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
