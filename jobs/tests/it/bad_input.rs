//! Files and requests that `logs/process_log` must refuse, retry or survive.

use std::collections::BTreeSet;

use database::EngineKind;
use edge_logs::sample::FileKind;
use job::JobError;
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::Cut;

use crate::harness::Harness;
use crate::logs::{NAMES, gzip, sample};

const JOB: &str = "logs/process_log";

fn file(source: &str, key: &str) -> Value {
    json!({ "logSource": source, "key": key })
}

/// Runs a file that must not be stored; returns whether it is retried, and the error.
async fn refusal(harness: &Harness, source: &str, key: &str) -> (bool, String) {
    let error = harness.run_json(JOB, &file(source, key)).await.unwrap_err();
    assert_eq!(harness.number("SELECT count(*) FROM usage_hour").await, 0);
    assert_eq!(harness.number("SELECT count(*) FROM log_file WHERE state = 'complete'").await, 0);
    match &error {
        JobError::Retryable { after: None, cause: _ } => (true, error.chain()),
        JobError::Permanent(_) => (false, error.chain()),
        other => panic!("{other:?}"),
    }
}

async fn ledger_error(harness: &Harness) -> Option<String> {
    let query = database::Query::new("SELECT error FROM log_file WHERE state = 'failed'");
    harness.db.first(query).await.unwrap().map(|row| row.get(0).unwrap())
}

/// Faults 12, 14 and 17: a body that ends early fails, is retried, and is complete only when all of
/// it was read.
async fn gzip_cut_off_anywhere_is_retried_and_then_read(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &NAMES).await;
    let log = sample(FileKind::CloudFrontHls, 1, 200);
    let body = gzip(&log.text);
    let ends = [0, 1, 2, 9, 10, 11, 100, body.len() / 2, body.len() - 8, body.len() - 1];
    for end in ends {
        harness.put("cdn", "a.gz", &body[..end]);
        let (is_retried, error) = refusal(&harness, "cdn", "a.gz").await;
        assert!(is_retried, "cut at {end}: {error}");
        assert!(error.contains("ends in the middle"), "cut at {end}: {error}");
        assert_eq!(ledger_error(&harness).await, Some(error));
    }
    harness.put("cdn", "a.gz", &body);
    let done = harness.run_json(JOB, &file("cdn", "a.gz")).await.unwrap();
    assert_eq!(done.result["bytes"], log.bytes);
    assert_eq!(ledger_error(&harness).await, None);
}

/// Fault 17: a damaged file is no shorter file, and nothing of it is left on disk.
async fn damaged_gzip_is_for_a_person(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    let body = gzip(&sample(FileKind::CloudFrontHls, 1, 200).text);
    let mut wrong_sum = body.clone();
    let at = wrong_sum.len() - 5;
    wrong_sum[at] ^= 1;
    let trailing = [body.as_slice(), b"trailing text"].concat();
    harness.put("cdn", "a.gz", b"");
    let files = || {
        let folders = [harness.folder().to_owned(), harness.path("cdn", "")];
        let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        entries.map(|entry| entry.unwrap().path()).collect::<BTreeSet<_>>()
    };
    let before = files();
    for damaged in [wrong_sum, trailing, [&[0x1f, 0x8b, 8], [0xff; 40].as_slice()].concat()] {
        harness.put("cdn", "a.gz", &damaged);
        let (is_retried, error) = refusal(&harness, "cdn", "a.gz").await;
        assert!(!is_retried, "{error}");
        assert!(error.starts_with("`a.gz` is not intact gzip data"), "{error}");
    }
    assert_eq!(files(), before);
}

async fn files_beyond_either_limit_are_refused(engine: EngineKind) {
    let harness = Harness::with(engine, |folder| {
        format!(
            "[domains.logs.log_sources]\n\
             cdn = {{ format = \"cloudfront\", location = '{}/cdn' }}\n\
             [jobs.\"logs/process_log\"]\n\
             settings = {{ max_object_bytes = 5_000, max_inflated_bytes = 100_000 }}\n",
            folder.display()
        )
    })
    .await;
    harness.put("cdn", "large.log", &vec![b'x'; 5_001]);
    let (is_retried, error) = refusal(&harness, "cdn", "large.log").await;
    assert!(!is_retried);
    let expected =
        "`large.log` is larger than 5000 bytes; raise `max_object_bytes` if it should be";
    assert_eq!(error, expected);

    // A bomb: small as stored, and read whole if nobody counted.
    let bomb = gzip(&vec![b'\n'; 300_000]);
    assert!(bomb.len() < 5_000);
    harness.put("cdn", "bomb.gz", &bomb);
    let (is_retried, error) = refusal(&harness, "cdn", "bomb.gz").await;
    assert!(!is_retried);
    assert!(error.starts_with("`bomb.gz` inflates to more than 100000 bytes; raise"), "{error}");

    // Exactly at the limit.
    let header = b"#Fields: date time sc-bytes cs-uri-stem\n";
    let text = [header.as_slice(), &vec![b'\n'; 100_000 - header.len()]].concat();
    harness.put("cdn", "full.gz", &gzip(&text));
    let done = harness.run_json(JOB, &file("cdn", "full.gz")).await.unwrap();
    assert_eq!(done.result["inflatedBytes"], 100_000);
}

