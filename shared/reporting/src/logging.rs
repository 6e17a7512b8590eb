//! Events of `tracing` as lines on stderr.

mod filter;
mod format;
mod layer;
pub(crate) mod line;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::{Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use values::Clock;

use crate::scrub::Scrubber;
use layer::{Lines, Style};

/// Where lines go: called with one whole line, its line feed included.
pub type Sink = Box<dyn Fn(&[u8]) + Send + Sync>;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people if stderr is a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people, in colour if stderr is a terminal.
    Pretty,
    /// One flat JSON object per line.
    Json,
}

/// How severe a line is, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A person must act.
    Error,
    /// A retry or a rejection.
    Warn,
    /// A start, an end, a summary.
    Info,
    /// Detail.
    Debug,
    /// More detail.
    Trace,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// A word of the filter is no level.
    #[error(
        "`{found}` is not a log level{hint}; write off, error, warn, info, debug or trace, \
         alone or by target: info,sqlx=warn",
        hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
    )]
    Level {
        /// What was found (at most 60 characters).
        found: String,
        /// The level that was probably meant.
        near: Option<&'static str>,
    },
    /// The process has a subscriber already.
    #[error("logging was set up twice; call it once, when the program starts")]
    Twice,
}

/// What to write, and how.
#[derive(Debug, Clone)]
pub struct LoggingOptions {
    /// How lines look.
    pub format: LogFormat,
    /// What is written: `info`, or levels by target, such as `info,sqlx=warn`.
    pub filter: String,
    /// Whether colours stay off on a terminal too, as the variable `NO_COLOR` asks.
    pub no_color: bool,
    /// Tells the time of each line.
    pub clock: Arc<dyn Clock>,
    /// Takes secrets out of each line.
    pub scrubber: Scrubber,
}

/// Sends every event of this process to stderr, one unbuffered write per line.
///
/// Inside a [`crate::task_span`], lines from `info` on are kept for the attempt whatever the filter
/// says. A stderr that cannot be written to is ignored.
///
/// # Errors
///
/// [`LoggingError::Level`] for a wrong filter, [`LoggingError::Twice`] if there is a subscriber.
pub fn init(options: LoggingOptions) -> Result<(), LoggingError> {
    let sink: Sink = Box::new(|line| {
        // There is nowhere left to report this to, and a job must not fail over a log line.
        drop(io::stderr().lock().write_all(line));
    });
    let subscriber = subscriber(options, sink)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Twice)
}

/// Makes the subscriber of [`init`] for another place than stderr, such as a test's buffer.
///
/// # Errors
///
/// [`LoggingError::Level`] for a wrong filter.
pub fn subscriber(
    options: LoggingOptions,
    sink: Sink,
) -> Result<impl Subscriber + Send + Sync, LoggingError> {
    let LoggingOptions { format, filter, no_color, clock, scrubber } = options;
    let filter = filter::read(&filter)?;
    let style = style_of(format, io::stderr().is_terminal(), no_color);
    Ok(Registry::default().with(Lines { style, filter, clock, scrubber, sink }))
}

fn style_of(format: LogFormat, terminal: bool, no_color: bool) -> Style {
    match format {
        LogFormat::Auto if !terminal => Style::Json,
        LogFormat::Auto | LogFormat::Pretty => Style::Pretty { colour: terminal && !no_color },
        LogFormat::Json => Style::Json,
    }
}

impl LogLevel {
    /// The level as it stands in JSON lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            Level::TRACE => Self::Trace,
        }
    }
}

#[cfg(test)]
mod tests;
