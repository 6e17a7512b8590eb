//! `usage/record_peer_events` and what `usage/roll_up_usage` makes of it and of recordings.

use database::{EngineKind, Query};
use models::recordings::{Recording, adopt, delete};
use serde_json::{Value, json};
use testkit::Cut;
use values::{ProjectId, RecordingId, StreamId, Timestamp};

use crate::harness::Harness;

const JOB: &str = "usage/record_peer_events";
const ROLL_UP: &str = "usage/roll_up_usage";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn project(number: u8) -> ProjectId {
    let mut bytes = [0; 16];
    (bytes[0], bytes[1]) = (2, number);
    ProjectId::from_bytes(bytes)
}

fn stream(number: u8) -> StreamId {
    let mut bytes = [0; 16];
    (bytes[0], bytes[1]) = (3, number);
    StreamId::from_bytes(bytes)
}

fn event(id: &str, project: ProjectId, at: &str, milliseconds: u64) -> Value {
    json!({ "id": id, "projectId": project, "at": at, "talkTimeInMilliseconds": milliseconds })
}

/// Month by month: bytes stored and milliseconds talked, of all accounts.
async fn months(harness: &Harness) -> Vec<(String, i64, i64)> {
    let query = Query::new(
        "SELECT month, CAST(sum(storage_bytes) AS BIGINT), CAST(sum(peer_milliseconds) AS BIGINT)
           FROM usage_account_month GROUP BY month ORDER BY month",
    );
    let rows = harness.db.all(query).await.unwrap();
    let read = |row: &database::Row| {
        let month: values::Month = row.get(0).unwrap();
        (month.to_string(), row.get(1).unwrap(), row.get(2).unwrap())
    };
    rows.iter().map(read).collect()
}

async fn counts_each_event_once_and_leaves_out_what_cannot_be(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &["alpha"]).await;
    let (ours, nobody) = (project(1), ProjectId::from_bytes([9; 16]));
    let now = "2026-11-01T12:00:00Z";
    let events = json!({ "events": [
        event("a", ours, now, 2_000),
        event("b", ours, now, 6_000),
        event("a", ours, now, 2_000),
        event("c", nobody, now, 5),
        event("d", ours, "2026-10-31T23:59:59Z", 5),
        event("e", ours, "2026-11-01T14:00:00Z", 5),
        event("f", ours, now, u64::MAX),
        event("", ours, now, 5),
    ]});
    let refused = json!([
        { "id": "c", "reason": "unknown_project" },
        { "id": "d", "reason": "before_account" },
        { "id": "e", "reason": "in_the_future" },
        { "id": "f", "reason": "absurd_time" },
        { "id": "", "reason": "id_length" },
    ]);
    let done = harness.run_json(JOB, &events).await.unwrap();
    assert_eq!(done.result, json!({ "counted": 2, "repeated": 1, "refused": refused }));
    assert_eq!(done.follow_ups.len(), 1);
    let done = harness.run_json(JOB, &events).await.unwrap();
    assert_eq!(done.result, json!({ "counted": 0, "repeated": 3, "refused": refused }));
    harness.run_json(ROLL_UP, &json!({})).await.unwrap();
    assert_eq!(months(&harness).await, [("2026-11".to_owned(), 0, 8_000)]);
    let many: Vec<Value> = (0..501).map(|n| event(&n.to_string(), ours, now, 1)).collect();
    let error = harness.run_json(JOB, &json!({ "events": many })).await.unwrap_err();
    assert!(error.to_string().contains("501 events"), "{error}");
}

async fn an_attempt_cut_anywhere_and_repeated_counts_once(engine: EngineKind) {
    for cut in [Cut::DiesAt(1), Cut::DiesAt(2), Cut::CancelledAt(1), Cut::Never] {
        let harness = Harness::new(engine).await;
        harness.customer(1, &["alpha"]).await;
        let events = json!({ "events": [event("a", project(1), "2026-11-01T12:00:00Z", 2_000)] });
        drop(harness.attempt_json(JOB, &events, cut).await);
        let (one, other) =
            tokio::join!(harness.run_json(JOB, &events), harness.run_json(JOB, &events));
        assert!(one.is_ok() && other.is_ok());
        harness.run_json(ROLL_UP, &json!({})).await.unwrap();
        assert_eq!(months(&harness).await, [("2026-11".to_owned(), 0, 2_000)], "{cut:?}");
    }
}

