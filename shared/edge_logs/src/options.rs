//! Settings of a parse: policy first, bounds after.

use serde::Deserialize;

/// Which FMS column is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum FmsBytes {
    /// `sc-bytes`: what the session received up to this event.
    #[default]
    #[serde(rename = "sc-bytes")]
    Session,
    /// `sc-stream-bytes`: what this one stream received.
    #[serde(rename = "sc-stream-bytes")]
    Stream,
}

/// How lines are judged, and how much of a file may be held in memory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// EdgeCast instances whose lines are skipped, such as the account code itself.
    pub reserved_instances: Vec<String>,
    /// EdgeCast HTTP lines of at most this many bytes are skipped as noise.
    pub wpc_counted_above_bytes: u64,
    /// The FMS column that is billed.
    pub fms_bytes_column: FmsBytes,
    /// A longer line is an error line and is not held.
    pub max_line_bytes: usize,
    /// Error lines kept with their details; all are counted.
    pub max_kept_errors: usize,
    /// Distinct (name, hour, kind) groups in one file; more end the parse.
    pub max_groups: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reserved_instances: Vec::new(),
            wpc_counted_above_bytes: 1_000,
            fms_bytes_column: FmsBytes::Session,
            max_line_bytes: 64 * 1024,
            max_kept_errors: 1_000,
            max_groups: 200_000,
        }
    }
}
