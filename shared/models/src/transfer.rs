//! Import and export as JSON Lines; the format is in docs/import_export.md.

mod apply;
mod export;
mod import;
mod line;
mod merge;
mod read;

use std::fmt;

use database::DbError;

pub use export::export;
pub use import::{ImportOptions, Importer, MAX_BATCH_LINES};
pub use line::{Fault, MAX_LINE_BYTES, object};
pub(crate) use line::{check_email, check_text};
pub use read::{LineReader, ReadLine};

use crate::words::words;

words! {
    /// What a line holds, and what an export is of.
    Kind, "a kind of line":
    /// An account.
    Account = "account",
    /// A project.
    Project = "project",
    /// A stream.
    Stream = "stream",
    /// An account's usage of a month; exported only.
    Usage = "usage",
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// Its number, counted from 1.
    pub line: u64,
    /// The key it is about, if it is about one.
    pub field: Option<String>,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(field) = &self.field {
            write!(f, ", `{field}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Lines by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines of accounts.
    pub accounts: u64,
    /// Lines of projects.
    pub projects: u64,
    /// Lines of streams.
    pub streams: u64,
}

impl Counts {
    /// All kinds together.
    pub const fn total(&self) -> u64 {
        self.accounts + self.projects + self.streams
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// Lines looked at, empty ones too.
    pub lines: u64,
    /// Lines that added or changed something.
    pub accepted: Counts,
    /// Lines that say what was there already.
    pub unchanged: Counts,
    /// The first lines that were refused, in their order, at most [`Self::MAX_KEPT`].
    pub rejected: Vec<LineProblem>,
    /// All lines that were refused.
    pub rejected_count: u64,
    /// The first plans that were stored and are not sold, at most [`Self::MAX_KEPT`].
    pub warnings: Vec<LineProblem>,
    /// All of them.
    pub warning_count: u64,
}

impl ImportReport {
    /// Refused lines that are kept with their details.
    pub const MAX_KEPT: usize = 100;
}

/// Why an import or export ended early.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A line was refused, and the import was not told to go on.
    #[error("{0}; nothing was stored")]
    Refused(LineProblem),
    /// The import has ended with an error before.
    #[error("the import has ended; begin a new one")]
    Ended,
    /// The database failed during an import.
    #[error("the import stopped; lines up to {stored_lines} are stored")]
    Import {
        /// Number of the last line whose batch is stored; 0 for none.
        stored_lines: u64,
        /// What failed.
        #[source]
        cause: DbError,
    },
    /// The database failed during an export.
    #[error("the export stopped at a read")]
    Export(#[source] DbError),
    /// The target of an export failed.
    #[error("the export stopped: its target cannot be written")]
    Write(#[source] std::io::Error),
}
