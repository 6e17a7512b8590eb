//! The acceptance cases of edge-log parsing, read from `cases/logs.json`.

use std::collections::BTreeMap;

use edge_logs::{
    Entry, LogFormat, LogParser, Options, Reason, Resolved, Skip, SourceFormat, StreamName,
    UsageKind, Verdict,
};
use serde::Deserialize;
use values::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cases {
    config: Config,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    reserved_instances: Vec<String>,
    wpc_counted_above_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    format: String,
    file: String,
    line_separator: String,
    known_streams: Vec<Stream>,
    lines: Vec<String>,
    ledger_before: Option<String>,
    times_offered: Option<u32>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stream {
    stream_name: String,
    instance_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    file_status: String,
    entries: Vec<ExpectedEntry>,
    total_bytes_by_stream: BTreeMap<String, u64>,
    skipped: Vec<ExpectedSkip>,
    errors: Vec<ExpectedError>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExpectedEntry {
    line: u64,
    stream: String,
    bytes: u64,
    kind: UsageKind,
    time: Timestamp,
    duration_seconds: Option<u64>,
    #[serde(default)]
    instance: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedSkip {
    line: u64,
    reason: Skip,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedError {
    line: u64,
    reason: Reason,
    #[serde(default)]
    stream: Option<String>,
}

impl Case {
    fn format(&self) -> LogFormat {
        let source = match self.format.as_str() {
            "cloudfront_hls" | "cloudfront_vod" => SourceFormat::CloudFront,
            _ => SourceFormat::EdgeCast,
        };
        LogFormat::detect(source, &self.file).expect("a known type")
    }

    /// Which known stream a name means: its index.
    fn find(&self, wanted: StreamName<'_>) -> Option<usize> {
        self.known_streams.iter().position(|stream| {
            stream.stream_name == wanted.name
                && wanted.instance.is_none_or(|instance| instance == stream.instance_name)
        })
    }

    /// The file as bytes. A separator after the last line makes it end there for certain.
    fn text(&self) -> String {
        self.lines.join(&self.line_separator) + &self.line_separator
    }

    fn parse(&self, options: &Options, text: &str, chunk_bytes: usize) -> Resolved<usize> {
        let mut parser = LogParser::new(self.format(), options.clone());
        for chunk in text.as_bytes().chunks(chunk_bytes) {
            parser.push(chunk).expect("a readable file");
        }
        let parsed = parser.finish().expect("a readable file");
        parsed.resolve(|wanted| self.find(wanted))
    }

    fn entry(&self, line: u64, stream: usize, entry: &Entry<'_>) -> ExpectedEntry {
        let stream = &self.known_streams[stream];
        let is_edgecast = self.format.starts_with("edgecast");
        ExpectedEntry {
            line,
            stream: stream.stream_name.clone(),
            bytes: entry.bytes,
            kind: entry.kind,
            time: entry.at,
            duration_seconds: entry.seconds,
            instance: is_edgecast.then(|| stream.instance_name.clone()),
        }
    }

    /// Compares what every single line was taken for.
    fn check_lines(&self, options: &Options, text: &str) {
        let mut reader = edge_logs::LineReader::new(self.format(), options.clone());
        let (mut entries, mut skipped, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (index, line) in text.split_terminator('\n').enumerate() {
            let verdict = reader.read(line.as_bytes()).expect("a readable file");
            let line = reader.line_number();
            match verdict {
                Verdict::Skipped(reason) => skipped.push(ExpectedSkip { line, reason }),
                Verdict::Failed(fault) => {
                    errors.push(ExpectedError { line, reason: fault.reason, stream: None });
                }
                // Which stream a name leads to is the business of `resolve`: ask it for this line.
                Verdict::Counted(entry) => {
                    let alone = format!("{}\n{}", self.header(), self.lines[index]);
                    match self.parse(options, &alone, 64).usage.as_slice() {
                        [usage] => entries.push(self.entry(line, usage.stream, &entry)),
                        [] => errors.push(ExpectedError {
                            line,
                            reason: Reason::UnknownStream,
                            stream: Some(entry.name.to_owned()),
                        }),
                        rows => panic!("{}: one line gave {rows:?}", self.id),
                    }
                }
            }
        }
        assert_eq!(entries, self.expect.entries, "{}: entries", self.id);
        assert_eq!(skipped, self.expect.skipped, "{}: skipped", self.id);
        assert_eq!(errors, self.expect.errors, "{}: errors", self.id);
    }

    fn header(&self) -> &str {
        let is_header = |line: &&String| line.contains("Fields:");
        self.lines.iter().find(is_header).expect("a header")
    }

    /// Compares what the whole file came to.
    fn check_file(&self, found: &Resolved<usize>) {
        let (id, expect) = (&self.id, &self.expect);
        let status = if found.counts.errors() == 0 { "complete" } else { "complete_with_errors" };
        assert_eq!(status, expect.file_status, "{id}: status");

        let mut totals = BTreeMap::new();
        for usage in &found.usage {
            let name = self.known_streams[usage.stream].stream_name.clone();
            *totals.entry(name).or_default() += usage.bytes;
        }
        assert_eq!(totals, expect.total_bytes_by_stream, "{id}: totals");

        let mut by_hour = BTreeMap::new();
        for entry in &expect.entries {
            let wanted = StreamName { instance: None, name: &entry.stream };
            let key =
                (self.find(wanted).expect("a known stream"), entry.time.hour_start(), entry.kind);
            let sums = by_hour.entry(key).or_insert((0, 0, 0));
            sums.0 += entry.bytes;
            sums.1 += 1;
            sums.2 += entry.duration_seconds.unwrap_or(0);
        }
        let rows = found.usage.iter();
        let rows: BTreeMap<_, _> = rows
            .map(|row| ((row.stream, row.hour, row.kind), (row.bytes, row.lines, row.seconds)))
            .collect();
        assert_eq!(rows, by_hour, "{id}: rows");

        let problems = found.problems.iter();
        let errors: Vec<_> = problems
            .map(|problem| ExpectedError {
                line: problem.line,
                reason: problem.reason,
                stream: problem.stream.clone(),
            })
            .collect();
        assert_eq!(errors, expect.errors, "{id}: kept errors");
        assert_eq!(found.counts.errors(), expect.errors.len() as u64, "{id}: counted errors");
        assert_eq!(found.counts.skipped(), expect.skipped.len() as u64, "{id}: counted skips");
        assert_eq!(found.counts.counted, expect.entries.len() as u64, "{id}: counted lines");
    }
}

/// Faults 15 and 16: quotes, cut-off lines, impossible dates, all names of recordings.
#[test]
fn every_acceptance_case_passes() {
    let cases: Cases = serde_json::from_str(include_str!("cases/logs.json")).unwrap();
    let options = Options {
        reserved_instances: cases.config.reserved_instances,
        wpc_counted_above_bytes: cases.config.wpc_counted_above_bytes,
        ..Options::default()
    };
    assert!(cases.cases.len() >= 23);
    for case in &cases.cases {
        // A complete file is not opened: the ledger decides that, before any line is read.
        if case.ledger_before.as_deref() == Some("complete") {
            assert_eq!(case.expect.file_status, "skipped_already_parsed", "{}", case.id);
            continue;
        }
        let text = case.text();
        case.check_lines(&options, &text);
        for _ in 0..case.times_offered.unwrap_or(1) {
            for chunk_bytes in [1, 7, 64, 1 << 20] {
                case.check_file(&case.parse(&options, &text, chunk_bytes));
            }
        }
        // A last line that ends with the file counts the same.
        if let Some(open) = text.strip_suffix(&case.line_separator).filter(|t| !t.ends_with('\n')) {
            case.check_file(&case.parse(&options, open, 64));
        }
    }
}
