//! Why a task could not be stored.

use admission::Rejection;
use envelope::{EnvelopeError, SealError};
use tasks::StoreError;
use values::{Classify, Retry};

/// Why a task could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The request is not allowed or not right; it says what to change.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The store did not answer; nothing is known to be stored, and repeating is harmless.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[source] EnvelopeError),
    /// The configuration cannot be sealed.
    #[error("the section `{section}` cannot be sealed")]
    Seal {
        /// The section.
        section: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The job needs a section that must be sealed, and no sealing key is known.
    #[error("the section `{section}` must be sealed; give the producer the worker's sealing key")]
    NoSealingKey {
        /// The section.
        section: String,
    },
    /// More labels, or longer ones, than are kept.
    #[error("at most {max_labels} labels of 1 to {max_bytes} bytes are kept")]
    Labels {
        /// Labels at the most.
        max_labels: usize,
        /// Bytes of a label at the most.
        max_bytes: usize,
    },
}

impl Classify for EnqueueError {
    fn retry(&self) -> Retry {
        match self {
            Self::Store(error) if error.is_transient() => Retry::Backoff,
            Self::Store(_)
            | Self::Rejected(_)
            | Self::Payload(_)
            | Self::Seal { section: _, source: _ }
            | Self::NoSealingKey { section: _ }
            | Self::Labels { max_labels: _, max_bytes: _ } => Retry::Never,
        }
    }
}
