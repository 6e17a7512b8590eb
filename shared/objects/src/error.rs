//! What can go wrong, by what a caller does about it.

use std::io;

/// Why an object could not be listed, read, written or deleted.
///
/// `place` is a folder's path or `s3://bucket/prefix`. No variant carries a credential or the
/// query of an address.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("there is no object `{key}` in {place}")]
    NotFound {
        /// Where it was looked for.
        place: String,
        /// The object's key.
        key: String,
    },
    /// There is no such folder or bucket.
    #[error("{place} does not exist; create it or correct the location")]
    NoPlace {
        /// The folder or bucket.
        place: String,
    },
    /// The file system's permissions or the server's policy forbid it.
    #[error("{place} refuses access ({reason}); check the credentials and what they permit")]
    Denied {
        /// The folder or bucket.
        place: String,
        /// The server's code or the system's message.
        reason: String,
        /// Whether a machine's own folder refuses: its permissions are often mended, its disk
        /// mounted for writing again, while a task waits.
        is_folder: bool,
    },
    /// The object is larger than the caller takes.
    #[error("`{key}` in {place} is larger than {max_bytes} bytes")]
    TooLarge {
        /// The folder or bucket.
        place: String,
        /// The object's key.
        key: String,
        /// What the caller takes at most.
        max_bytes: u64,
    },
    /// The object's body ended, or broke off, before its announced length.
    #[error("`{key}` in {place} broke off after {received_bytes} bytes ({reason})")]
    Truncated {
        /// The folder or bucket.
        place: String,
        /// The object's key.
        key: String,
        /// What did arrive.
        received_bytes: u64,
        /// The announced length, or what the connection said.
        reason: String,
    },
    /// The server did not answer, not in time, or said that it cannot just now.
    #[error("{place} cannot be reached ({reason})")]
    Unreachable {
        /// The bucket.
        place: String,
        /// The server's code or the connection's message.
        reason: String,
    },
    /// The key cannot name an object here.
    #[error("`{key}` cannot be the key of an object: {reason}")]
    BadKey {
        /// The key, control characters escaped, at most 200 characters.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file system failed: no space left, an input/output error, too many open files.
    #[error("the file system failed at {place}")]
    Io {
        /// The folder.
        place: String,
        /// What it said.
        #[source]
        cause: io::Error,
    },
    /// The location needs a part that this program was built without.
    #[error("{place} needs S3, which this program was built without; build it with --features s3")]
    FeatureMissing {
        /// The bucket.
        place: String,
    },
    /// The server answered, and refused for a reason that trying again does not change.
    #[error("{place} refused the request ({reason})")]
    Refused {
        /// The bucket.
        place: String,
        /// The server's code.
        reason: String,
    },
}

impl ObjectError {
    /// Tells whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            // A folder is often a disk that is not mounted yet.
            Self::NoPlace { .. }
            | Self::Truncated { .. }
            | Self::Unreachable { .. }
            | Self::Io { .. } => true,
            Self::Denied { is_folder, .. } => *is_folder,
            Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::BadKey { .. }
            | Self::FeatureMissing { .. }
            | Self::Refused { .. } => false,
        }
    }
}

impl values::Classify for ObjectError {
    fn retry(&self) -> values::Retry {
        if self.is_transient() { values::Retry::Backoff } else { values::Retry::Never }
    }
}
