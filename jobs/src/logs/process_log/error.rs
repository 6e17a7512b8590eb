//! Why a log file cannot be turned into usage.

use edge_logs::{FileError, UnknownLogType};
use values::{Classify, Retry};

/// Why a log file cannot be turned into usage.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// The file's name does not tell what it holds.
    #[error(transparent)]
    UnknownType(#[from] UnknownLogType),
    /// The object is larger than the setting allows.
    #[error("`{key}` is larger than {max_bytes} bytes; raise `max_object_bytes` if it should be")]
    ObjectTooLarge {
        /// The object's key.
        key: String,
        /// The setting's value.
        max_bytes: u64,
    },
    /// The object inflates to more than the setting allows.
    #[error(
        "`{key}` inflates to more than {max_bytes} bytes; raise `max_inflated_bytes` if it should"
    )]
    InflatesTooFar {
        /// The object's key.
        key: String,
        /// The setting's value.
        max_bytes: u64,
    },
    /// The compressed data ends too early: the file is still being written, or was cut off.
    #[error("`{key}` ends in the middle of its gzip data; nothing of it is stored")]
    CutOff {
        /// The object's key.
        key: String,
    },
    /// The compressed data contradicts itself.
    #[error("`{key}` is not intact gzip data; put an intact copy in its place")]
    Damaged {
        /// The object's key.
        key: String,
        /// What the decoder said.
        #[source]
        cause: std::io::Error,
    },
    /// The lines cannot be read as what the name says they are.
    #[error("`{key}` cannot be read")]
    Unreadable {
        /// The object's key.
        key: String,
        /// What is wrong.
        #[source]
        cause: FileError,
    },
}

impl Classify for LogError {
    fn retry(&self) -> Retry {
        match self {
            Self::CutOff { key: _ } => Retry::Backoff,
            Self::UnknownType(_)
            | Self::ObjectTooLarge { key: _, max_bytes: _ }
            | Self::InflatesTooFar { key: _, max_bytes: _ }
            | Self::Damaged { key: _, cause: _ }
            | Self::Unreadable { key: _, cause: _ } => Retry::Never,
        }
    }
}
