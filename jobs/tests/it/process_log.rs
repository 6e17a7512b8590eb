//! `logs/process_log`: what it stores, and that it stores it once whatever happens.

use database::EngineKind;
use edge_logs::sample::FileKind;
use job::JobError;
use serde_json::{Value, json};
use testkit::Cut;

use crate::harness::Harness;
use crate::logs::{NAMES, gzip, sample};

const JOB: &str = "logs/process_log";
/// Files are read in pieces of 256 KiB; this many lines make five of them.
const LINES: u64 = 4_000;

fn file(key: &str) -> Value {
    json!({ "logSource": "cdn", "key": key })
}

async fn harness(engine: EngineKind) -> Harness {
    let harness = Harness::new(engine).await;
    harness.customer(1, &NAMES[..2]).await;
    harness.customer(2, &NAMES[2..]).await;
    harness
}

/// Fault 13: a file leaves a row per stream, hour and kind, however many lines it has.
async fn a_file_becomes_usage_of_accounts(engine: EngineKind) {
    let harness = harness(engine).await;
    let log = sample(FileKind::CloudFrontHls, 1, 500);
    for (key, body) in [("a.gz", gzip(&log.text)), ("b.log", log.text.clone())] {
        harness.put("cdn", key, &body);
        let done = harness.run_json(JOB, &file(key)).await.unwrap();
        assert_eq!(done.result["lines"], 502);
        assert_eq!(done.result["counted"], 500);
        assert_eq!(done.result["skipped"], 2);
        let none = json!({ "unknownUri": 0, "unknownStream": 0, "malformed": 0 });
        assert_eq!(done.result["errors"], none);
        assert_eq!(done.result["bytes"], log.bytes);
        assert_eq!(done.result["streams"], 3);
        assert_eq!(done.result["objectBytes"], body.len());
        assert_eq!(done.result["inflatedBytes"], log.text.len());
        let jobs: Vec<&str> = done.follow_ups.iter().map(|task| task.job).collect();
        assert_eq!(jobs, ["usage/roll_up_usage"]);
    }
    // Three streams in the three hours that two hours of a log touch, twice.
    let rows = harness.number("SELECT count(*) FROM usage_hour").await;
    assert!((2..=2 * 9).contains(&rows), "{rows} rows");
    harness.run_json("usage/roll_up_usage", &json!({})).await.unwrap();
    assert_eq!(harness.billed_bytes().await, 2 * log.bytes);
}

async fn members_of_one_gzip_file_are_one_log(engine: EngineKind) {
    let harness = harness(engine).await;
    let log = sample(FileKind::CloudFrontHls, 2, 300);
    let (front, back) = log.text.split_at(log.text.len() / 3);
    harness.put("cdn", "a.gz", &[gzip(front), gzip(back), gzip(b"")].concat());
    let done = harness.run_json(JOB, &file("a.gz")).await.unwrap();
    assert_eq!(done.result["bytes"], log.bytes);
}

async fn a_file_is_counted_anew_when_its_streams_are_known_later(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    let log = sample(FileKind::CloudFrontHls, 1, 50);
    harness.put("cdn", "a.gz", &gzip(&log.text));
    let done = harness.run_json(JOB, &file("a.gz")).await.unwrap();
    assert_eq!(
        (&done.result["bytes"], &done.result["errors"]["unknownStream"]),
        (&json!(0), &json!(50))
    );
    harness.customer(1, &NAMES).await;
    let again = json!({ "logSource": "cdn", "key": "a.gz", "again": true });
    for _ in 0..2 {
        let done = harness.run_json(JOB, &again).await.unwrap();
        assert_eq!(done.result["bytes"], log.bytes);
    }
    harness.run_json("usage/roll_up_usage", &json!({})).await.unwrap();
    assert_eq!(harness.billed_bytes().await, log.bytes);
}

async fn a_complete_file_is_not_opened_again(engine: EngineKind) {
    let harness = harness(engine).await;
    harness.put("cdn", "a.gz", &gzip(&sample(FileKind::CloudFrontHls, 1, 50).text));
    harness.run_json(JOB, &file("a.gz")).await.unwrap();
    let state = harness.state().await;
    std::fs::remove_file(harness.path("cdn", "a.gz")).unwrap();
    let done = harness.run_json(JOB, &file("a.gz")).await.unwrap();
    assert_eq!(done.result, json!({ "skipped": "already_complete" }));
    assert!(done.follow_ups.is_empty());
    assert_eq!(harness.state().await, state);
}

