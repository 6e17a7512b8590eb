//! What the worker tells about its tasks, without a job doing anything: logs, metrics, Sentry.
//!
//! - [`init`] sends `tracing` events to stderr, as JSON lines or for people, each with the
//!   `job_name`, `source`, `task_id` and `attempt` of the [`task_span`] it happened in.
//! - [`AttemptLog`] keeps the lines of one attempt, bounded, to be stored with its task.
//! - [`log_panics`] makes a panic such a line too.
//! - [`Metrics`] counts and measures, and writes the text that Prometheus scrapes.
//! - [`Sentry`] tells people about panics, permanent failures, rejections and alerts. Without the
//!   feature `sentry` it has the same functions and sends nothing.
//! - [`Scrubber`] knows the secrets that are open right now and takes them out of all but metrics.
//!
//! There is no environment in here: whoever starts the program hands down what it read.

mod attempt;
mod event;
mod logging;
mod metrics;
mod panics;
mod scrub;
mod sentry;

pub use attempt::{AttemptLog, LogLine, MAX_LINE_BYTES, task_span};
pub use event::{Event, TaskTags};
pub use logging::{LogFormat, LogLevel, LoggingError, LoggingOptions, Sink, init, subscriber};
pub use metrics::{
    CONTENT_TYPE, MetricNames, Metrics, QueueDepth, Running, TaskOutcome, UNKNOWN_NAME,
};
pub use panics::{PanicReport, log_panics, take_panic};
pub use scrub::{REDACTED, SHORTEST_SECRET, ScrubGuard, Scrubber};
pub use sentry::{Sentry, SentryError};