async fn what_is_stored_counts_each_month_until_the_month_of_its_deletion(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &["alpha"]).await;
    harness.clock.set(at("2026-11-05T00:00:00Z"));
    let recording = |number: u8, size| Recording {
        id: RecordingId::from_bytes([number; 16]),
        stream_id: stream(1),
        project_id: project(1),
        name: format!("{number}.mp4"),
        object_key: format!("alpha/{number}.mp4"),
        poster_key: None,
        source_sha256: None,
        size_bytes: Some(size),
        duration_ms: None,
        recorded_at: None,
        reserved_at: at("2026-11-05T00:00:00Z"),
        catalogued_at: Some(at("2026-11-05T00:00:00Z")),
        deleted_at: None,
    };
    harness.run_json(ROLL_UP, &json!({})).await.unwrap();
    let mut work = harness.db.begin().await.unwrap();
    for one in [recording(1, 1_000), recording(2, 30)] {
        assert!(adopt(&mut work.tx(), &one).await.unwrap());
    }
    work.commit().await.unwrap();
    harness.run_json(ROLL_UP, &json!({})).await.unwrap();
    assert_eq!(months(&harness).await, [("2026-11".to_owned(), 1_030, 0)]);
    // A new month begins without any change; two months later one recording goes.
    harness.clock.set(at("2027-01-10T00:00:00Z"));
    harness.run_json(ROLL_UP, &json!({})).await.unwrap();
    let mut work = harness.db.begin().await.unwrap();
    delete(&mut work.tx(), RecordingId::from_bytes([1; 16]), at("2027-01-10T00:00:00Z"))
        .await
        .unwrap();
    work.commit().await.unwrap();
    harness.run_json(ROLL_UP, &json!({})).await.unwrap();
    let expected = [("2026-11", 1_030), ("2026-12", 1_030), ("2027-01", 30)];
    let expected: Vec<_> =
        expected.iter().map(|(month, bytes)| ((*month).to_owned(), *bytes, 0)).collect();
    assert_eq!(months(&harness).await, expected);
    assert_eq!(harness.number("SELECT count(*) FROM usage_dirty").await, 0);
}

/// Fault 18: the last instant of a month belongs to it, whoever measured it.
async fn months_end_where_the_next_begin(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &["alpha"]).await;
    harness.clock.set(at("2026-12-01T00:00:05Z"));
    let events = json!({ "events": [
        event("a", project(1), "2026-11-30T23:59:59.999Z", 2_000),
        event("b", project(1), "2026-12-01T00:00:00Z", 30),
    ]});
    harness.run_json(JOB, &events).await.unwrap();
    let log = "#Fields: date time sc-bytes cs-uri-stem\n\
        2026-11-30\t23:59:59\t700\t/hls/alpha-1791194400000.ts\n\
        2026-12-01\t00:00:00\t4\t/hls/alpha-1791194400000.ts\n";
    harness.put("cdn", "a.log", log.as_bytes());
    let file = json!({ "logSource": "cdn", "key": "a.log" });
    harness.run_json("logs/process_log", &file).await.unwrap();
    harness.run_json(ROLL_UP, &json!({})).await.unwrap();
    let query = Query::new(
        "SELECT month, bandwidth_bytes, peer_milliseconds FROM usage_account_month ORDER BY month",
    );
    let rows = harness.db.all(query).await.unwrap();
    let read = |row: &database::Row| {
        let month: values::Month = row.get(0).unwrap();
        (month.to_string(), row.get(1).unwrap(), row.get(2).unwrap())
    };
    let found: Vec<(String, i64, i64)> = rows.iter().map(read).collect();
    assert_eq!(found, [("2026-11".to_owned(), 700, 2_000), ("2026-12".to_owned(), 4, 30)]);
}

testkit::on_each_engine!(
    counts_each_event_once_and_leaves_out_what_cannot_be,
    an_attempt_cut_anywhere_and_repeated_counts_once,
    what_is_stored_counts_each_month_until_the_month_of_its_deletion,
    months_end_where_the_next_begin,
);
