//! Laws of the fold: order and chunks do not matter, nothing panics, a simple oracle agrees.

use std::collections::BTreeMap;

use edge_logs::sample::{ACCOUNT_CODE, FileKind, SampleLog, SampleStream};
use edge_logs::{
    FileError, LogFormat, LogParser, Options, Reason, Resolved, StreamName, UsageKind,
};
use proptest::prelude::*;
use values::Timestamp;

const FORMATS: [LogFormat; 3] =
    [LogFormat::CloudFront, LogFormat::EdgecastFms, LogFormat::EdgecastWpc];
const KNOWN: [&str; 4] = ["abc", "live", "live_2015", "x-1"];
const FIELDS: &str = "#Fields: date time x-edge-location sc-bytes c-ip cs-uri-stem sc-status";
/// A second way to lay the columns out, with one more behind.
const OTHER_FIELDS: &str = "#Fields: cs-uri-stem sc-bytes time date x-extra";

fn options() -> Options {
    Options {
        reserved_instances: vec![ACCOUNT_CODE.to_owned()],
        max_line_bytes: 512,
        max_kept_errors: 10,
        ..Options::default()
    }
}

fn find(wanted: StreamName<'_>) -> Option<usize> {
    KNOWN.iter().position(|&name| name == wanted.name)
}

fn parse(format: LogFormat, chunks: &[&[u8]]) -> Result<Resolved<usize>, FileError> {
    let mut parser = LogParser::new(format, options());
    for chunk in chunks {
        parser.push(chunk)?;
    }
    Ok(parser.finish()?.resolve(find))
}

/// Cuts `text` at the given places, in any order.
fn cut<'a>(text: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|at| at.index(text.len() + 1)).collect();
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut start = 0;
    for place in places {
        chunks.push(&text[start..place]);
        start = place;
    }
    chunks.push(&text[start..]);
    chunks
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u64..5_000_000).prop_map(|n| n.to_string()),
        1 => prop::sample::select(vec!["-", "", "-5", "NaN", "1.5", "99999999999999999999"])
            .prop_map(str::to_owned),
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&KNOWN[..]).prop_map(|n| format!("/hls/{n}-1416857182993.ts")),
        3 => prop::sample::select(&KNOWN[..]).prop_map(|n| format!("/c/key/{n}.3.mp4")),
        1 => prop::sample::select(&KNOWN[..]).prop_map(|n| format!("/c/key/{n}_1234.mp4")),
        1 => "[a-z_]{1,3}".prop_map(|n| format!("/hls/{n}-1416857182993.ts")),
        1 => "/[a-z_]{0,4}(_[0-9]{3,5})?\\.(mp4|ts|m3u8)",
    ]
}

/// Values of one line: date, time, bytes, path.
fn values() -> impl Strategy<Value = [String; 4]> {
    let date = prop_oneof![
        6 => (1_u32..29).prop_map(|day| format!("2014-11-{day:02}")),
        1 => Just("2014-11-31".to_owned()),
    ];
    let time = prop_oneof![
        6 => (0_u32..24, 0_u32..60).prop_map(|(h, m)| format!("{h:02}:{m:02}:59")),
        1 => Just("24:00:00".to_owned()),
    ];
    (date, time, number(), path()).prop_map(|(d, t, n, p)| [d, t, n, p])
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        8 => values().prop_map(|[d, t, n, p]| format!("{d}\t{t}\tSFO5\t{n}\t-\t{p}\t200")),
        1 => values().prop_map(|[d, t, n, p]| format!("{d}\t{t}\tSFO5\t{n}\t-\t{p}")),
        1 => Just(String::new()),
        1 => Just("x".repeat(600)),
    ];
    prop::collection::vec(line, 0..60)
}

/// Any byte, those that mean something more often.
fn byte() -> impl Strategy<Value = u8> {
    let meaning = b"\t\n\r #:/-_.?019stopmp4Fields";
    prop_oneof![any::<u8>(), prop::sample::select(&meaning[..])]
}

/// The slow and simple way: rows by (stream, hour, kind), and errors by reason.
#[derive(Debug, Default, PartialEq)]
struct Oracle {
    rows: BTreeMap<(usize, String, UsageKind), (u64, u64)>,
    unknown_uri: u64,
    unknown_stream: u64,
    malformed: u64,
    blank: u64,
}

