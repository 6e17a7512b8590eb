//! What can go wrong with a database, by what a caller does about it.

use std::path::{Path, PathBuf};

/// Result code families of SQLite (the low byte of an extended code).
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOTADB: i32 = 26;
}

/// Why the database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Another writer held the database for longer than the busy time-out.
    #[error("the database is busy: another process holds its write lock")]
    Busy,
    /// No room left on the device.
    #[error("the disk that holds the database is full; free space, the worker goes on by itself")]
    Full,
    /// The file or its folder cannot be written.
    #[error("the database cannot be written; check the owner and mode of its file and folder")]
    ReadOnly,
    /// The file was deleted or replaced under the running process.
    #[error("the database file {} was deleted or replaced while in use; put it back and restart", path.display())]
    Moved {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a database, or is damaged.
    #[error("the file is not an intact SQLite database; restore it from a backup")]
    NotADatabase,
    /// The file cannot be opened, or the device failed.
    #[error("the database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// A unique, foreign-key or check constraint refused the row.
    #[error("a constraint refused the row: {message}")]
    Constraint {
        /// The engine's message; names tables and columns, no values.
        message: String,
    },
    /// The process is shutting down.
    #[error("the database was closed")]
    Closed,
    /// A column does not hold what the code expects.
    #[error("column {column} does not hold {expected}")]
    Column {
        /// Zero-based position in the query.
        column: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// The schema is newer or older than this program understands.
    #[error(
        "schema `{component}` is at version {found}, this program accepts {from} to {to}; {hint}"
    )]
    Schema {
        /// The part of the schema.
        component: &'static str,
        /// Version in the database.
        found: i64,
        /// Lowest accepted version.
        from: i64,
        /// Highest accepted version.
        to: i64,
        /// What to do.
        hint: &'static str,
    },
    /// A statement is wrong, or something this list does not tell apart.
    #[error("the database refused a statement")]
    Other(#[source] sqlx::Error),
    /// Whoever writes in a final write step refuses, with a reason of its own.
    #[error("{0}")]
    Refused(String),
}

impl DbError {
    /// Whether the same call may succeed later with nothing changed but time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy | Self::Full | Self::Unreachable(_) | Self::Closed => true,
            Self::ReadOnly
            | Self::Moved { path: _ }
            | Self::NotADatabase
            | Self::Constraint { message: _ }
            | Self::Column { column: _, expected: _ }
            | Self::Schema { component: _, found: _, from: _, to: _, hint: _ }
            | Self::Other(_)
            | Self::Refused(_) => false,
        }
    }

    pub(crate) fn moved(path: &Path) -> Self {
        Self::Moved { path: path.to_owned() }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let family = match &error {
            sqlx::Error::PoolTimedOut => return Self::Busy,
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => return Self::Closed,
            sqlx::Error::Io(_) => return Self::Unreachable(error),
            sqlx::Error::Database(inner) => {
                inner.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff)
            }
            _ => None,
        };
        match family {
            Some(code::BUSY | code::LOCKED) => Self::Busy,
            Some(code::FULL) => Self::Full,
            Some(code::READONLY) => Self::ReadOnly,
            Some(code::CORRUPT | code::NOTADB) => Self::NotADatabase,
            Some(code::IOERR | code::CANTOPEN) => Self::Unreachable(error),
            Some(code::CONSTRAINT) => Self::Constraint { message: error.to_string() },
            _ => Self::Other(error),
        }
    }
}

impl values::Classify for DbError {
    fn retry(&self) -> values::Retry {
        if self.is_transient() { values::Retry::Backoff } else { values::Retry::Never }
    }
}
