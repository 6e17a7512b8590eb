//! The acceptance cases of edge logs through the whole job: files, ledger, usage.

use std::collections::BTreeMap;

use database::EngineKind;
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::logs::gzip;

const CASES: &str = include_str!("../../../shared/edge_logs/tests/cases/logs.json");
const JOB: &str = "logs/process_log";

async fn harness(engine: EngineKind, config: &Value) -> Harness {
    let reserved = &config["reservedInstances"];
    let threshold = &config["wpcCountedAboveBytes"];
    Harness::with(engine, |folder| {
        format!(
            "[domains.logs.log_sources]\n\
             cdn = {{ format = \"cloudfront\", location = '{0}/cdn' }}\n\
             fml = {{ format = \"edgecast\", location = '{0}/fml' }}\n\
             [jobs.\"logs/process_log\"]\n\
             settings.lines = {{ reserved_instances = {reserved}, \
             wpc_counted_above_bytes = {threshold} }}\n",
            folder.display()
        )
    })
    .await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn every_case_passes_from_file_to_usage(engine: EngineKind) {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let list = cases["cases"].as_array().unwrap();
    assert!(list.len() >= 23);
    for case in list {
        check(&harness(engine, &cases["config"]).await, case).await;
    }
}

async fn check(harness: &Harness, case: &Value) {
    let id = text(&case["id"]);
    let streams: Vec<(&str, &str)> = case["knownStreams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| (text(&stream["streamName"]), text(&stream["instanceName"])))
        .collect();
    harness.customer_on(1, &streams).await;
    let lines: Vec<&str> = case["lines"].as_array().unwrap().iter().map(text).collect();
    let separator = text(&case["lineSeparator"]);
    let body = gzip((lines.join(separator) + separator).as_bytes());
    let source = if text(&case["format"]).starts_with("cloudfront") { "cdn" } else { "fml" };
    let key = text(&case["file"]);
    harness.put(source, key, &body);
    let file = json!({ "logSource": source, "key": key });
    prepare_ledger(harness, source, key, case["ledgerBefore"].as_str()).await;

    for offered in 0..case["timesOffered"].as_u64().unwrap_or(1) {
        let done = harness.run_json(JOB, &file.clone()).await.unwrap();
        let is_skipped = case["expect"]["fileStatus"] == "skipped_already_parsed" || offered > 0;
        assert_eq!(
            done.result.get("skipped") == Some(&json!("already_complete")),
            is_skipped,
            "{id}"
        );
    }
    harness.run_json("usage/roll_up_usage", &json!({})).await.unwrap();
    check_ledger(harness, case).await;
    check_totals(harness, case).await;
}

async fn prepare_ledger(harness: &Harness, source: &str, key: &str, state: Option<&str>) {
    let Some(state) = state else { return };
    let now = crate::harness::now();
    let id = values::LogFileId::from_bytes([7; 16]);
    let mut work = harness.db.begin().await.unwrap();
    let mut tx = work.tx();
    models::ledger::begin_file(&mut tx, source, key, id, now).await.unwrap();
    if state == "complete" {
        let totals = models::ledger::FileTotals { size_bytes: 1, lines: 0, bytes: 0 };
        let outcome = models::FileOutcome::new(totals, &json!({}), &Vec::<Value>::new());
        models::ledger::complete_file(&mut tx, id, &outcome, &[], now).await.unwrap();
    }
    work.commit().await.unwrap();
}

async fn check_ledger(harness: &Harness, case: &Value) {
    let id = text(&case["id"]);
    let sql = "SELECT state, coalesce(line_counts, '{}'), coalesce(problems, '[]') FROM log_file";
    let rows = harness.db.all(database::Query::new(sql)).await.unwrap();
    assert_eq!(rows.len(), 1, "{id}");
    assert_eq!(rows[0].get::<String>(0).unwrap(), "complete", "{id}");
    if case["ledgerBefore"] == "complete" {
        return;
    }
    let counts: Value = serde_json::from_str(&rows[0].get::<String>(1).unwrap()).unwrap();
    let problems: Value = serde_json::from_str(&rows[0].get::<String>(2).unwrap()).unwrap();
    let expect = &case["expect"];
    let lines = |value: &Value| -> Vec<(u64, String)> {
        let of = |row: &Value| (row["line"].as_u64().unwrap(), text(&row["reason"]).to_owned());
        value.as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(lines(&problems), lines(&expect["errors"]), "{id}: errors");
    assert_eq!(counts["counted"], expect["entries"].as_array().unwrap().len(), "{id}: counted");
    let is_clean = problems.as_array().unwrap().is_empty();
    assert_eq!(is_clean, expect["fileStatus"] == "complete", "{id}: status");
}

async fn check_totals(harness: &Harness, case: &Value) {
    let id = text(&case["id"]);
    let sql = "SELECT s.name, CAST(sum(u.bytes) AS BIGINT) FROM usage_hour u JOIN stream s ON s.id = u.stream_id
                 GROUP BY s.name";
    let rows = harness.db.all(database::Query::new(sql)).await.unwrap();
    let totals: BTreeMap<String, i64> =
        rows.iter().map(|row| (row.get(0).unwrap(), row.get(1).unwrap())).collect();
    let expected = &case["expect"]["totalBytesByStream"];
    let expected: BTreeMap<String, i64> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(harness.billed_bytes().await, expected.values().sum::<i64>(), "{id}: billed");
    assert_eq!(totals, expected, "{id}: totals");
}

testkit::on_each_engine!(every_case_passes_from_file_to_usage,);
