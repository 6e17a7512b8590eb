//! The log ledger, and what completing a file does to usage.

use database::{DbError, EngineKind, Query};
use models::ledger::{self, Discovered, LedgerCounts, LogMarker, MAX_PROBLEM_BYTES};
use models::{FileOutcome, LogState, UsageRow, usage as sums};
use values::UsageKind;

use crate::support::{Store, at, file_id, month, now, stream_id, totals, usage};

const HLS: UsageKind = UsageKind::Hls;

async fn number(store: &Store, sql: &'static str) -> i64 {
    store.db.first(Query::new(sql)).await.unwrap().unwrap().get(0).unwrap()
}

async fn bytes(store: &Store, stream: u128, of: &str) -> u64 {
    let found = sums::stream_month(&store.db, stream_id(stream), month(of)).await;
    found.unwrap().total_bytes
}

/// Fault 12: a row in the ledger is no reason to leave a file unread, unless it is complete.
async fn only_complete_files_need_no_work(engine: EngineKind) {
    let store = Store::new(engine).await;
    let keys: Vec<String> = (1..=300).map(|n| format!("file-{n}")).collect();
    let found: Vec<Discovered> = keys
        .iter()
        .map(|key| Discovered {
            id: file_id(key),
            log_source: "cdn".to_owned(),
            key: key.clone(),
            size_bytes: 10,
        })
        .collect();
    let mut work = store.begin().await;
    let mut tx = work.tx();
    assert_eq!(ledger::record_discovered(&mut tx, &found, now()).await.unwrap(), 300);
    assert_eq!(ledger::record_discovered(&mut tx, &found, now()).await.unwrap(), 0);
    work.commit().await.unwrap();
    store.complete("file-7", &[]).await.unwrap();
    let mut work = store.begin().await;
    assert!(ledger::fail_file(&mut work.tx(), file_id("file-8"), "cut off").await.unwrap());
    work.commit().await.unwrap();

    let open = ledger::unprocessed(&store.db, "cdn", &keys).await.unwrap();
    assert_eq!(open.len(), 299);
    assert!(!open.contains(&"file-7".to_owned()) && open.contains(&"file-8".to_owned()));
    assert_eq!(ledger::unprocessed(&store.db, "other", &keys).await.unwrap(), keys);
    let counts = LedgerCounts { discovered: 298, complete: 1, failed: 1 };
    assert_eq!(ledger::counts(&store.db).await.unwrap(), counts);
    let failed = ledger::get(&store.db, "cdn", "file-8").await.unwrap().unwrap();
    assert_eq!((failed.state, failed.error.as_deref()), (LogState::Failed, Some("cut off")));
}

async fn completing_twice_leaves_the_same_state(engine: EngineKind) {
    let store = Store::new(engine).await;
    let rows = [
        usage(1, "2026-10-31T23:59:59Z", HLS, 100),
        usage(1, "2026-10-31T23:10:00Z", HLS, 50),
        usage(1, "2026-11-01T00:00:00Z", HLS, 7),
        usage(1, "2026-10-31T23:00:00Z", UsageKind::Vod, 1),
    ];
    let first = store.complete("a", &rows).await.unwrap();
    assert_eq!((first.before, first.after, first.changed), (0, 3, true));
    store.roll_up(None, 10).await;
    let again = store.complete("a", &rows).await.unwrap();
    assert_eq!((again.before, again.after, again.changed), (3, 3, false));
    assert_eq!(number(&store, "SELECT count(*) FROM usage_dirty").await, 0);
    assert_eq!((bytes(&store, 1, "2026-10").await, bytes(&store, 1, "2026-11").await), (151, 7));
    let file = ledger::get(&store.db, "cdn", "a").await.unwrap().unwrap();
    assert_eq!((file.state, file.attempts, file.bytes), (LogState::Complete, 2, Some(158)));
}

async fn a_new_outcome_replaces_the_old_one_and_only_it(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.complete("a", &[usage(1, "2026-10-05T10:00:00Z", HLS, 100)]).await.unwrap();
    store.complete("b", &[usage(1, "2026-10-05T10:00:00Z", HLS, 11)]).await.unwrap();
    assert_eq!(bytes(&store, 1, "2026-10").await, 111);
    store.complete("a", &[usage(2, "2026-10-05T10:00:00Z", HLS, 40)]).await.unwrap();
    assert_eq!((bytes(&store, 1, "2026-10").await, bytes(&store, 2, "2026-10").await), (11, 40));
    store.complete("a", &[]).await.unwrap();
    assert_eq!(number(&store, "SELECT count(*) FROM usage_hour").await, 1);
    let left = "SELECT count(*) FROM usage_stream_month";
    assert_eq!(number(&store, left).await, 1, "no row of zeros stays behind");
}

async fn a_part_that_falls_while_another_rises_is_counted_right(engine: EngineKind) {
    let store = Store::new(engine).await;
    let row = |bytes, lines| UsageRow { lines, ..usage(1, "2026-10-05T10:00:00Z", HLS, bytes) };
    store.complete("a", &[row(100, 9)]).await.unwrap();
    store.complete("b", &[row(1_000, 1)]).await.unwrap();
    store.complete("a", &[row(200, 2)]).await.unwrap();
    let sum = sums::stream_month(&store.db, stream_id(1), month("2026-10")).await.unwrap();
    assert_eq!((sum.total_bytes, sum.lines), (1_200, 3));
}

