//! The worker.toml that is shipped fits the jobs.

use database::EngineKind;
use manifest::Manifest;
use serde_json::json;

use crate::harness::Harness;

const SHIPPED: &str = include_str!("../../../worker.toml");

#[tokio::test]
async fn every_job_has_a_row_with_settings_that_it_takes() {
    let harness = Harness::with(EngineKind::Sqlite, |_| SHIPPED.to_owned()).await;
    let done = harness.run_json("logs/discover_logs", &json!({})).await.unwrap();
    assert_eq!(done.result, json!({ "logSources": [] }));
}

#[test]
fn every_follow_up_may_be_asked_for() {
    let manifest = Manifest::parse(SHIPPED, &contract::contract().names()).unwrap();
    let main_worker = "main_worker".parse().unwrap();
    for job in ["logs/discover_logs", "logs/process_log", "usage/roll_up_usage"] {
        assert!(manifest.allows(&main_worker, &job.parse().unwrap()), "{job}");
    }
}

/// A harness with these settings of `logs/process_log`.
async fn with_settings(settings: &str) -> Harness {
    let row = format!("[jobs.\"logs/process_log\"]\nsettings = {{ {settings} }}\n");
    Harness::with(EngineKind::Sqlite, |_| row).await
}

#[tokio::test]
async fn takes_the_settings_of_lines() {
    let lines = "reserved_instances = [\"20C45E\"], wpc_counted_above_bytes = 1_000, \
                 fms_bytes_column = \"sc-bytes\"";
    with_settings(&format!("lines = {{ {lines} }}")).await;
}

#[tokio::test]
#[should_panic(expected = "unknown field `max_object_byte`")]
async fn refuses_a_misspelt_setting() {
    with_settings("max_object_byte = 1").await;
}
