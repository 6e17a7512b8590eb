//! Invented logs that look like real ones, and what they add up to.
//!
//! For demonstrations, tests and measurements. The same seed gives the same bytes. Hosts lie in
//! the ranges kept for documentation; streams are the caller's.

mod lines;
mod random;

use std::collections::BTreeMap;
use std::io::{self, Write};

use values::{MICROS_PER_SECOND, Timestamp};

use crate::{LogFormat, SourceFormat, Usage, UsageKind};
use lines::{Line, Sample};
use random::Random;

/// The account code in EdgeCast paths; belongs into [`crate::Options::reserved_instances`].
pub const ACCOUNT_CODE: &str = "20C45E";

/// The four kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// CloudFront, live segments.
    CloudFrontHls,
    /// CloudFront, recordings.
    CloudFrontVod,
    /// EdgeCast, RTMP playback; about every second line is no `stop` event.
    Fms,
    /// EdgeCast over HTTP; about every tenth line is noise, some are recordings.
    Wpc,
}

/// A stream to be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleStream<'a> {
    /// The instance it belongs to.
    pub instance: &'a str,
    /// Its name. One that ends in `_` and four digits is found by [`crate::ParsedLog::resolve`]
    /// like any other.
    pub name: &'a str,
    /// 32 hexadecimal digits: the folder of its recordings.
    pub public_key: &'a str,
}

/// A download of one live segment, whose bytes the caller chooses.
#[derive(Debug, Clone, Copy)]
pub struct SampleView<'a> {
    /// What is watched.
    pub stream: SampleStream<'a>,
    /// When.
    pub at: Timestamp,
    /// How much was sent.
    pub bytes: u64,
}

/// Writes a file of [`FileKind::CloudFrontHls`] that holds these downloads in their order.
///
/// # Errors
/// Those of `out`.
pub fn write_views(views: &[SampleView<'_>], seed: u64, out: &mut impl Write) -> io::Result<()> {
    let mut random = Random::new(seed);
    out.write_all(lines::header(FileKind::CloudFrontHls).as_bytes())?;
    views.iter().try_for_each(|view| lines::segment(view, &mut random, out))
}

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct SampleLog<'a> {
    /// Decides everything that is random.
    pub seed: u64,
    /// Who is watched; streams further in front are watched more. At least one.
    pub streams: &'a [SampleStream<'a>],
    /// The first instant that is described.
    pub from: Timestamp,
    /// How long a time is described, in seconds; at least one.
    pub seconds: u32,
    /// Lines after the header.
    pub lines: u64,
}

impl FileKind {
    /// All four.
    pub const ALL: [Self; 4] = [Self::CloudFrontHls, Self::CloudFrontVod, Self::Fms, Self::Wpc];

    /// The `format` of a log source that holds such files.
    pub const fn source(self) -> SourceFormat {
        match self {
            Self::CloudFrontHls | Self::CloudFrontVod => SourceFormat::CloudFront,
            Self::Fms | Self::Wpc => SourceFormat::EdgeCast,
        }
    }

    /// The layout of the lines.
    pub const fn format(self) -> LogFormat {
        match self {
            Self::CloudFrontHls | Self::CloudFrontVod => LogFormat::CloudFront,
            Self::Fms => LogFormat::EdgecastFms,
            Self::Wpc => LogFormat::EdgecastWpc,
        }
    }

    /// A key as the network would give it to the `serial`-th file that begins at `from`.
    pub fn key(self, from: Timestamp, serial: u32) -> String {
        let from = from.to_chrono();
        match self {
            Self::CloudFrontHls => {
                let hour = from.format("%Y-%m-%d-%H");
                format!("hls/publish-1/EXAMPLEDIST001.{hour}.{serial:08x}.gz")
            }
            Self::CloudFrontVod => {
                let hour = from.format("%Y-%m-%d-%H");
                format!("vod/EXAMPLEDIST002.{hour}.{serial:08x}.gz")
            }
            Self::Fms => format!("fms_{ACCOUNT_CODE}_{}_{serial:04}.log.gz", from.format("%Y%m%d")),
            Self::Wpc => format!("wpc_{ACCOUNT_CODE}_{}_{serial:04}.log.gz", from.format("%Y%m%d")),
        }
    }
}

impl SampleLog<'_> {
    /// Writes header and lines, and returns the usage they hold, streams given by their index.
    ///
    /// The rows are in the order of [`crate::Resolved::usage`].
    ///
    /// # Errors
    /// Those of `out`.
    ///
    /// # Panics
    /// If there is no stream.
    pub fn write(&self, kind: FileKind, out: &mut impl Write) -> io::Result<Vec<Usage<usize>>> {
        assert!(!self.streams.is_empty(), "somebody must be watched");
        let mut random = Random::new(self.seed);
        let mut rows: BTreeMap<(usize, Timestamp, UsageKind), (u64, u64, u64)> = BTreeMap::new();
        out.write_all(lines::header(kind).as_bytes())?;
        for number in 0..self.lines {
            let stream = random.front_heavy(self.streams.len());
            let sample = Sample {
                number,
                at: self.instant(number, &mut random),
                stream: &self.streams[stream],
            };
            let Some(Line { kind, bytes, seconds }) = sample.write(kind, &mut random, out)? else {
                continue;
            };
            let row = rows.entry((stream, sample.at.hour_start(), kind)).or_default();
            *row = (row.0 + bytes, row.1 + 1, row.2 + seconds);
        }
        let usage = |((stream, hour, kind), (bytes, lines, seconds))| Usage {
            stream,
            hour,
            kind,
            bytes,
            lines,
            seconds,
        };
        Ok(rows.into_iter().map(usage).collect())
    }

    /// Lines come nearly in order: some are up to half a minute late.
    fn instant(&self, number: u64, random: &mut Random) -> Timestamp {
        let length = u64::from(self.seconds.max(1));
        let due = u128::from(number) * u128::from(length) / u128::from(self.lines.max(1));
        let due = u64::try_from(due).expect("below the length");
        let seconds = due.saturating_sub(random.below(30));
        let micros = i64::try_from(seconds).expect("a length fits in 32 bits") * MICROS_PER_SECOND;
        Timestamp::from_micros(self.from.as_micros() + micros)
    }
}
