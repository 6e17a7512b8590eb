//! What an attempt found out about a file, as the ledger keeps it.

use serde::Serialize;

/// Bytes of JSON that the kept line problems of one file may take; later ones are left out.
pub const MAX_PROBLEM_BYTES: usize = 256 * 1024;

/// How much a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileTotals {
    /// Its size as stored, compressed.
    pub size_bytes: u64,
    /// Its lines.
    pub lines: u64,
    /// The bytes it meters.
    pub bytes: u64,
}

/// What a file turned out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOutcome {
    pub(super) totals: FileTotals,
    pub(super) line_counts: String,
    pub(super) problems: String,
}

impl FileOutcome {
    /// Takes the totals, what became of how many lines, and the first lines with errors, of which
    /// [`MAX_PROBLEM_BYTES`] are kept.
    ///
    /// # Panics
    /// If one of the two is not what JSON can say, such as a map with keys that are no text.
    pub fn new(
        totals: FileTotals,
        line_counts: &impl Serialize,
        problems: &[impl Serialize],
    ) -> Self {
        let mut kept = String::from("[");
        for problem in problems {
            let text = serde_json::to_string(problem).expect("a line problem is plain data");
            if kept.len() + text.len() + 2 > MAX_PROBLEM_BYTES {
                break;
            }
            if kept.len() > 1 {
                kept.push(',');
            }
            kept.push_str(&text);
        }
        kept.push(']');
        let line_counts = serde_json::to_string(line_counts).expect("line counts are plain data");
        Self { totals, line_counts, problems: kept }
    }
}
