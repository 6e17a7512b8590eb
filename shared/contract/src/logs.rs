//! Edge logs become usage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Configuration, ObjectStorage, Origin, Payload, Section, SectionCheck};

/// What the log jobs need to reach their log sources.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogConfiguration {
    /// Keys of the object storage; without them the machine's own identity is used.
    #[serde(default)]
    pub object_storage: Option<ObjectStorage>,
}

impl Configuration for LogConfiguration {
    const SECTIONS: &'static [Section] = &[Section {
        name: "objectStorage",
        origin: Origin::Either,
        required: false,
        description: "accessKeyId and secretAccessKey of the bucket that holds the logs",
        check: SectionCheck::of::<ObjectStorage>(),
    }];
}

/// Asks for a look at the log sources: one follow-up per new file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiscoverLogs {
    /// The only source to look at; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_source: Option<String>,
}

impl Payload for DiscoverLogs {
    const JOB: &'static str = "logs/discover_logs";
    const DESCRIPTION: &'static str =
        "Lists each log source and asks for every new file to be processed";
    type Config = LogConfiguration;

    fn example() -> Self {
        Self { log_source: None }
    }
}

/// Asks for one log file to become usage rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessLog {
    /// Name of the log source, a key of `[domains.logs.log_sources]` in worker.toml.
    pub log_source: String,
    /// The file: its key below the source's location.
    pub key: String,
    /// Whether to count a file anew that was counted before: its old figures are replaced. For
    /// lines of streams that were not known then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

impl Payload for ProcessLog {
    const JOB: &'static str = "logs/process_log";
    const DESCRIPTION: &'static str =
        "Turns one edge-log file into usage per stream, hour and kind, exactly once";
    type Config = LogConfiguration;

    fn example() -> Self {
        Self {
            log_source: "cdn".to_owned(),
            key: "hls/publish-1/EXAMPLE.2026-10-31-23.0000000a.gz".to_owned(),
            again: false,
        }
    }
}
