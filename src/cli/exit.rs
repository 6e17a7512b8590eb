//! Exit codes, after sysexits.

use std::fmt;
use std::process::ExitCode;

use tasks::StoreError;

use crate::storage::may_pass;

/// How the program ends.
///
/// Attached to an error as context, it decides the exit code and is not printed itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Completed,
    /// 64: the command line is wrong.
    Usage,
    /// 65: the request was rejected, or input is wrong.
    Rejected,
    /// 70: failed for good.
    Failed,
    /// 75: failed, and may be tried again.
    TryAgain,
    /// 76: snoozed or cancelled.
    NotNow,
    /// 78: settings, worker.toml or keys are wrong.
    Settings,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Usage => 64,
            Self::Rejected => 65,
            Self::Failed => 70,
            Self::TryAgain => 75,
            Self::NotNow => 76,
            Self::Settings => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.code())
    }
}

impl std::error::Error for Exit {}

/// An error of the store: input is wrong if it knows no such task, what time may mend may be tried
/// again, and all else has to be mended.
pub(super) fn of_store(error: StoreError) -> anyhow::Error {
    let exit = match &error {
        StoreError::NotFound { task: _ }
        | StoreError::WrongState { task: _, state: _, hint: _ } => Exit::Rejected,
        StoreError::Unavailable(cause) if !cause.is_transient() => Exit::Settings,
        StoreError::Unavailable(_)
        | StoreError::Closed
        | StoreError::QuotaExceeded { from: _, limit: _, waiting: _ } => Exit::TryAgain,
    };
    anyhow::Error::from(error).context(exit)
}

/// An error of the start: a server that is gone may come back, all else has to be mended.
pub(super) fn of_opening(is_server: bool, error: anyhow::Error) -> anyhow::Error {
    let exit = if is_server && may_pass(&error) { Exit::TryAgain } else { Exit::Settings };
    error.context(exit)
}

/// The error with its causes, without the exit code that travels with it.
pub(super) fn describe(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error
        .chain()
        .map(ToString::to_string)
        .filter(|text| !text.starts_with("exit code "))
        .collect();
    let mut shown: Vec<&str> = Vec::new();
    for part in &parts {
        // Some libraries repeat their cause in their own text.
        if !shown.iter().any(|earlier| earlier.contains(part.as_str())) {
            shown.push(part);
        }
    }
    shown.join(": ")
}
