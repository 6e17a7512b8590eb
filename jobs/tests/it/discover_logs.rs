//! `logs/discover_logs`: every new file is asked for, once while it waits.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use contract::logs::ProcessLog;
use database::EngineKind;
use edge_logs::sample::FileKind;
use serde_json::{Value, json};
use testkit::{Asking, Cut};
use values::Span;

use crate::harness::{Harness, payload_of};
use crate::heard::Heard;
use crate::logs::{NAMES, gzip, reserved, sample};

const JOB: &str = "logs/discover_logs";

fn of(source: &str) -> Value {
    json!({ "logSource": source })
}

async fn all_four_kinds_of_logs_become_usage_of_accounts(engine: EngineKind) {
    let harness = Harness::with(engine, |folder| {
        format!(
            "[domains.logs.log_sources]\n\
             cdn = {{ format = \"cloudfront\", location = '{0}/cdn' }}\n\
             fml = {{ format = \"edgecast\", location = '{0}/fml' }}\n{1}",
            folder.display(),
            reserved()
        )
    })
    .await;
    harness.customer(1, &NAMES[..1]).await;
    harness.customer(2, &NAMES[1..]).await;
    let mut bytes = 0;
    for (serial, kind) in (0..).zip(FileKind::ALL) {
        let log = sample(kind, u64::from(serial), 300);
        let from = "2026-10-31T22:00:00Z".parse().unwrap();
        let source = if serial < 2 { "cdn" } else { "fml" };
        harness.put(source, &kind.key(from, serial), &gzip(&log.text));
        bytes += log.bytes;
    }
    harness.put("fml", "adn_1.log.gz", b"of a type that nobody reads");
    let counts = harness.run_all_json(JOB, &json!({})).await.unwrap();
    // One for all sources and one for each; the roll-up waits behind the files, so one is enough.
    assert_eq!(counts["logs/discover_logs"], 3);
    assert_eq!(counts["logs/process_log"], 4);
    assert_eq!(counts["usage/roll_up_usage"], 1);
    assert_eq!(harness.billed_bytes().await, bytes);
    assert_eq!(harness.number("SELECT count(*) FROM log_file WHERE state = 'complete'").await, 4);

    // Everything is known now, and a new file is found.
    assert_eq!(harness.run_all_json(JOB, &json!({})).await.unwrap().get("logs/process_log"), None);
    harness.put("cdn", "hls/new.gz", &gzip(&sample(FileKind::CloudFrontHls, 9, 10).text));
    assert_eq!(harness.run_all_json(JOB, &json!({})).await.unwrap()["logs/process_log"], 1);
}

async fn asks_for_each_source_and_for_each_file_once_at_a_time(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    let done = harness.run_json(JOB, &json!({})).await.unwrap();
    assert_eq!(done.result, json!({ "logSources": ["cdn", "fml"] }));
    let payloads: Vec<Value> = done.follow_ups.iter().map(payload_of).collect();
    assert_eq!(payloads, [of("cdn"), of("fml")]);

    harness.put("cdn", "b.gz", b"");
    harness.put("cdn", "a/c.gz", b"");
    let done = harness.run_json(JOB, &of("cdn")).await.unwrap();
    let payloads: Vec<Value> = done.follow_ups.iter().map(payload_of).collect();
    let expected = ["a/c.gz", "b.gz"].map(|key| json!({ "logSource": "cdn", "key": key }));
    assert_eq!(payloads, expected);
    for task in &done.follow_ups {
        assert_eq!(
            (task.job, task.options.labels.as_slice()),
            ("logs/process_log", &["cdn".to_owned()][..])
        );
        assert!(task.options.unique.is_some());
    }
    assert_eq!(harness.number("SELECT count(*) FROM log_file WHERE state = 'discovered'").await, 2);
}