/// Faults 12 and 13: a file is complete with its usage or not at all, and counted once.
async fn an_attempt_cut_anywhere_and_repeated_leaves_what_an_undisturbed_one_leaves(
    engine: EngineKind,
) {
    let log = sample(FileKind::CloudFrontHls, 3, LINES);
    let undisturbed = {
        let harness = harness(engine).await;
        harness.put("cdn", "a.log", &log.text);
        harness.run_json(JOB, &file("a.log")).await.unwrap();
        harness.state().await
    };
    assert!(undisturbed.contains("complete"));

    let harness = harness(engine).await;
    harness.put("cdn", "a.log", &log.text);
    let mut pieces = 0;
    // The process dies, or the attempt is cancelled, behind each piece of the body.
    for at in 1.. {
        if harness.attempt_json(JOB, &file("a.log"), Cut::DiesAt(at)).await.is_some() {
            break;
        }
        check_nothing_stored(&harness).await;
        let ended = harness.attempt_json(JOB, &file("a.log"), Cut::CancelledAt(at)).await;
        assert!(matches!(ended, Some(Err(JobError::Cancelled))), "{ended:?}");
        check_nothing_stored(&harness).await;
        pieces = at;
    }
    assert!(pieces >= 4, "{pieces} pieces are too few to be cut between");

    // Everything is read, and the process dies before it settles.
    let outcome = harness.attempt_json(JOB, &file("a.log"), Cut::Never).await.unwrap().unwrap();
    drop(outcome);
    check_nothing_stored(&harness).await;

    // Two attempts at once: a worker that was thought dead settles after another.
    let first = harness.attempt_json(JOB, &file("a.log"), Cut::Never).await.unwrap().unwrap();
    let second = harness.attempt_json(JOB, &file("a.log"), Cut::Never).await.unwrap().unwrap();
    harness.settle(first).await.unwrap();
    assert_eq!(harness.state().await, undisturbed);
    harness.settle(second).await.unwrap();
    assert_eq!(harness.state().await, undisturbed);

    // The same task once more.
    harness.run_json(JOB, &file("a.log")).await.unwrap();
    assert_eq!(harness.state().await, undisturbed);
}

async fn check_nothing_stored(harness: &Harness) {
    assert_eq!(harness.number("SELECT count(*) FROM usage_hour").await, 0);
    assert_eq!(harness.number("SELECT count(*) FROM usage_stream_month").await, 0);
    assert_eq!(harness.number("SELECT count(*) FROM usage_dirty").await, 0);
    assert_eq!(harness.number("SELECT count(*) FROM log_file WHERE state = 'complete'").await, 0);
}

/// Fault 12: ledger and usage are one transaction.
async fn a_settlement_that_is_rolled_back_stores_nothing_and_can_be_repeated(engine: EngineKind) {
    let harness = harness(engine).await;
    harness.put("cdn", "a.gz", &gzip(&sample(FileKind::CloudFrontHls, 1, 50).text));
    let outcome = harness.attempt_json(JOB, &file("a.gz"), Cut::Never).await.unwrap().unwrap();
    let job::OutcomeParts::Completed { write: Some(write), .. } = outcome.into_parts() else {
        panic!("a file is written in the settling transaction");
    };
    let mut transaction = harness.db.begin().await.unwrap();
    write(&mut transaction.tx()).await.unwrap();
    transaction.rollback().await.unwrap();
    check_nothing_stored(&harness).await;
    harness.run_json(JOB, &file("a.gz")).await.unwrap();
    assert!(harness.number("SELECT count(*) FROM usage_hour").await > 0);
}

testkit::on_each_engine!(
    a_file_becomes_usage_of_accounts,
    members_of_one_gzip_file_are_one_log,
    a_file_is_counted_anew_when_its_streams_are_known_later,
    a_complete_file_is_not_opened_again,
    an_attempt_cut_anywhere_and_repeated_leaves_what_an_undisturbed_one_leaves,
    a_settlement_that_is_rolled_back_stores_nothing_and_can_be_repeated,
);
