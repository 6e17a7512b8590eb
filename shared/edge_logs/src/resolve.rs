//! Names become streams, and the totals of a file become usage rows.

use values::{MICROS_PER_SECOND, Timestamp};

use crate::names::Names;
use crate::outcome::{LineCounts, Problem, excerpt};
use crate::totals::{Group, Totals};
use crate::uri::without_suffix;
use crate::{Reason, UsageKind};

const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;

/// A whole file in totals, before its names are known to be streams.
#[derive(Debug)]
pub struct ParsedLog {
    names: Names,
    groups: Vec<Group>,
    noted: Vec<(u32, u64)>,
    counts: LineCounts,
    problems: Vec<Problem>,
    max_kept_errors: usize,
}

/// What a stream must be called, and where the line says so, which instance it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamName<'a> {
    /// The instance; `None` when the line names the stream alone.
    pub instance: Option<&'a str>,
    /// The stream's name.
    pub name: &'a str,
}

/// What one stream used in one UTC hour, according to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage<S> {
    /// The stream.
    pub stream: S,
    /// The beginning of the hour.
    pub hour: Timestamp,
    /// What was watched.
    pub kind: UsageKind,
    /// Bytes sent, at most 2^52.
    pub bytes: u64,
    /// Lines counted.
    pub lines: u64,
    /// Seconds watched, at most 2^52; zero unless the kind is FMS.
    pub seconds: u64,
}

/// The result of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<S> {
    /// One row per (stream, hour, kind), in this order.
    pub usage: Vec<Usage<S>>,
    /// What became of every line.
    pub counts: LineCounts,
    /// The first error lines by number, at most `max_kept_errors`; of one unknown stream at most
    /// the first 100. [`LineCounts`] counts all.
    pub problems: Vec<Problem>,
}

impl ParsedLog {
    pub(crate) fn new(
        totals: Totals,
        counts: LineCounts,
        problems: Vec<Problem>,
        max_kept_errors: usize,
    ) -> Self {
        // What only the fold needed is freed here.
        let Totals { names, groups, noted, .. } = totals;
        Self { names, groups, noted, counts, problems, max_kept_errors }
    }

    /// What became of every line, while lines of unknown streams still count.
    pub const fn counts(&self) -> &LineCounts {
        &self.counts
    }

    /// Every stream name that [`ParsedLog::resolve`] may ask for, sorted, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::with_capacity(self.names.len());
        for (kind, instance, name) in self.names.iter() {
            let (exact, cut) = candidates(kind, instance, name);
            names.push(exact.name);
            names.extend(cut.map(|cut| cut.name));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Turns names into streams and totals into usage rows.
    ///
    /// `find` is asked once per distinct name of the file. A recording's name is asked for as it
    /// is, and if no stream has it, without `_` and four digits at its end.
    pub fn resolve<S: Copy + Ord>(
        self,
        mut find: impl FnMut(StreamName<'_>) -> Option<S>,
    ) -> Resolved<S> {
        let mut counts = self.counts;
        let streams: Vec<Option<S>> = self
            .names
            .iter()
            .map(|(kind, instance, name)| {
                let (exact, cut) = candidates(kind, instance, name);
                find(exact).or_else(|| cut.and_then(&mut find))
            })
            .collect();

        let mut usage = Vec::with_capacity(self.groups.len());
        for Group { name, hour, sums } in self.groups {
            if let Some(stream) = streams[name as usize] {
                usage.push(Usage {
                    stream,
                    hour: Timestamp::from_micros(hour * MICROS_PER_HOUR),
                    kind: self.names.get(name).0,
                    bytes: sums.bytes,
                    lines: sums.lines,
                    seconds: sums.seconds,
                });
            } else {
                counts.counted -= sums.lines;
                counts.unknown_stream += sums.lines;
            }
        }

        let unknown = self.noted.iter().filter(|(name, _)| streams[*name as usize].is_none());
        let mut problems = self.problems;
        problems.extend(unknown.take(self.max_kept_errors).map(|&(name, line)| {
            let (_, instance, name) = self.names.get(name);
            unknown_stream(line, instance, name)
        }));
        problems.sort_by_key(|problem| problem.line);
        problems.truncate(self.max_kept_errors);

        Resolved { usage: merged(usage), counts, problems }
    }
}

/// Sorts rows, and makes one row of those that differ only in the name that led to the stream.
fn merged<S: Copy + Ord>(mut rows: Vec<Usage<S>>) -> Vec<Usage<S>> {
    let key = |row: &Usage<S>| (row.stream, row.hour, row.kind);
    rows.sort_unstable_by_key(key);
    rows.dedup_by(|row, kept| {
        let is_same = key(row) == key(kept);
        if is_same {
            // The sums of a file are bounded as a whole, so those of its parts are.
            kept.bytes += row.bytes;
            kept.lines += row.lines;
            kept.seconds += row.seconds;
        }
        is_same
    });
    rows
}

/// The exact name, and for recordings the one without its suffix.
fn candidates<'a>(
    kind: UsageKind,
    instance: &'a str,
    name: &'a str,
) -> (StreamName<'a>, Option<StreamName<'a>>) {
    let instance = (!instance.is_empty()).then_some(instance);
    let cut = match kind {
        UsageKind::Vod => without_suffix(name),
        UsageKind::Fms | UsageKind::Hls => None,
    };
    let of = |name| StreamName { instance, name };
    (of(name), cut.map(of))
}

fn unknown_stream(line: u64, instance: &str, name: &str) -> Problem {
    let stream = excerpt(name.as_bytes());
    let detail = if instance.is_empty() {
        format!("no stream is called `{stream}`")
    } else {
        let instance = excerpt(instance.as_bytes());
        format!("no stream of instance `{instance}` is called `{stream}`")
    };
    Problem { line, reason: Reason::UnknownStream, stream: Some(stream), detail }
}
