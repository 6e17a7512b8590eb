//! What became of lines and files: reasons, counts, kept details.

use serde::{Deserialize, Serialize};

/// Why a line was left out without being an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// A line that names columns or versions.
    Header,
    /// An empty line.
    Blank,
    /// An FMS event other than `stop`.
    EventNotStop,
    /// An instance that is not billed.
    ReservedInstance,
    /// An EdgeCast HTTP line too small to be media.
    BelowThreshold,
}

/// Why a line could not be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The path names no segment and no recording.
    UnknownUri,
    /// No stream has the name.
    UnknownStream,
    /// Columns are missing, or a value is not what its column holds.
    Malformed,
}

/// One error line with its details, as kept in the log ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Number of the line in the inflated file, counted from 1.
    pub line: u64,
    /// The kind of error.
    pub reason: Reason,
    /// The stream's name, when that is what was not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// What was expected and what was found, in bounded length.
    pub detail: String,
}

/// How many lines a file has, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineCounts {
    /// Lines that became usage. Before [`crate::ParsedLog::resolve`] those of unknown streams too.
    pub counted: u64,
    /// Skipped as [`Skip::Header`].
    pub header: u64,
    /// Skipped as [`Skip::Blank`].
    pub blank: u64,
    /// Skipped as [`Skip::EventNotStop`].
    pub event_not_stop: u64,
    /// Skipped as [`Skip::ReservedInstance`].
    pub reserved_instance: u64,
    /// Skipped as [`Skip::BelowThreshold`].
    pub below_threshold: u64,
    /// Errors of [`Reason::UnknownUri`].
    pub unknown_uri: u64,
    /// Errors of [`Reason::UnknownStream`].
    pub unknown_stream: u64,
    /// Errors of [`Reason::Malformed`].
    pub malformed: u64,
}

impl LineCounts {
    /// All lines of the file.
    pub const fn total(&self) -> u64 {
        self.counted + self.skipped() + self.errors()
    }

    /// Lines left out silently.
    pub const fn skipped(&self) -> u64 {
        self.header
            + self.blank
            + self.event_not_stop
            + self.reserved_instance
            + self.below_threshold
    }

    /// Error lines.
    pub const fn errors(&self) -> u64 {
        self.unknown_uri + self.unknown_stream + self.malformed
    }

    pub(crate) fn skip(&mut self, skip: Skip) {
        *match skip {
            Skip::Header => &mut self.header,
            Skip::Blank => &mut self.blank,
            Skip::EventNotStop => &mut self.event_not_stop,
            Skip::ReservedInstance => &mut self.reserved_instance,
            Skip::BelowThreshold => &mut self.below_threshold,
        } += 1;
    }

    pub(crate) fn fail(&mut self, reason: Reason) {
        *match reason {
            Reason::UnknownUri => &mut self.unknown_uri,
            Reason::UnknownStream => &mut self.unknown_stream,
            Reason::Malformed => &mut self.malformed,
        } += 1;
    }
}

/// Why a whole file cannot be read; a repeat gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Lines come before any `#Fields:` line.
    #[error("line {line} comes before a `#Fields:` line; the columns of this file are unknown")]
    NoHeader {
        /// The first such line, counted from 1.
        line: u64,
    },
    /// The `#Fields:` line leaves out a column that is needed.
    #[error("the `#Fields:` line {line} does not name the column `{column}`")]
    MissingColumn {
        /// The header's line, counted from 1.
        line: u64,
        /// The first needed column that it does not name.
        column: &'static str,
    },
    /// More distinct names and hours than may be held.
    #[error("more than {limit} different streams and hours in one file; raise `max_groups`")]
    TooManyGroups {
        /// The setting's value.
        limit: usize,
    },
    /// The distinct names are longer, together, than may be held.
    #[error("the stream names of this file are longer than {limit} bytes together")]
    TooManyNames {
        /// The bound in bytes.
        limit: usize,
    },
}

/// Characters of a found value that an error line keeps.
const EXCERPT_CHARS: usize = 80;

/// Makes the beginning of what was found fit to be stored and shown.
pub(crate) fn excerpt(found: &[u8]) -> String {
    // Four bytes hold any character, so this much is always enough.
    let head = &found[..found.len().min(EXCERPT_CHARS * 4)];
    String::from_utf8_lossy(head)
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .take(EXCERPT_CHARS)
        .collect()
}
