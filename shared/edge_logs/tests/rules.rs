//! Rules that the acceptance cases leave open, and every bound.

use edge_logs::{
    FileError, FmsBytes, LogFormat, LogParser, Options, Reason, Resolved, StreamName, UsageKind,
};

const CLOUDFRONT: &str = "#Fields: date time sc-bytes cs-uri-stem\n";
const FMS: &str =
    "#Fields: x-event\tdate\ttime\tx-duration\tcs-uri-stem\tsc-bytes\tsc-stream-bytes\tx-sname\n";
const STREAMS: [(&str, &str); 3] = [("cines", "abc"), ("cines", "live_2015"), ("cines", "live")];

fn find(wanted: StreamName<'_>) -> Option<usize> {
    STREAMS.iter().position(|&(instance, name)| {
        name == wanted.name && wanted.instance.is_none_or(|wanted| wanted == instance)
    })
}

fn parse_with(
    format: LogFormat,
    options: Options,
    text: &str,
) -> Result<Resolved<usize>, FileError> {
    let mut parser = LogParser::new(format, options);
    parser.push(text.as_bytes())?;
    Ok(parser.finish()?.resolve(find))
}

fn parse(format: LogFormat, text: &str) -> Result<Resolved<usize>, FileError> {
    let options = Options { reserved_instances: vec!["20C45E".to_owned()], ..Options::default() };
    parse_with(format, options, text)
}

fn cloudfront(lines: &str) -> Resolved<usize> {
    parse(LogFormat::CloudFront, &format!("{CLOUDFRONT}{lines}")).expect("a readable file")
}

fn wpc(bytes: &str, url: &str) -> Resolved<usize> {
    let line = format!("1400396107 2 c 3 s 80 TCP_HIT/200 {bytes} GET {url} - 0 0 r \"u a\" 5\n");
    parse(LogFormat::EdgecastWpc, &line).expect("a readable file")
}

fn fms(instance: &str, stream: &str, seconds: &str, bytes: &str) -> Resolved<usize> {
    let url = format!("rtmp://h.example/20C45E/{instance}");
    let line = format!("stop\t2014-05-14\t04:17:00\t{seconds}\t{url}\t{bytes}\t330\t{stream}");
    parse(LogFormat::EdgecastFms, &format!("{FMS}{line}")).expect("a readable file")
}

fn bytes_of(found: &Resolved<usize>, stream: &str) -> u64 {
    let is_it = |&(_, name): &(&str, &str)| name == stream;
    let at = STREAMS.iter().position(is_it).expect("a known stream");
    found.usage.iter().filter(|row| row.stream == at).map(|row| row.bytes).sum()
}

fn only_problem(found: &Resolved<usize>) -> (u64, Reason, &str) {
    let [problem] = found.problems.as_slice() else {
        panic!("expected one problem, found {:?}", found.problems);
    };
    (problem.line, problem.reason, problem.detail.as_str())
}

/// Fault 16: a stream may itself be called like the take of another.
#[test]
fn the_uncut_name_of_a_recording_wins_and_both_are_looked_up() {
    let mut parser = LogParser::new(LogFormat::CloudFront, Options::default());
    let lines = "2014-12-01\t00:00:01\t1\t/c/k/live_2015.mp4\n\
                 2014-12-01\t00:00:01\t10\t/c/k/live_2016.mp4\n\
                 2014-12-01\t00:00:01\t100\t/c/k/live.mp4\n\
                 2014-12-01\t00:00:01\t1000\t/hls/live_2016-1416857182993.ts\n";
    parser.push(format!("{CLOUDFRONT}{lines}").as_bytes()).unwrap();
    let parsed = parser.finish().unwrap();
    assert_eq!(parsed.names(), ["live", "live_2015", "live_2016"]);
    let found = parsed.resolve(find);
    assert_eq!(bytes_of(&found, "live_2015"), 1);
    // Two names of one stream are one row.
    assert_eq!(bytes_of(&found, "live"), 110);
    assert_eq!(found.usage.len(), 2);
    // A live segment is never cut.
    let (line, reason, _) = only_problem(&found);
    assert_eq!((line, reason), (5, Reason::UnknownStream));
}

#[test]
fn hours_and_kinds_are_apart() {
    let found = cloudfront(
        "2014-12-01\t00:59:59\t1\t/hls/abc-1416857182993.ts\n\
         2014-12-01\t01:00:00\t2\t/hls/abc-1416857182993.ts\n\
         2014-12-01\t00:00:00\t4\t/c/k/abc.mp4\n\
         2014-12-01\t00:00:00\t8\t/hls/abc-1416857182993.ts\n",
    );
    let rows = found.usage.iter();
    let rows: Vec<_> = rows.map(|r| (r.hour.to_string(), r.kind, r.bytes, r.lines)).collect();
    let hour = |hour: &str| format!("2014-12-01T{hour}:00:00Z");
    assert_eq!(
        rows,
        [
            (hour("00"), UsageKind::Hls, 9, 2),
            (hour("00"), UsageKind::Vod, 4, 1),
            (hour("01"), UsageKind::Hls, 2, 1),
        ]
    );
}