/// Fault 12: a file that failed is not forgotten.
async fn a_file_that_failed_for_good_is_asked_for_again_after_six_hours(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.put("cdn", "a.gz", b"nobody can read this");
    let allowed = "[sources.main_worker]\njobs = [\"logs/process_log\"]";
    let asking = Asking::new(contract::contract(), "main_worker", allowed).await;
    let mut hours_with_a_dead_letter = Vec::new();
    for hour in 0..24 {
        let done = harness.run_json(JOB, &of("cdn")).await.unwrap();
        let [file] = done.follow_ups.as_slice() else { panic!("one file, one follow-up") };
        let payload: ProcessLog = serde_json::from_value(payload_of(file)).unwrap();
        let asked = asking.producer.enqueue(&payload, file.options.clone()).await.unwrap();
        if !asked.existing {
            harness.run(&payload).await.unwrap_err();
            let store = asking.producer.store();
            store.discard(asked.task_id, "the attempt failed".to_owned()).await.unwrap();
            hours_with_a_dead_letter.push(hour);
        }
        asking.clock.advance(Span::from_hours(1));
    }
    assert_eq!(hours_with_a_dead_letter, [0, 6, 12, 18]);
}

/// Fault 14: one attempt lists and asks for so much and no more.
async fn a_long_listing_goes_on_in_a_follow_up(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    for number in 0..2_300 {
        harness.put("cdn", &format!("{number:05}.gz"), b"");
    }
    let mut found = Vec::new();
    for (files, more) in [(1_000, true), (1_000, true), (300, false)] {
        let done = harness.run_json(JOB, &of("cdn")).await.unwrap();
        assert_eq!((&done.result["found"], &done.result["more"]), (&json!(files), &json!(more)));
        let (files, others): (Vec<_>, Vec<_>) =
            done.follow_ups.iter().partition(|task| task.job == "logs/process_log");
        assert_eq!(others.len(), usize::from(more));
        assert!(others.iter().all(|task| payload_of(task) == of("cdn")));
        found.extend(files.into_iter().map(|task| payload_of(task)["key"].to_string()));
    }
    found.dedup();
    assert_eq!(found.len(), 2_300);
    assert_eq!(harness.number("SELECT count(*) FROM log_file").await, 2_300);
    let open = "SELECT count(*) FROM log_marker WHERE listed_until_key IS NOT NULL";
    assert_eq!(harness.number(open).await, 0);
}

/// Fault 16: logs are found below any folder, and known by what is in them.
async fn logs_are_found_wherever_the_cdn_puts_them(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &NAMES).await;
    let mut bytes = 0;
    for (seed, folder) in ["hls/media-1/", "media-1/", "", "vod/hls/"].iter().enumerate() {
        let kind = if seed == 3 { FileKind::CloudFrontVod } else { FileKind::CloudFrontHls };
        let log = sample(kind, seed as u64, 50);
        let key = format!("{folder}E2SAMPLE.2026-10-31-22.0a1b2c3{seed}.gz");
        harness.put("cdn", &key, &gzip(&log.text));
        bytes += log.bytes;
    }
    let counts = harness.run_all_json(JOB, &json!({})).await.unwrap();
    assert_eq!(counts["logs/process_log"], 4);
    assert_eq!(harness.billed_bytes().await, bytes);
}

async fn a_copied_file_is_found_however_old_it_says_it_is(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.put("cdn", "new.gz", b"");
    harness.run_json(JOB, &of("cdn")).await.unwrap();
    harness.put("cdn", "old.gz", b"");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = std::fs::File::options().write(true).open(harness.path("cdn", "old.gz")).unwrap();
    file.set_modified(long_ago).unwrap();
    let done = harness.run_json(JOB, &of("cdn")).await.unwrap();
    let keys: Vec<Value> =
        done.follow_ups.iter().map(|task| payload_of(task)["key"].clone()).collect();
    assert_eq!(keys, ["new.gz", "old.gz"]);
}

