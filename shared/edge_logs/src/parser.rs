//! Chunks of a file become lines, lines become totals.

use memchr::memchr;

use crate::outcome::{LineCounts, Problem};
use crate::totals::{Added, Totals};
use crate::{Fault, FileError, LineReader, LogFormat, Options, ParsedLog, Reason, Verdict};

/// Folds one inflated file, given in chunks of any size, into totals.
///
/// Memory: one line, the totals and the kept errors, each bounded by [`Options`].
#[derive(Debug)]
pub struct LogParser {
    reader: LineReader,
    fold: Fold,
    /// The beginning of a line whose end is still to come.
    partial: Vec<u8>,
    /// The line at hand is already known to be too long; the rest of it is dropped.
    is_too_long: bool,
    failed: Option<FileError>,
}

#[derive(Debug)]
struct Fold {
    totals: Totals,
    counts: LineCounts,
    problems: Vec<Problem>,
    max_kept_errors: usize,
}

impl LogParser {
    /// Starts at the beginning of a file.
    pub fn new(format: LogFormat, options: Options) -> Self {
        Self {
            fold: Fold {
                totals: Totals::new(options.max_groups),
                counts: LineCounts::default(),
                problems: Vec::new(),
                max_kept_errors: options.max_kept_errors,
            },
            reader: LineReader::new(format, options),
            partial: Vec::new(),
            is_too_long: false,
            failed: None,
        }
    }

    /// Takes the next bytes of the file; 64 to 256 KiB at a time are a good size.
    ///
    /// # Errors
    /// Any [`FileError`]; from then on every call returns the same one.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), FileError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.take(chunk);
        self.failed = result.clone().err();
        result
    }

    /// Takes the end of the file; a last line without line feed is a line too.
    ///
    /// # Errors
    /// Any [`FileError`], met now or earlier.
    pub fn finish(mut self) -> Result<ParsedLog, FileError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.is_too_long || !self.partial.is_empty() {
            self.end_partial()?;
        }
        let max_kept_errors = self.fold.max_kept_errors;
        let Fold { totals, counts, problems, .. } = self.fold;
        Ok(ParsedLog::new(totals, counts, problems, max_kept_errors))
    }

    fn take(&mut self, mut chunk: &[u8]) -> Result<(), FileError> {
        if self.is_too_long || !self.partial.is_empty() {
            let Some(end) = memchr(b'\n', chunk) else {
                self.keep(chunk);
                return Ok(());
            };
            self.keep(&chunk[..end]);
            self.end_partial()?;
            chunk = &chunk[end + 1..];
        }
        while let Some(end) = memchr(b'\n', chunk) {
            let verdict = self.reader.read(&chunk[..end])?;
            self.fold.add(self.reader.line_number(), verdict)?;
            chunk = &chunk[end + 1..];
        }
        self.keep(chunk);
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.partial.len() + bytes.len() > self.reader.options().max_line_bytes {
            self.is_too_long = true;
            self.partial.clear();
        }
        if !self.is_too_long {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end_partial(&mut self) -> Result<(), FileError> {
        let verdict = if self.is_too_long {
            self.reader.read_too_long()
        } else {
            self.reader.read(&self.partial)?
        };
        self.fold.add(self.reader.line_number(), verdict)?;
        self.is_too_long = false;
        self.partial.clear();
        Ok(())
    }
}

impl Fold {
    #[inline]
    fn add(&mut self, line: u64, verdict: Verdict<'_>) -> Result<(), FileError> {
        match verdict {
            Verdict::Counted(entry) => match self.totals.add(line, &entry)? {
                Added::Yes => self.counts.counted += 1,
                Added::BeyondMaxSum => self.fail(
                    line,
                    &Fault {
                        reason: Reason::Malformed,
                        expected: "the sums of a file must stay up to 2^52; this line exceeds one",
                        found: b"",
                    },
                ),
            },
            Verdict::Skipped(skip) => self.counts.skip(skip),
            Verdict::Failed(fault) => self.fail(line, &fault),
        }
        Ok(())
    }

    #[cold]
    fn fail(&mut self, line: u64, fault: &Fault<'_>) {
        self.counts.fail(fault.reason);
        if self.problems.len() < self.max_kept_errors {
            self.problems.push(Problem {
                line,
                reason: fault.reason,
                stream: None,
                detail: fault.detail(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"#Fields: date time sc-bytes cs-uri-stem\n";

    fn parser(max_line_bytes: usize) -> LogParser {
        let options = Options { max_line_bytes, ..Options::default() };
        LogParser::new(LogFormat::CloudFront, options)
    }

    #[test]
    fn an_endless_line_is_dropped_while_it_comes() {
        let mut parser = parser(1_024);
        parser.push(HEADER).unwrap();
        for _ in 0..10_000 {
            parser.push(&[b'x'; 1_000]).unwrap();
            assert!(parser.partial.capacity() <= 2_048);
        }
        parser.push(b"\n2014-11-24\t19:26:35\t5\t/a-1416857182993.ts\n").unwrap();
        let parsed = parser.finish().unwrap();
        assert_eq!((parsed.counts().malformed, parsed.counts().counted), (1, 1));
        assert_eq!(parsed.counts().total(), 3);
    }

    #[test]
    fn a_line_of_exactly_the_bound_is_read() {
        let line = b"2014-11-24\t19:26:35\t5\t/a-1416857182993.ts";
        for (bound, counted) in [(line.len(), 1), (line.len() - 1, 0)] {
            for ending in ["\n", ""] {
                for size in [1, 7, 1_000] {
                    let mut parser = parser(bound);
                    for chunk in [HEADER, line, ending.as_bytes()].concat().chunks(size) {
                        parser.push(chunk).unwrap();
                    }
                    let parsed = parser.finish().unwrap();
                    assert_eq!(parsed.counts().counted, counted);
                    assert_eq!(parsed.counts().malformed, 1 - counted);
                }
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_stays_so() {
        let mut parser = parser(1_024);
        let error = FileError::NoHeader { line: 1 };
        assert_eq!(parser.push(b"2014-11-24\t\n"), Err(error.clone()));
        assert_eq!(parser.push(HEADER), Err(error.clone()));
        assert_eq!(parser.finish().unwrap_err(), error);
    }
}
