//! The log lines of one attempt, kept to be stored with its task.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{Span, field};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;
use values::{JobName, Source, TaskId};

use crate::logging::LogLevel;
use crate::logging::line::{Line, cut};

/// The most text one kept line holds, in bytes: message, field names and field values.
pub const MAX_LINE_BYTES: usize = 1024;

/// Target and name by which the span of an attempt is recognized.
pub(crate) const TASK_TARGET: &str = "main_worker";
pub(crate) const TASK_SPAN: &str = "task";

/// One line that was logged during an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was logged, in microseconds since 1970 UTC.
    pub at_micros: i64,
    /// How severe it is.
    pub level: LogLevel,
    /// What happened, without values.
    pub message: String,
    /// The values, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// Keeps the lines of one attempt; clones share them.
///
/// When there are more lines than it holds, the first and the last ones are kept, and a line in
/// between says how many are missing. It allocates nothing per line it does not keep.
#[derive(Clone)]
pub struct AttemptLog(Arc<Lines>);

struct Lines {
    lines_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    dropped: u64,
}

impl AttemptLog {
    /// Makes an empty log that keeps at most `lines_max` lines of [`MAX_LINE_BYTES`] each.
    pub fn new(lines_max: usize) -> Self {
        Self(Arc::new(Lines { lines_max, kept: Mutex::default() }))
    }

    /// Takes the lines kept so far, oldest first, and begins anew.
    ///
    /// If some were dropped, a line with the field `dropped` stands in their place, so that the
    /// result is at most one line longer than the log's bound.
    pub fn take(&self) -> Vec<LogLine> {
        let mut kept = self.kept();
        let Kept { mut lines, dropped } = std::mem::take(&mut *kept);
        drop(kept);
        if dropped > 0 {
            let gap = self.first_part();
            let at_micros = lines.get(gap).or(lines.back()).map_or(0, |line| line.at_micros);
            lines.insert(gap.min(lines.len()), gap_line(at_micros, dropped));
        }
        lines.into()
    }

    /// How many lines were dropped since the last [`AttemptLog::take`].
    pub fn dropped(&self) -> u64 {
        self.kept().dropped
    }

    pub(crate) fn keep(&self, line: &Line) {
        let mut kept = self.kept();
        if kept.lines.len() >= self.0.lines_max {
            kept.dropped += 1;
            if kept.lines.remove(self.first_part()).is_none() {
                return;
            }
        }
        kept.lines.push_back(shorten(line));
    }

    /// How many of the first lines are never dropped; the place of the gap.
    fn first_part(&self) -> usize {
        self.0.lines_max / 2
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AttemptLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("AttemptLog")
            .field("lines", &kept.lines.len())
            .field("dropped", &kept.dropped)
            .finish_non_exhaustive()
    }
}

/// What the span of an attempt carries for the lines logged inside it.
#[derive(Debug, Clone)]
pub(crate) struct TaskContext {
    pub(crate) job_name: JobName,
    pub(crate) source: Source,
    pub(crate) task_id: TaskId,
    pub(crate) attempt: u32,
    pub(crate) log: AttemptLog,
}

/// Opens the span of one attempt (counted from 1); what is logged inside goes to `log` as well.
///
/// Run the handler with `future.instrument(span)`. `outcome` and `duration_ms` are left to be
/// recorded at the end. Without the subscriber of this crate the span does nothing.
pub fn task_span(
    job_name: &JobName,
    source: &Source,
    task_id: TaskId,
    attempt: u32,
    log: &AttemptLog,
) -> Span {
    let span = tracing::info_span!(
        target: TASK_TARGET,
        TASK_SPAN,
        %job_name,
        %source,
        %task_id,
        attempt,
        outcome = field::Empty,
        duration_ms = field::Empty,
    );
    span.with_subscriber(|(id, dispatch)| {
        // The typed values are attached as they are: no line, no formatting.
        if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|spans| spans.span(id)) {
            span.extensions_mut().replace(TaskContext {
                job_name: job_name.clone(),
                source: source.clone(),
                task_id,
                attempt,
                log: log.clone(),
            });
        }
    });
    span
}