async fn an_attempt_cut_before_it_settles_and_repeated_leaves_what_an_undisturbed_one_leaves(
    engine: EngineKind,
) {
    let undisturbed = {
        let harness = Harness::new(engine).await;
        harness.put("cdn", "a.gz", b"x");
        pin_times(&harness);
        harness.run_json(JOB, &of("cdn")).await.unwrap();
        harness.state().await
    };
    let harness = Harness::new(engine).await;
    harness.put("cdn", "a.gz", b"x");
    pin_times(&harness);
    let before = harness.state().await;
    drop(harness.attempt_json(JOB, &of("cdn"), Cut::Never).await.unwrap().unwrap());
    assert_eq!(harness.state().await, before);
    for _ in 0..2 {
        let done = harness.run_json(JOB, &of("cdn")).await.unwrap();
        assert_eq!(done.follow_ups.len(), 1);
        assert_eq!(harness.state().await, undisturbed);
    }
}

fn pin_times(harness: &Harness) {
    let file = std::fs::File::options().write(true).open(harness.path("cdn", "a.gz")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
}

/// Fault 20: a log source that fails stops no other.
async fn a_source_that_is_not_there_fails_alone(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    std::fs::remove_dir(harness.path("cdn", "")).unwrap();
    harness.put("fml", "fms_1.gz", b"");
    let done = harness.run_json(JOB, &json!({})).await.unwrap();
    let mut found = 0;
    for task in &done.follow_ups {
        match harness.run_json(JOB, &payload_of(task)).await {
            Ok(done) => found += done.follow_ups.len(),
            Err(error) => assert!(error.chain().contains("does not exist"), "{error}"),
        }
    }
    assert_eq!(found, 1);
    let error = harness.run_json(JOB, &of("fmll")).await.unwrap_err().chain();
    assert_eq!(error, "there is no log source `fmll`; did you mean `fml`?");
}

/// Fault 14: nothing is passed over in silence.
async fn what_cannot_be_an_object_is_told_by_name(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    let heard = Heard::from_now();
    harness.put("cdn", "a.gz", b"");
    harness.run_json(JOB, &of("cdn")).await.unwrap();
    assert_eq!(heard.take(), [""; 0]);

    for name in [&b"b\xff.gz"[..], b"c\nd.gz"] {
        std::fs::write(harness.path("cdn", "").join(OsStr::from_bytes(name)), b"").unwrap();
    }
    std::os::unix::fs::symlink("nowhere", harness.path("cdn", "e.gz")).unwrap();
    let done = harness.run_json(JOB, &of("cdn")).await.unwrap();
    assert_eq!((&done.result["listed"], &done.result["skipped"]), (&json!(1), &json!(3)));
    let [line] = heard.take().try_into().unwrap();
    assert!(line.contains("log_source=cdn count=3 names=b\\xff.gz, c\\nd.gz, e.gz"), "{line}");

    for number in 0..20 {
        let name = format!("f{number:02}.gz");
        std::os::unix::fs::symlink("nowhere", harness.path("cdn", &name)).unwrap();
    }
    harness.run_json(JOB, &of("cdn")).await.unwrap();
    let [line] = heard.take().try_into().unwrap();
    assert!(line.contains("count=23") && line.contains("f06.gz"), "{line}");
    assert!(!line.contains("f07.gz"), "{line}");
}

testkit::on_each_engine!(
    all_four_kinds_of_logs_become_usage_of_accounts,
    asks_for_each_source_and_for_each_file_once_at_a_time,
    a_file_that_failed_for_good_is_asked_for_again_after_six_hours,
    a_long_listing_goes_on_in_a_follow_up,
    logs_are_found_wherever_the_cdn_puts_them,
    a_copied_file_is_found_however_old_it_says_it_is,
    an_attempt_cut_before_it_settles_and_repeated_leaves_what_an_undisturbed_one_leaves,
    a_source_that_is_not_there_fails_alone,
    what_cannot_be_an_object_is_told_by_name,
);
