//! A day of edge logs, true to their formats, and what they add up to.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use edge_logs::sample::{FileKind, SampleLog};
use edge_logs::{SourceFormat, Usage, UsageKind};
use flate2::Compression;
use flate2::write::GzEncoder;
use values::{AccountId, Span, Timestamp};

use super::{Company, DemoFolder};

/// Name of the log source with CloudFront's files.
pub(super) const CLOUDFRONT: &str = "cloudfront";
/// Name of the log source with EdgeCast's files.
pub(super) const EDGECAST: &str = "edgecast";
/// Each kind of file: how many make up the day, and the lines of each.
const FILES: [(FileKind, u32, u64); 4] = [
    (FileKind::CloudFrontHls, 24, 4_500),
    (FileKind::CloudFrontVod, 8, 2_500),
    (FileKind::Fms, 8, 4_000),
    (FileKind::Wpc, 8, 5_000),
];
const DAY_SECONDS: u32 = 86_400;

/// Bytes of one account by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Live over HTTP.
    pub hls: u64,
    /// Recordings.
    pub vod: u64,
    /// Live over RTMP.
    pub rtmp: u64,
}

impl Expected {
    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.hls + self.vod + self.rtmp
    }
}

/// The logs that were written.
#[derive(Debug, Clone, Default)]
pub struct WrittenLogs {
    /// Log source and key of each file.
    pub files: Vec<(&'static str, String)>,
    /// Lines of all files, their headers too.
    pub lines: u64,
    /// Bytes of all files before they were compressed.
    pub bytes: u64,
    /// What each account must be found to have used.
    pub expected: BTreeMap<AccountId, Expected>,
}

/// Writes the logs of the day that begins at `from`.
pub fn write_logs(
    folder: &mut DemoFolder,
    company: &Company,
    from: Timestamp,
) -> Result<WrittenLogs> {
    let streams = company.watched();
    let mut written = WrittenLogs::default();
    for (kind, files, lines) in FILES {
        let seconds = DAY_SECONDS / files;
        for number in 0..files {
            let from = from.after(Span::from_seconds(seconds * number));
            let seed = u64::from(number) * 8 + kind as u64;
            let log = SampleLog { seed, streams: &streams, from, seconds, lines };
            let key = kind.key(from, number);
            let source = match kind.source() {
                SourceFormat::CloudFront => CLOUDFRONT,
                SourceFormat::EdgeCast => EDGECAST,
            };
            let path: PathBuf =
                [Path::new("logs"), Path::new(source), Path::new(&key)].iter().collect();
            let file = folder.create(&path)?;
            let (usage, counted) = write_one(&log, kind, file)
                .with_context(|| format!("cannot write {}", path.display()))?;
            for row in usage {
                let account = written.expected.entry(company.account_of(row.stream)).or_default();
                match row.kind {
                    UsageKind::Hls => account.hls += row.bytes,
                    UsageKind::Vod => account.vod += row.bytes,
                    UsageKind::Fms => account.rtmp += row.bytes,
                }
            }
            written.lines += counted.lines;
            written.bytes += counted.bytes;
            written.files.push((source, key));
        }
    }
    Ok(written)
}

fn write_one(
    log: &SampleLog<'_>,
    kind: FileKind,
    file: std::fs::File,
) -> io::Result<(Vec<Usage<usize>>, Written)> {
    let encoder = GzEncoder::new(file, Compression::fast());
    let mut out = Counted {
        inner: BufWriter::with_capacity(64 * 1024, encoder),
        written: Written::default(),
    };
    let usage = log.write(kind, &mut out)?;
    let encoder = out.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    encoder.finish()?;
    Ok((usage, out.written))
}

/// What went through.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    lines: u64,
    bytes: u64,
}

/// Counts what goes through.
struct Counted<W> {
    inner: W,
    written: Written,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.written.lines += memchr::memchr_iter(b'\n', &buffer[..written]).count() as u64;
        self.written.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