fn gap_line(at_micros: i64, dropped: u64) -> LogLine {
    LogLine {
        at_micros,
        level: LogLevel::Warn,
        message: "lines were left out here".to_owned(),
        fields: Map::from_iter([("dropped".to_owned(), dropped.into())]),
    }
}

/// Copies a line, message first, then whole fields as long as there is room.
fn shorten(line: &Line) -> LogLine {
    let message = cut(&line.message, MAX_LINE_BYTES);
    let mut room = MAX_LINE_BYTES - message.len();
    let mut fields = Map::new();
    for (name, value) in &line.fields {
        let Some(left) = room.checked_sub(name.len()) else {
            continue;
        };
        let short = match value {
            Value::String(text) => Value::from(cut(text, left)),
            number => number.clone(),
        };
        let bytes = short.as_str().map_or(LONGEST_NUMBER_BYTES, str::len);
        if let Some(left) = left.checked_sub(bytes) {
            room = left;
            fields.insert((*name).to_owned(), short);
        }
    }
    LogLine {
        at_micros: line.at.as_micros(),
        level: line.level,
        message: message.into_owned(),
        fields,
    }
}

/// What a number or truth value is counted as, in bytes.
const LONGEST_NUMBER_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use values::Timestamp;

    use super::*;

    fn line(at_micros: i64, message: &str, fields: Vec<(&'static str, Value)>) -> Line {
        Line {
            at: Timestamp::from_micros(at_micros),
            level: LogLevel::Info,
            target: "test",
            message: message.to_owned(),
            fields,
        }
    }

    fn kept(lines_max: usize, logged: i64) -> Vec<i64> {
        let log = AttemptLog::new(lines_max);
        for at in 0..logged {
            log.keep(&line(at, "happened", Vec::new()));
        }
        log.take()
            .iter()
            .map(|line| line.fields.get("dropped").map_or(line.at_micros, |n| -n.as_i64().unwrap()))
            .collect()
    }

    #[test]
    fn keeps_the_first_and_the_last_lines_and_counts_the_others() {
        assert_eq!(kept(4, 3), [0, 1, 2]);
        assert_eq!(kept(4, 4), [0, 1, 2, 3]);
        assert_eq!(kept(4, 9), [0, 1, -5, 7, 8]);
        assert_eq!(kept(1, 3), [-2, 2]);
        assert_eq!(kept(0, 3), [-3]);
    }

    #[test]
    fn begins_anew_after_its_lines_were_taken() {
        let log = AttemptLog::new(2);
        for at in 0..5 {
            log.keep(&line(at, "happened", Vec::new()));
        }
        assert_eq!(log.dropped(), 3);
        assert_eq!(log.take().len(), 3);
        assert_eq!(log.dropped(), 0);
        assert!(log.take().is_empty());
    }

    #[test]
    fn holds_a_line_to_its_bytes() {
        let check = |message: &str, fields: Vec<(&'static str, Value)>, names: &[&str]| {
            let short = shorten(&line(0, message, fields));
            let bytes = |(name, value): (&String, &Value)| {
                name.len() + value.as_str().map_or(value.to_string().len(), str::len)
            };
            let total = short.message.len() + short.fields.iter().map(bytes).sum::<usize>();
            assert!(total <= MAX_LINE_BYTES, "{total}");
            assert_eq!(short.fields.keys().collect::<Vec<_>>(), names);
        };
        let long = "é".repeat(MAX_LINE_BYTES);
        check("short", vec![("count", 3.into())], &["count"]);
        check(&long, vec![("count", 3.into())], &[]);
        check("short", vec![("a", long.clone().into()), ("b", 1.into())], &["a"]);
        check("short", vec![("a", "x".repeat(900).into()), ("b", u64::MAX.into())], &["a", "b"]);
    }
}