async fn requests_that_cannot_be_met_leave_no_row(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.put("fml", "adn_1.log.gz", b"");
    for (source, key, told) in [
        ("cnd", "a.gz", "there is no log source `cnd`; did you mean `cdn`?"),
        ("fml", "adn_1.log.gz", "adn_1.log.gz"),
        ("cdn", "../main.db", "`../main.db` cannot be the key of an object"),
        ("cdn", "/etc/passwd", "keys are relative"),
        ("cdn", "", "it is empty"),
        ("cdn", "a\0b", "control character"),
        ("cdn", "no-such-file.gz", "there is no object `no-such-file.gz`"),
    ] {
        let (is_retried, error) = refusal(&harness, source, key).await;
        assert!(!is_retried, "{key}: {error}");
        assert!(error.contains(told), "{key}: {error}");
        assert_eq!(harness.number("SELECT count(*) FROM log_file").await, 0, "{key}");
    }
}

async fn a_file_without_header_says_what_is_missing(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.put("cdn", "a.log", b"2026-10-31\t23:59:58\t5\t/a-1793491198000.ts\n");
    let (is_retried, error) = refusal(&harness, "cdn", "a.log").await;
    assert!(!is_retried);
    assert!(error.contains("`a.log` cannot be read: line 1 comes before a `#Fields:`"), "{error}");
}

/// Takes any bytes for a file: they complete it or fail, and meter nothing.
fn check_any(engine: EngineKind, bytes: Vec<u8>, shape: u8, (source, key): (&str, &str)) {
    let header: &[u8] = b"#Fields: date time sc-bytes cs-uri-stem\n";
    let body = match shape {
        0 => bytes,
        1 => [header, &bytes].concat(),
        2 => gzip(&[header, &bytes].concat()),
        _ => [&[0x1f, 0x8b], bytes.as_slice()].concat(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let harness = Harness::new(engine).await;
        harness.put(source, key, &body);
        match harness.attempt_json(JOB, &file(source, key), Cut::Never).await.unwrap() {
            Ok(outcome) => drop(harness.settle(outcome).await.unwrap()),
            Err(JobError::Cancelled) => panic!("nobody cancelled it"),
            Err(error) => assert!(!error.chain().is_empty()),
        }
        assert_eq!(harness.number("SELECT count(*) FROM usage_hour").await, 0);
    });
}

macro_rules! any_bytes_complete_or_fail_and_never_panic {
    ($name:ident, $engine:expr, $cases:literal) => {
        proptest! {
            #![proptest_config(ProptestConfig {
                cases: $cases, failure_persistence: None, ..ProptestConfig::default()
            })]

            #[test]
            fn $name(
                bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
                shape in 0..4_u8,
                place in prop_oneof![
                    Just(("cdn", "a.gz")), Just(("fml", "fms_1")), Just(("fml", "wpc_1"))
                ],
            ) {
                check_any($engine, bytes, shape, place);
            }
        }
    };
}

any_bytes_complete_or_fail_and_never_panic!(any_bytes_on_sqlite, EngineKind::Sqlite, 24);
any_bytes_complete_or_fail_and_never_panic!(any_bytes_on_postgres, EngineKind::Postgres, 6);

/// A CloudFront file that says so many bytes, once per number, of the stream `alpha`.
fn saying(bytes: &[u64]) -> Vec<u8> {
    let line = |bytes| format!("2026-10-05\t10:00:00\t{bytes}\t/hls/alpha-1791194400000.ts\n");
    let lines: String = bytes.iter().map(line).collect();
    format!("#Fields: date time sc-bytes cs-uri-stem\n{lines}").into_bytes()
}

/// Fault 15: an absurd figure costs its line and nothing else.
async fn a_line_that_no_request_can_cause_spoils_nothing(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &NAMES[..1]).await;
    let most = i64::MAX.cast_unsigned();
    for (key, bytes) in [("a.log", &[most, 5][..]), ("b.log", &[most]), ("c.log", &[7])] {
        harness.put("cdn", key, &saying(bytes));
        let done = harness.run_json(JOB, &file("cdn", key)).await.unwrap();
        assert_eq!(done.result["errors"]["malformed"], u64::from(bytes[0] == most));
    }
    let done = harness.run_json("usage/roll_up_usage", &json!({})).await.unwrap();
    assert_eq!(done.result["refused"], 0);
    assert_eq!(harness.billed_bytes().await, 12);
}

async fn a_file_that_a_month_has_no_room_for_is_noted_as_failed(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &NAMES[..1]).await;
    harness.put("cdn", "a.log", &saying(&[5]));
    harness.run_json(JOB, &file("cdn", "a.log")).await.unwrap();
    let mut work = harness.db.begin().await.unwrap();
    let sql = "UPDATE usage_stream_month SET bytes = 9223372036854775807";
    work.tx().execute(database::Query::new(sql)).await.unwrap();
    work.commit().await.unwrap();
    let before = harness.number("SELECT count(*) FROM usage_hour").await;

    harness.put("cdn", "b.log", &saying(&[1]));
    let error = harness.run_json(JOB, &file("cdn", "b.log")).await.unwrap_err();
    assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
    let error = error.chain();
    assert!(error.starts_with("the usage of strm_"), "{error}");
    assert!(error.contains(" in 2026-10 would sum to more than 2^63 - 1; correct"), "{error}");
    assert_eq!(ledger_error(&harness).await, Some(error));
    assert_eq!(harness.number("SELECT count(*) FROM usage_hour").await, before);
    assert_eq!(harness.number("SELECT count(*) FROM log_file WHERE state = 'discovered'").await, 0);
}

testkit::on_each_engine!(
    gzip_cut_off_anywhere_is_retried_and_then_read,
    damaged_gzip_is_for_a_person,
    files_beyond_either_limit_are_refused,
    requests_that_cannot_be_met_leave_no_row,
    a_file_without_header_says_what_is_missing,
    a_line_that_no_request_can_cause_spoils_nothing,
    a_file_that_a_month_has_no_room_for_is_noted_as_failed,
);
