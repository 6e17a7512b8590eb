//! One line: counted, skipped or an error.

use values::Timestamp;

use crate::columns::Columns;
use crate::fields::Dates;
use crate::layouts::{self, CLOUDFRONT_COLUMNS, FMS_COLUMNS, failed};
use crate::outcome::excerpt;
use crate::{FileError, FmsBytes, LogFormat, Options, Reason, Skip, UsageKind};

/// What one line says was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What was watched.
    pub kind: UsageKind,
    /// The instance that the stream must have, where the line names one.
    pub instance: Option<&'a str>,
    /// The stream's name; of a recording the uncut name, see [`crate::ParsedLog::resolve`].
    pub name: &'a str,
    /// Bytes sent, at most 2^42.
    pub bytes: u64,
    /// When.
    pub at: Timestamp,
    /// Seconds watched, at most a year; FMS only.
    pub seconds: Option<u64>,
}

/// Why a line is an error, in terms of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault<'a> {
    /// The kind of error.
    pub reason: Reason,
    /// What should have been there.
    pub expected: &'static str,
    /// What was there; empty when there is nothing to show.
    pub found: &'a [u8],
}

/// What becomes of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is usage, if the stream exists.
    Counted(Entry<'a>),
    /// It is left out silently.
    Skipped(Skip),
    /// It is an error line.
    Failed(Fault<'a>),
}

/// Judges the lines of one file, in their order: headers set the columns of the lines after them.
#[derive(Debug)]
pub struct LineReader {
    format: LogFormat,
    options: Options,
    columns: Option<Columns>,
    dates: Dates,
    number: u64,
}

impl Fault<'_> {
    /// Says what was expected and the beginning of what was found.
    pub fn detail(&self) -> String {
        if self.found.is_empty() {
            self.expected.to_owned()
        } else {
            format!("{}, found `{}`", self.expected, excerpt(self.found))
        }
    }
}

impl LineReader {
    /// Starts before line 1.
    pub fn new(format: LogFormat, options: Options) -> Self {
        Self { format, options, columns: None, dates: Dates::default(), number: 0 }
    }

    /// The number of the line read last, counted from 1.
    pub const fn line_number(&self) -> u64 {
        self.number
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// Reads the next line, given without its line feed.
    ///
    /// # Errors
    /// [`FileError::NoHeader`] and [`FileError::MissingColumn`].
    #[inline]
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<Verdict<'a>, FileError> {
        self.number += 1;
        if line.len() > self.options.max_line_bytes {
            return Ok(Self::too_long());
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line {
            [] => return Ok(Verdict::Skipped(Skip::Blank)),
            [b'#', ..] | [b'F', b'i', b'e', b'l', b'd', b's', b':', ..] => {
                self.header(line)?;
                return Ok(Verdict::Skipped(Skip::Header));
            }
            _ => {}
        }
        let dates = &mut self.dates;
        let judged = match (self.format, &self.columns) {
            (LogFormat::EdgecastWpc, _) => layouts::wpc(&self.options, line),
            (_, None) => return Err(FileError::NoHeader { line: self.number }),
            (LogFormat::CloudFront, Some(columns)) => layouts::cloudfront(columns, dates, line),
            (LogFormat::EdgecastFms, Some(columns)) => {
                layouts::fms(columns, dates, &self.options, line)
            }
        };
        Ok(judged.map_or_else(|other| other, Verdict::Counted))
    }

    /// Counts a line that was too long to be held.
    pub(crate) fn read_too_long(&mut self) -> Verdict<'static> {
        self.number += 1;
        Self::too_long()
    }

    fn too_long<'a>() -> Verdict<'a> {
        failed(Reason::Malformed, "the line is longer than `max_line_bytes`", b"")
    }

    #[cold]
    fn header(&mut self, line: &[u8]) -> Result<(), FileError> {
        let Some(names) = line.strip_prefix(b"#").unwrap_or(line).strip_prefix(b"Fields:") else {
            return Ok(());
        };
        let columns = match self.format {
            LogFormat::EdgecastWpc => return Ok(()),
            LogFormat::CloudFront => Columns::from_names(names, &CLOUDFRONT_COLUMNS),
            LogFormat::EdgecastFms => {
                let bytes = match self.options.fms_bytes_column {
                    FmsBytes::Session => "sc-bytes",
                    FmsBytes::Stream => "sc-stream-bytes",
                };
                let mut needed = FMS_COLUMNS.to_vec();
                needed.push(bytes);
                Columns::from_names(names, &needed)
            }
        };
        let line = self.number;
        self.columns = Some(columns.map_err(|column| FileError::MissingColumn { line, column })?);
        Ok(())
    }
}