impl Oracle {
    fn line(&mut self, line: &str) {
        if line.is_empty() {
            self.blank += 1;
            return;
        }
        let columns: Vec<&str> = line.split('\t').collect();
        let [date, time, _, bytes, _, path, _] = columns[..] else {
            self.malformed += 1;
            return;
        };
        let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
        let (kind, names) = if let Some(base) = file.strip_suffix(".ts") {
            let Some((name, millis)) = base.rsplit_once('-') else {
                self.unknown_uri += 1;
                return;
            };
            if name.is_empty() || millis.len() != 13 || millis.parse::<u64>().is_err() {
                self.unknown_uri += 1;
                return;
            }
            (UsageKind::Hls, vec![name])
        } else if let Some(base) = file.strip_suffix(".mp4") {
            let name = base.split_once('.').map_or(base, |(name, _)| name);
            if name.is_empty() {
                self.unknown_uri += 1;
                return;
            }
            let cut = name
                .rsplit_once('_')
                .filter(|(_, d)| d.len() == 4 && d.bytes().all(|digit| digit.is_ascii_digit()));
            (
                UsageKind::Vod,
                [Some(name), cut.map(|(name, _)| name)].into_iter().flatten().collect(),
            )
        } else {
            self.unknown_uri += 1;
            return;
        };
        let at = format!("{date}T{time}Z").parse::<Timestamp>();
        let (Ok(bytes), Ok(at)) = (bytes.parse::<u64>(), at) else {
            self.malformed += 1;
            return;
        };
        let known = names.iter().find_map(|name| KNOWN.iter().position(|known| known == name));
        let Some(stream) = known else {
            self.unknown_stream += 1;
            return;
        };
        let row = self.rows.entry((stream, at.hour_start().to_string(), kind)).or_default();
        *row = (row.0 + bytes, row.1 + 1);
    }