#[test]
fn a_second_header_sets_the_columns_of_what_follows() {
    let found = cloudfront(
        "2014-12-01\t00:00:01\t1\t/hls/abc-1416857182993.ts\n\
         #Version: 1.0\n\
         #Fields: sc-bytes cs-uri-stem date time\n\
         20\t/hls/abc-1416857182993.ts\t2014-12-01\t00:00:01\n",
    );
    assert_eq!(bytes_of(&found, "abc"), 21);
    assert_eq!(found.counts.header, 3);
}

#[test]
fn files_without_the_needed_columns_are_refused() {
    let line = "2014-12-01\t00:00:01\t1\t/hls/abc-1416857182993.ts\n";
    let error = parse(LogFormat::CloudFront, line).unwrap_err();
    assert_eq!(error, FileError::NoHeader { line: 1 });
    let header = "#Version: 1.0\n#Fields: date time cs-uri-stem\n";
    let error = parse(LogFormat::CloudFront, &format!("{header}{line}")).unwrap_err();
    let text = "the `#Fields:` line 2 does not name the column `sc-bytes`";
    assert_eq!(error.to_string(), text);
    // Without lines there is nothing to miss.
    for text in ["", "\n", "#Version: 1.0\n"] {
        assert_eq!(parse(LogFormat::CloudFront, text).unwrap().counts.errors(), 0);
    }
}

/// Fault 15: what is no number and no date costs its line and is told.
#[test]
fn bad_values_are_told_with_what_was_found() {
    let check = |line: &str, expected: &str| {
        let good = "2014-12-01\t00:00:01\t1\t/hls/abc-1416857182993.ts";
        let found = cloudfront(&format!("{good}\n{line}\n{good}"));
        assert_eq!(only_problem(&found), (3, Reason::Malformed, expected), "{line}");
        assert_eq!(bytes_of(&found, "abc"), 2);
    };
    let number = "the bytes sent must be a whole number up to 2^42, found";
    for bytes in ["-1", "NaN", "1.5", "4398046511105", "9223372036854775807", "9223372036854775808"]
    {
        let line = format!("2014-12-01\t00:00:01\t{bytes}\t/hls/abc-1416857182993.ts");
        check(&line, &format!("{number} `{bytes}`"));
    }
    check(
        "2014-12-01\t24:00:01\t1\t/hls/abc-1416857182993.ts",
        "the time must be written HH:MM:SS, found `24:00:01`",
    );
    check(
        "2014-12-32\t00:00:01\t1\t/hls/abc-1416857182993.ts",
        "the date must exist and be written YYYY-MM-DD, found `2014-12-32`",
    );
    let long = format!("2014-12-01\t00:00:01\t1\t/hls/{}-1416857182993.ts", "y".repeat(300));
    let shown = "y".repeat(80);
    let expected =
        format!("a stream's name and instance must be 1 to 255 bytes long, found `{shown}`");
    check(&long, &expected);
    check(
        "2014-12-01\t00:00:01\t1",
        "the line must have as many columns as `#Fields:` names; it may be cut off",
    );
}

#[test]
fn a_sum_beyond_the_bound_loses_only_the_line_that_exceeds_it() {
    let line = |bytes: u64| format!("2014-12-01\t00:00:01\t{bytes}\t/hls/abc-1416857182993.ts\n");
    let largest = line(1 << 42).repeat(1 << 10);
    let found = cloudfront(&[largest, line(1), line(0)].concat());
    assert_eq!(bytes_of(&found, "abc"), 1 << 52);
    assert_eq!((found.counts.counted, found.counts.malformed), (1_025, 1));
    let expected = "the sums of a file must stay up to 2^52; this line exceeds one";
    assert_eq!(only_problem(&found), ((1 << 10) + 2, Reason::Malformed, expected));
}

#[test]
fn fms_needs_instance_and_stream_and_whole_seconds() {
    let found = fms("cines/", "abc", "26", "3965");
    assert_eq!((found.usage[0].kind, found.usage[0].seconds), (UsageKind::Fms, 26));
    assert_eq!(bytes_of(&fms("cines", "abc", "0", "12"), "abc"), 12);
    let expected = "no stream of instance `other` is called `abc`";
    let found = fms("other/", "abc", "26", "1");
    assert_eq!(only_problem(&found), (2, Reason::UnknownStream, expected));
    assert_eq!(fms("", "abc", "26", "1").counts.reserved_instance, 1);
    assert_eq!(fms("cines/", "abc", "31622400", "4398046511104").counts.counted, 1, "a leap year");
    for (seconds, bytes) in [
        ("-1", "1"),
        ("1.5", "1"),
        ("", "1"),
        ("1", "-"),
        ("1", ""),
        ("31622401", "1"),
        ("1", "4398046511105"),
    ] {
        assert_eq!(fms("cines/", "abc", seconds, bytes).counts.malformed, 1);
    }
}