async fn nothing_of_a_refused_completion_is_stored(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.complete("a", &[usage(1, "2026-10-05T10:00:00Z", HLS, 5)]).await.unwrap();
    let huge = u64::try_from(i64::MAX).unwrap();
    let rows = [usage(1, "2026-10-05T10:00:00Z", HLS, huge - 2)];
    let expected = format!(
        "the usage of {} in 2026-10 would sum to more than 2^63 - 1; correct this file, or those \
         that bring the month so near to it",
        stream_id(1)
    );
    let error = sums::check(&store.db, file_id("b"), &rows).await.unwrap_err();
    assert_eq!(error.to_string(), expected);
    // Beside what fits, so that the rows that are left as they are have to be counted.
    let both = [usage(2, "2026-10-05T10:00:00Z", HLS, 1), rows[0]];
    let error = store.complete("b", &both).await.unwrap_err();
    assert!(matches!(error, DbError::Refused(_)), "the sum of both: {error:?}");
    assert_eq!(error.to_string(), expected);
    assert_eq!(bytes(&store, 2, "2026-10").await, 0);
    let fits = [usage(1, "2026-10-05T10:00:00Z", HLS, huge - 5)];
    sums::check(&store.db, file_id("b"), &fits).await.unwrap();
    sums::check(&store.db, file_id("a"), &[usage(1, "2026-10-05T10:00:00Z", HLS, huge)])
        .await
        .expect("it replaces what the file had");
    let rows = [usage(1, "2026-10-05T10:00:00Z", HLS, huge), rows[0]];
    let error = models_error(&store, &rows).await;
    assert!(error.contains("more than 2^63 - 1"), "{error}");
    let error = models_error(&store, &[usage(1, "2026-10-05T10:00:00Z", HLS, huge + 1)]).await;
    assert!(error.contains("more than a table can hold"), "{error}");
    assert_eq!(bytes(&store, 1, "2026-10").await, 5);
    assert_eq!(number(&store, "SELECT count(*) FROM usage_hour").await, 1);
    let file = ledger::get(&store.db, "cdn", "b").await.unwrap().unwrap();
    assert_eq!(file.state, LogState::Discovered);
}

async fn models_error(store: &Store, rows: &[UsageRow]) -> String {
    let outcome = FileOutcome::new(totals(1, 1, 1), &(), &[(); 0]);
    let mut work = store.begin().await;
    let done = ledger::complete_file(&mut work.tx(), file_id("b"), &outcome, rows, now()).await;
    work.rollback().await.unwrap();
    done.unwrap_err().to_string()
}

async fn a_file_must_be_begun_before_it_is_complete(engine: EngineKind) {
    let store = Store::new(engine).await;
    let error = models_error(&store, &[]).await;
    assert!(error.contains("begin it first"), "{error}");
}

async fn a_failed_repeat_leaves_a_complete_file_alone(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.complete("a", &[usage(1, "2026-10-05T10:00:00Z", HLS, 5)]).await.unwrap();
    let mut work = store.begin().await;
    let mut tx = work.tx();
    let file = ledger::begin_file(&mut tx, "cdn", "a", file_id("other"), now()).await.unwrap();
    assert_eq!((file.id, file.state, file.attempts), (file_id("a"), LogState::Complete, 2));
    assert!(!ledger::fail_file(&mut tx, file.id, "bucket gone").await.unwrap());
    work.commit().await.unwrap();
    assert_eq!(bytes(&store, 1, "2026-10").await, 5);
}

async fn keeps_as_many_line_problems_as_fit(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.complete("a", &[]).await.unwrap();
    let problems = vec!["x".repeat(1_000); 1_000];
    let outcome =
        FileOutcome::new(totals(9, 8, 7), &serde_json::json!({ "malformed": 8 }), &problems);
    let mut work = store.begin().await;
    let mut tx = work.tx();
    ledger::complete_file(&mut tx, file_id("a"), &outcome, &[], now()).await.unwrap();
    work.commit().await.unwrap();
    let file = ledger::get(&store.db, "cdn", "a").await.unwrap().unwrap();
    assert_eq!((file.size_bytes, file.lines, file.bytes), (Some(9), Some(8), Some(7)));
    assert_eq!(file.line_counts.as_deref(), Some(r#"{"malformed":8}"#));
    let text = file.problems.unwrap();
    assert!(text.len() <= MAX_PROBLEM_BYTES, "{}", text.len());
    let kept: Vec<String> = serde_json::from_str(&text).unwrap();
    assert_eq!(kept.len(), (MAX_PROBLEM_BYTES - 2) / 1_003);
}

async fn remembers_how_far_a_source_was_listed(engine: EngineKind) {
    let store = Store::new(engine).await;
    assert_eq!(ledger::marker(&store.db, "cdn").await.unwrap(), None);
    for day in ["2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z"] {
        let marker = LogMarker {
            log_source: "cdn".to_owned(),
            listed_until_key: Some(format!("hls/{day}")),
            listed_until: at(day),
        };
        let mut work = store.begin().await;
        ledger::set_marker(&mut work.tx(), &marker, now()).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(ledger::marker(&store.db, "cdn").await.unwrap(), Some(marker));
    }
}

testkit::on_each_engine!(
    only_complete_files_need_no_work,
    completing_twice_leaves_the_same_state,
    a_new_outcome_replaces_the_old_one_and_only_it,
    a_part_that_falls_while_another_rises_is_counted_right,
    nothing_of_a_refused_completion_is_stored,
    a_file_must_be_begun_before_it_is_complete,
    a_failed_repeat_leaves_a_complete_file_alone,
    keeps_as_many_line_problems_as_fit,
    remembers_how_far_a_source_was_listed,
);
