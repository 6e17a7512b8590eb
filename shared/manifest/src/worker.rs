//! `[worker]`: what holds for the worker as a whole.

use values::Span;

use crate::read::Reader;
use crate::section::{Section, flag, text};

/// The longest name of a worker, in bytes.
const LONGEST_NAME: usize = 100;
const SECOND: Span = Span::from_seconds(1);
const DAY: Span = Span::from_days(1);
/// About ten years.
const LONGEST: Span = Span::from_days(520 * 7);

/// What holds for the worker as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// How the worker calls itself in the process title, in logs and metrics.
    pub name: String,
    /// The most attempts that run at a time, 1 to 4,096.
    pub concurrency: u32,
    /// How many tasks are leased beyond those that run, 0 to 10,000.
    pub prefetch: u32,
    /// The largest envelope that is read, in bytes.
    pub max_envelope_bytes: u64,
    /// The deepest nesting of an envelope's JSON, 4 to 128.
    pub max_envelope_depth: u32,
    /// Whether a source must prove itself; `false` warns at every start.
    pub require_signatures: bool,
    /// How long a task that this worker does not accept is held for others.
    pub hold_limit: Span,
    /// How long a proof is good for after it was made.
    pub task_lifetime: Span,
    /// How long a stopping worker waits for running attempts.
    pub drain_timeout: Span,
    /// How long completed and cancelled tasks are kept.
    pub retention_completed: Span,
    /// How long discarded tasks (dead letters) are kept.
    pub retention_discarded: Span,
    /// A file that configuration of origin `worker` is read from, beside the environment.
    pub configuration_file: Option<String>,
    /// The most log lines that are kept with an attempt, 0 to 10,000.
    pub log_lines_per_attempt: u32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            name: "MainWorker".to_owned(),
            concurrency: 8,
            prefetch: 0,
            max_envelope_bytes: 1_048_576,
            max_envelope_depth: 64,
            require_signatures: true,
            hold_limit: DAY,
            task_lifetime: Span::from_days(30),
            drain_timeout: Span::from_seconds(30),
            retention_completed: Span::from_days(7),
            retention_discarded: Span::from_days(30),
            configuration_file: None,
            log_lines_per_attempt: 100,
        }
    }
}

pub(crate) fn read(reader: &mut Reader, root: &mut Section<'_>) -> WorkerSettings {
    let mut section = Section::open(reader, "[worker]".to_owned(), root.item("worker"));
    let s = &mut section;
    let default = WorkerSettings::default();
    let settings = WorkerSettings {
        name: s
            .read(reader, "name", "a name of 1 to 100 bytes", |value| {
                line(text(value)?, LONGEST_NAME)
            })
            .unwrap_or(default.name),
        concurrency: s.number(reader, "concurrency", 1..=4_096).unwrap_or(default.concurrency),
        prefetch: s.number(reader, "prefetch", 0..=10_000).unwrap_or(default.prefetch),
        max_envelope_bytes: s
            .number(reader, "max_envelope_bytes", 1_024..=67_108_864)
            .unwrap_or(default.max_envelope_bytes),
        max_envelope_depth: s
            .number(reader, "max_envelope_depth", 4..=128)
            .unwrap_or(default.max_envelope_depth),
        require_signatures: s
            .read(reader, "require_signatures", "true or false", flag)
            .unwrap_or(default.require_signatures),
        hold_limit: s.span(reader, "hold_limit", SECOND..=LONGEST).unwrap_or(default.hold_limit),
        task_lifetime: s
            .span(reader, "task_lifetime", SECOND..=LONGEST)
            .unwrap_or(default.task_lifetime),
        drain_timeout: s
            .span(reader, "drain_timeout", Span::ZERO..=DAY)
            .unwrap_or(default.drain_timeout),
        retention_completed: s
            .span(reader, "retention_completed", Span::ZERO..=LONGEST)
            .unwrap_or(default.retention_completed),
        retention_discarded: s
            .span(reader, "retention_discarded", Span::ZERO..=LONGEST)
            .unwrap_or(default.retention_discarded),
        configuration_file: s
            .read(reader, "configuration_file", "the path of a file", |value| {
                line(text(value)?, 4_096)
            })
            .or(default.configuration_file),
        log_lines_per_attempt: s
            .number(reader, "log_lines_per_attempt", 0..=10_000)
            .unwrap_or(default.log_lines_per_attempt),
    };
    section.close(reader);
    settings
}

/// A text that is not empty, not too long and has no control characters.
fn line(text: &str, bytes_max: usize) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("is empty".to_owned())
    } else if text.len() > bytes_max {
        Err(format!("has {} bytes", text.len()))
    } else if text.contains(char::is_control) {
        Err("has a control character".to_owned())
    } else {
        Ok(text.to_owned())
    }
}