/// Fault 16: a server that counts up over a session can be read by its other column.
#[test]
fn the_billed_fms_column_is_a_setting() {
    let options = Options { fms_bytes_column: FmsBytes::Stream, ..Options::default() };
    let line = "stop\t2014-05-14\t04:17:00\t26\trtmp://h/x/cines/\t3965\t330\tabc";
    let found = parse_with(LogFormat::EdgecastFms, options, &format!("{FMS}{line}")).unwrap();
    assert_eq!(bytes_of(&found, "abc"), 330);
    let options: Options =
        serde_json::from_str(r#"{"fms_bytes_column":"sc-stream-bytes"}"#).unwrap();
    assert_eq!(options.fms_bytes_column, FmsBytes::Stream);
}

#[test]
fn the_wpc_threshold_is_strict_and_comes_first() {
    let url = "http://h.example/23C45E/cines/abc/1.ts";
    assert_eq!(wpc("1000", url).counts.below_threshold, 1);
    assert_eq!(bytes_of(&wpc("1001", url), "abc"), 1_001);
    assert_eq!(wpc("1000", "nonsense").counts.below_threshold, 1);
    assert_eq!(wpc("1001", "nonsense").counts.unknown_uri, 1);
    assert_eq!(wpc("-1", url).counts.malformed, 1);
    assert_eq!(wpc("NaN", url).counts.malformed, 1);
}

/// Fault 16: a recording sent by the other network is billed to its stream.
#[test]
fn wpc_lines_have_folders_for_instance_and_stream() {
    let stream = |url: &str| bytes_of(&wpc("2000", url), "abc");
    assert_eq!(stream("http://h.example/23C45E/cines/abc/list.m3u8"), 2_000);
    assert_eq!(stream("http://h.example/23C45E/cines/abc/clip.mp4"), 2_000);
    assert_eq!(stream("http://h.example/23C45E/other/abc/1.ts"), 0);
    let key = "0123456789abcdef0123456789abcdef";
    let found = wpc("2000", &format!("http://h.example/20C45E/cines/{key}/abc.3.mp4"));
    assert_eq!((found.usage[0].kind, found.usage[0].bytes), (UsageKind::Vod, 2_000));
    assert_eq!(wpc("2000", "http://h.example/20C45E/x.bin").counts.reserved_instance, 1);
    let found = wpc("2000", "http://h.example/1.ts?token=hidden");
    let (_, _, detail) = only_problem(&found);
    assert!(detail.ends_with("found `http://h.example/1.ts`"), "{detail}");
    let cut = "1400396107 2 c 3 s 80 TCP_HIT/200 5000 GET http://h.example/x/cines/abc/1.ts - 0";
    assert_eq!(parse(LogFormat::EdgecastWpc, cut).unwrap().counts.malformed, 1);
}

#[test]
fn unknown_streams_are_counted_in_full_and_kept_up_to_a_bound() {
    let lines: Vec<String> = (0..250)
        .map(|n| {
            let name = if n % 2 == 0 { "abc" } else { "nobody" };
            format!("2014-12-01\t00:00:01\t1\t/hls/{name}-1416857182993.ts\n")
        })
        .collect();
    let lines = lines.concat();
    let found = cloudfront(&lines);
    assert_eq!((found.counts.counted, found.counts.unknown_stream), (125, 125));
    assert_eq!(found.problems.len(), 100);
    assert_eq!(found.problems[0].line, 3);
    assert_eq!(found.problems[0].stream.as_deref(), Some("nobody"));
    let options = Options { max_kept_errors: 3, ..Options::default() };
    let text = format!("{CLOUDFRONT}bad\n{lines}");
    let found = parse_with(LogFormat::CloudFront, options, &text).unwrap();
    let kept: Vec<u64> = found.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(kept, [2, 4, 6]);
    assert_eq!(found.counts.errors(), 126);
}

#[test]
fn too_many_names_or_hours_end_the_parse_with_a_clear_error() {
    let options = Options { max_groups: 1_000, ..Options::default() };
    let names: Vec<String> = (0..1_001)
        .map(|n| format!("2014-12-01\t00:00:01\t1\t/hls/n{n}-1416857182993.ts\n"))
        .collect();
    let names = names.concat();
    let text = format!("{CLOUDFRONT}{names}");
    let error = parse_with(LogFormat::CloudFront, options.clone(), &text).unwrap_err();
    assert_eq!(error, FileError::TooManyGroups { limit: 1_000 });
    assert!(parse(LogFormat::CloudFront, &text).is_ok());

    let hours: Vec<String> = (0..1_001_u64)
        .map(|n| format!("{} 2 c 3 s 80 T 5000 GET /x/cines/abc/1.ts - 0 0\n", n * 3_600))
        .collect();
    let hours = hours.concat();
    let error = parse_with(LogFormat::EdgecastWpc, options, &hours).unwrap_err();
    assert_eq!(error, FileError::TooManyGroups { limit: 1_000 });

    let long = "z".repeat(240);
    let names: Vec<String> = (0..40_000)
        .map(|n| format!("2014-12-01\t00:00:01\t1\t/hls/{long}{n}-1416857182993.ts\n"))
        .collect();
    let names = names.concat();
    let error = parse(LogFormat::CloudFront, &format!("{CLOUDFRONT}{names}")).unwrap_err();
    assert!(matches!(error, FileError::TooManyNames { .. }), "{error}");
}
