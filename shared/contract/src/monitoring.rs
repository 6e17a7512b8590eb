//! The worker looks after itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{NoConfiguration, Payload};

/// Asks what the worker sees of its surroundings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportEnvironment {
    /// Any value; the report returns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Value>,
}

impl Payload for ReportEnvironment {
    const JOB: &'static str = "monitoring/report_environment";
    const DESCRIPTION: &'static str =
        "Reports versions, settings (redacted), the clock and what can be reached";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { echo: Some(Value::from("hello")) }
    }
}

/// Asks for finished tasks beyond their retention to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PruneHistory {}

impl Payload for PruneHistory {
    const JOB: &'static str = "monitoring/prune_history";
    const DESCRIPTION: &'static str =
        "Deletes finished tasks and their logs beyond retention, never ledgers or effects";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {}
    }
}

/// Asks whether tasks of any job wait or run for too long, and whether mails are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckQueues {}

impl Payload for CheckQueues {
    const JOB: &'static str = "monitoring/check_queues";
    const DESCRIPTION: &'static str =
        "Tells, once per incident, of tasks that wait or run for too long and mails nobody accepts";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {}
    }
}
