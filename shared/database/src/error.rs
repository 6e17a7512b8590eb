//! What can go wrong with a database, by what a caller does about it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgDatabaseError;

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
    /// Others held what was needed for too long, or a deadlock between them and us was broken.
    #[error(
        "the database is busy: another process holds a lock that this needs, or a statement took \
         longer than it may"
    )]
    Busy,
    /// The server takes no more connections.
    #[error(
        "the database server has no connection left; raise its max_connections, or let fewer \
         programs connect"
    )]
    TooManyConnections,
    /// The server knows neither the database nor the user, or refuses the password.
    #[error("the database server lets nobody in with this URL: {message}")]
    Denied {
        /// The server's message; names user and database, no password.
        message: String,
    },
    /// The role may not do what was asked of it.
    #[error(
        "the database user lacks a right: {message}; grant it, docs/operations.md lists what a user \
         needs"
    )]
    Forbidden {
        /// The server's message; names what is guarded.
        message: String,
    },
    /// The URL is none, and why; no part of it is repeated.
    #[error(
        "it is not a PostgreSQL URL ({0}); write \
         postgres://user:password@host:5432/database, and in user and password %40 for @, %3A for :, \
         %2F for /, %3F for ?, %23 for # and %25 for %"
    )]
    Url(String),
    /// This side asks for encryption that the server does not offer, or does not trust it.
    #[error(
        "no encrypted connection with the database server: {0}; mend sslmode or sslrootcert of the \
         URL, or the server's certificate"
    )]
    Tls(String),
    /// The URL that leads past the pooler leads through one.
    #[error(
        "DATABASE_LISTEN_URL leads through a pooler, which tells nobody of anything; name the server \
         itself, or leave it out"
    )]
    Pooled,
    /// The server takes no writes for now.
    #[error(
        "the database server is read-only: it is a standby, or default_transaction_read_only is \
         on; connect to the primary, or turn that off"
    )]
    Standby,
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
    /// The file cannot be opened, or the device failed; the server does not answer.
    #[error("the database cannot be reached: {}", told(.0))]
    Unreachable(sqlx::Error),
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
    #[error("the database refused a statement: {}", told(.0))]
    Other(sqlx::Error),
    /// Whoever writes in a final write step refuses, with a reason of its own.
    #[error("{0}")]
    Refused(String),
}

impl DbError {
    /// Whether the same call may succeed later with nothing changed but time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy
            | Self::TooManyConnections
            | Self::Full
            | Self::Standby
            | Self::Unreachable(_)
            | Self::Closed => true,
            Self::ReadOnly
            | Self::Denied { message: _ }
            | Self::Forbidden { message: _ }
            | Self::Url(_)
            | Self::Pooled
            | Self::Tls(_)
            | Self::Moved { path: _ }
            | Self::NotADatabase
            | Self::Constraint { message: _ }
            | Self::Column { column: _, expected: _ }
            | Self::Schema { component: _, found: _, from: _, to: _, hint: _ }
            | Self::Other(_)
            | Self::Refused(_) => false,
        }
    }

    /// The error for a server that has not answered in time.
    pub fn no_answer() -> Self {
        let silence = std::io::Error::from(ErrorKind::TimedOut);
        Self::Unreachable(sqlx::Error::Io(silence))
    }

    pub(crate) fn moved(path: &Path) -> Self {
        Self::Moved { path: path.to_owned() }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Closed,
            // What is half read of a broken connection is no answer either.
            sqlx::Error::Io(io) if io.kind() != ErrorKind::InvalidData => Self::Unreachable(error),
            sqlx::Error::Protocol(_) => Self::Unreachable(error),
            // A certificate that is not trusted is data that is not valid. What else is wrong with
            // the configuration of a connection are files of TLS.
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
                Self::Tls(told(&error))
            }
            sqlx::Error::Database(inner) => {
                let code = inner.code().unwrap_or_default().into_owned();
                let is_postgres = inner.try_downcast_ref::<PgDatabaseError>().is_some();
                if is_postgres { of_postgres(&code, error) } else { of_sqlite(&code, error) }
            }
            _ => Self::Other(error),
        }
    }
}

/// What the engine or the system says, without the words that the driver puts around it.
pub(crate) fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        sqlx::Error::Io(inner) => inner.to_string(),
        sqlx::Error::Tls(inner) | sqlx::Error::Configuration(inner) => inner.to_string(),
        other => other.to_string(),
    }
}

fn of_sqlite(code: &str, error: sqlx::Error) -> DbError {
    match code.parse::<i32>().ok().map(|code| code & 0xff) {
        Some(code::BUSY | code::LOCKED) => DbError::Busy,
        Some(code::FULL) => DbError::Full,
        Some(code::READONLY) => DbError::ReadOnly,
        Some(code::CORRUPT | code::NOTADB) => DbError::NotADatabase,
        Some(code::IOERR | code::CANTOPEN) => DbError::Unreachable(error),
        Some(code::CONSTRAINT) => DbError::Constraint { message: told(&error) },
        _ => DbError::Other(error),
    }
}

/// Source: PostgreSQL documentation, appendix A, error codes.
fn of_postgres(code: &str, error: sqlx::Error) -> DbError {
    match code {
        // Serialization failure, deadlock, lock not available, statement cancelled.
        "40001" | "40P01" | "55P03" | "57014" => DbError::Busy,
        "53300" => DbError::TooManyConnections,
        "53100" => DbError::Full,
        "28000" | "28P01" | "3D000" => DbError::Denied { message: told(&error) },
        "42501" => DbError::Forbidden { message: told(&error) },
        // The primary is elsewhere, or soon here.
        "25006" => DbError::Standby,
        // The server ended a transaction that had stood still for too long.
        "25P03" => DbError::Unreachable(error),
        _ => match code.get(..2) {
            Some("23") => DbError::Constraint { message: told(&error) },
            // Connection exceptions, operator intervention, system errors, resources.
            Some("08" | "57" | "58" | "53") => DbError::Unreachable(error),
            _ => DbError::Other(error),
        },
    }
}

impl values::Classify for DbError {
    fn retry(&self) -> values::Retry {
        if self.is_transient() { values::Retry::Backoff } else { values::Retry::Never }
    }
}
