//! The stable codes of rejections.

use std::fmt;

use serde::Serialize;

/// Why a request is refused; the text never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The bytes are not an envelope.
    MalformedEnvelope,
    /// There is no such job, or it has no row in worker.toml.
    UnknownJob,
    /// There is no such source in worker.toml.
    UnknownSource,
    /// The proof is missing, wrong, expired, revoked or of another request.
    BadProof,
    /// The source's allow-list does not name the job.
    SourceNotAllowed,
    /// The configuration is not what the job declares: a section is missing, surplus or not sealed.
    MissingConfiguration,
    /// The payload is not what the job expects.
    InvalidPayload,
    /// The envelope is larger than the limit.
    TooLarge,
}

impl Code {
    /// All codes, in the order the checks are made.
    pub const ALL: [Self; 8] = [
        Self::TooLarge,
        Self::MalformedEnvelope,
        Self::UnknownJob,
        Self::UnknownSource,
        Self::BadProof,
        Self::SourceNotAllowed,
        Self::MissingConfiguration,
        Self::InvalidPayload,
    ];

    /// The stable text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedEnvelope => "malformed_envelope",
            Self::UnknownJob => "unknown_job",
            Self::UnknownSource => "unknown_source",
            Self::BadProof => "bad_proof",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::MissingConfiguration => "missing_configuration",
            Self::InvalidPayload => "invalid_payload",
            Self::TooLarge => "too_large",
        }
    }

    /// Whether, as a rule, no release of the worker could accept the stored task, so that it ends
    /// at once; [`crate::Rejection::ends_at_once`] knows the exceptions.
    ///
    /// The others may be a matter of worker.toml or of the release: such a task is held.
    pub(crate) fn ends_at_once(self) -> bool {
        match self {
            Self::MalformedEnvelope | Self::BadProof | Self::TooLarge => true,
            Self::UnknownJob
            | Self::UnknownSource
            | Self::SourceNotAllowed
            | Self::MissingConfiguration
            | Self::InvalidPayload => false,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
