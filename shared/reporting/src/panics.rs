//! Panics as log lines, so that what a panic says passes the scrubber like everything else.

use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};

use crate::logging::line::cut;

/// The most of a panic's message that is kept, in bytes; more than is ever shown, so that a secret
/// is whole when the scrubber looks for it.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

thread_local! {
    static LAST: RefCell<Option<PanicReport>> = const { RefCell::new(None) };
}

/// What a panic said, and where. The message may hold anything, secrets too: scrub it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanicReport {
    /// What the panic said.
    pub message: String,
    /// File, line and column.
    pub location: Option<String>,
}

/// Logs panics as errors, in the span they happen in, instead of printing them to stderr.
///
/// Call it after [`crate::init`]: without a subscriber panics would be silent.
pub fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let report = PanicReport::from(info);
        let location = report.location.as_deref().unwrap_or(UNKNOWN_LOCATION);
        tracing::error!(location, "panicked: {}", report.message);
        LAST.set(Some(report));
    }));
}

/// Takes the last panic of this thread; ask for it right after `catch_unwind`.
///
/// It is `None` if there was none since, or without [`log_panics`].
pub fn take_panic() -> Option<PanicReport> {
    LAST.take()
}

const UNKNOWN_LOCATION: &str = "unknown";

impl From<&PanicHookInfo<'_>> for PanicReport {
    fn from(info: &PanicHookInfo<'_>) -> Self {
        let message = info.payload_as_str().unwrap_or("(the panic carries no text)");
        Self {
            message: cut(message, MAX_MESSAGE_BYTES).into_owned(),
            location: info.location().map(ToString::to_string),
        }
    }
}