    fn of(found: &Resolved<usize>) -> Self {
        let key = |row: &edge_logs::Usage<usize>| (row.stream, row.hour.to_string(), row.kind);
        let rows = found.usage.iter().map(|row| (key(row), (row.bytes, row.lines))).collect();
        Self {
            rows,
            unknown_uri: found.counts.unknown_uri,
            unknown_stream: found.counts.unknown_stream,
            malformed: found.counts.malformed,
            blank: found.counts.blank,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_simple_oracle_agrees(lines in lines()) {
        let mut expected = Oracle::default();
        for line in &lines {
            expected.line(line);
        }
        let text = format!("{FIELDS}\n{}\n", lines.join("\n"));
        let found = parse(LogFormat::CloudFront, &[text.as_bytes()]).unwrap();
        // Without any line, the text still has an empty one.
        expected.blank += u64::from(lines.is_empty());
        prop_assert_eq!(Oracle::of(&found), expected);
        prop_assert_eq!(found.counts.total(), lines.len().max(1) as u64 + 1);
        let errors = usize::try_from(found.counts.errors()).unwrap();
        prop_assert_eq!(found.problems.len(), errors.min(options().max_kept_errors));
    }

    #[test]
    fn the_order_of_lines_does_not_matter(lines in lines(), seed in any::<u64>()) {
        let mut shuffled = lines.clone();
        shuffled.sort_by_key(|line| {
            line.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        });
        let fold = |lines: &[String]| {
            let text = format!("{FIELDS}\r\n{}", lines.join("\r\n"));
            parse(LogFormat::CloudFront, &[text.as_bytes()]).unwrap()
        };
        let (one, other) = (fold(&lines), fold(&shuffled));
        prop_assert_eq!(&one.usage, &other.usage);
        prop_assert_eq!(one.counts.errors(), other.counts.errors());
    }

    #[test]
    fn the_order_of_columns_does_not_matter(lines in prop::collection::vec(values(), 0..40)) {
        let fold = |header: &str, line: &dyn Fn(&[String; 4]) -> String| {
            let lines: Vec<String> = lines.iter().map(line).collect();
            let text = format!("{header}\n{}", lines.join("\n"));
            parse(LogFormat::CloudFront, &[text.as_bytes()]).unwrap()
        };
        let one = fold(FIELDS, &|[d, t, n, p]| format!("{d}\t{t}\tSFO5\t{n}\t-\t{p}\t200"));
        let other = fold(OTHER_FIELDS, &|[d, t, n, p]| format!("{p}\t{n}\t{t}\t{d}\t-"));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn chunks_do_not_matter(
        lines in lines(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let text = format!("{FIELDS}\n{}", lines.join("\n"));
        let whole = parse(LogFormat::CloudFront, &[text.as_bytes()]);
        prop_assert_eq!(parse(LogFormat::CloudFront, &cut(text.as_bytes(), &places)), whole);
    }

    #[test]
    fn any_bytes_are_judged_without_panic(
        bytes in prop::collection::vec(byte(), 0..2_000),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        with_header in any::<bool>(),
    ) {
        for format in FORMATS {
            let header = if with_header { header(format) } else { "" };
            let text = [header.as_bytes(), &bytes].concat();
            let found = parse(format, &cut(&text, &places));
            prop_assert_eq!(&found, &parse(format, &[&text]));
            if let Ok(found) = found {
                let lines = text.split(|&byte| byte == b'\n').count() as u64;
                let closed = u64::from(text.is_empty() || text.ends_with(b"\n"));
                prop_assert_eq!(found.counts.total(), lines - closed);
            }
        }
    }

    #[test]
    fn one_changed_byte_never_panics(
        seed in any::<u64>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for kind in FileKind::ALL {
            let mut text = Vec::new();
            sample(seed, 5).write(kind, &mut text).unwrap();
            let at = place.index(text.len());
            text[at] = byte;
            let lines = text.split(|&byte| byte == b'\n').count() as u64 - u64::from(text.ends_with(b"\n"));
            match parse(kind.format(), &[&text]) {
                Ok(found) => prop_assert_eq!(found.counts.total(), lines),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn samples_add_up_to_what_they_say(seed in any::<u64>(), lines in 0_u64..300) {
        for kind in FileKind::ALL {
            let mut text = Vec::new();
            let expected = sample(seed, lines).write(kind, &mut text).unwrap();
            let found = parse(kind.format(), &[&text]).unwrap();
            prop_assert_eq!(found.usage, expected);
            prop_assert_eq!(found.problems, vec![]);
        }
    }
}

fn header(format: LogFormat) -> &'static str {
    match format {
        LogFormat::CloudFront => "#Fields: date time sc-bytes cs-uri-stem\n",
        LogFormat::EdgecastFms => {
            "#Fields: x-event\tdate\ttime\tx-duration\tcs-uri-stem\tsc-bytes\tx-sname\n"
        }
        LogFormat::EdgecastWpc => "Fields: timestamp\n",
    }
}

fn sample(seed: u64, lines: u64) -> SampleLog<'static> {
    const fn stream(name: &'static str) -> SampleStream<'static> {
        let public_key = "0123456789abcdef0123456789abcdef";
        SampleStream { instance: "cines", name, public_key }
    }
    const STREAMS: [SampleStream<'static>; 4] =
        [stream(KNOWN[0]), stream(KNOWN[1]), stream(KNOWN[2]), stream(KNOWN[3])];
    SampleLog {
        seed,
        streams: &STREAMS,
        from: Timestamp::from_seconds(1_416_830_400),
        seconds: 10_000,
        lines,
    }
}

#[test]
fn a_sample_with_one_seed_is_always_the_same() {
    for kind in FileKind::ALL {
        let write = |seed| {
            let mut text = Vec::new();
            sample(seed, 100).write(kind, &mut text).unwrap();
            text
        };
        assert_eq!(write(7), write(7));
        assert_ne!(write(7), write(8));
        let text = String::from_utf8(write(7)).unwrap();
        assert!(text.lines().all(|line| line.is_ascii() && line.len() < 600), "{text}");
    }
}

#[test]
fn reasons_are_the_words_of_the_ledger() {
    let reasons = [Reason::UnknownUri, Reason::UnknownStream, Reason::Malformed];
    let words = serde_json::to_string(&reasons).unwrap();
    assert_eq!(words, r#"["unknown_uri","unknown_stream","malformed"]"#);
}
