//! The worker.toml that is shipped fits the jobs.

use std::collections::BTreeSet;

use database::EngineKind;
use manifest::{Manifest, Schedule};
use serde_json::json;
use values::{Source, Span, Timestamp};

use crate::harness::Harness;

const SHIPPED: &str = include_str!("../../../worker.toml");

#[tokio::test]
async fn every_job_has_a_row_with_settings_that_it_takes() {
    let harness = Harness::with(EngineKind::Sqlite, |_| SHIPPED.to_owned()).await;
    let done = harness.run_json("logs/discover_logs", &json!({})).await.unwrap();
    assert_eq!(done.result, json!({ "logSources": [] }));
}

/// Every job, who may ask for it beside the operator, and how often a week the clock does.
const ASKED_FOR: &[(&str, &[&str], usize)] = &[
    ("accounts/lift_throttle", &["main_worker"], 0),
    ("accounts/sync_marketplace_details", &["api"], 0),
    ("archival/announce_recording", &["main_worker"], 0),
    ("archival/archive_recording", &["media_host"], 0),
    ("archival/delete_recording", &["api", "dashboard"], 0),
    ("archival/reconcile_recordings", &["main_worker", "scheduler"], WEEKLY),
    ("billing/apply_gateway_event", &["webhook"], 0),
    ("billing/close_month", &["main_worker", "scheduler"], DAILY),
    ("billing/collect_open_months", &["api"], 0),
    ("billing/invoice_account", &["main_worker"], 0),
    ("billing/issue_credit_note", &[], 0),
    ("billing/record_fee", &[], 0),
    ("billing/record_payment", &[], 0),
    ("billing/refund_payment", &[], 0),
    ("billing/send_invoice", &["main_worker"], 0),
    ("billing/waive_month", &[], 0),
    ("billing/write_off_invoice", &[], 0),
    ("emails/apply_bounce", &["webhook"], 0),
    ("emails/check_in_new_accounts", &["scheduler"], DAILY),
    ("emails/collect_waiting", &["main_worker", "scheduler"], HOURLY * 12),
    ("emails/deliver_email", &["main_worker"], 0),
    ("emails/password_reset", &["api"], 0),
    ("emails/remind_expiring_cards", &["scheduler"], DAILY),
    // Alerts every five minutes, and the digest once a day.
    ("emails/report_events", &["scheduler"], HOURLY * 12 + DAILY),
    ("emails/welcome_account", &["api"], 0),
    ("logs/discover_logs", &["main_worker", "scheduler"], HOURLY),
    ("logs/process_log", &["main_worker"], 0),
    ("monitoring/check_queues", &["scheduler"], HOURLY * 6),
    ("monitoring/prune_history", &["scheduler"], DAILY),
    ("monitoring/report_environment", &["api", "dashboard", "scheduler"], 0),
    ("usage/enforce_limits", &["main_worker"], 0),
    ("usage/record_peer_events", &["api", "webhook"], 0),
    ("usage/roll_up_usage", &["main_worker", "scheduler"], HOURLY),
];
const WEEKLY: usize = 1;
const DAILY: usize = 7;
const HOURLY: usize = 7 * 24;

/// Fault 21: each job has its own list of who may ask for it.
#[test]
fn each_job_is_asked_for_by_whom_and_when_it_is_meant_to_be() {
    let manifest = Manifest::parse(SHIPPED, &contract::contract().names()).unwrap();
    let listed: Vec<&str> = ASKED_FOR.iter().map(|(job, _, _)| *job).collect();
    assert_eq!(listed, contract::contract().names());
    for (job, sources, per_week) in ASKED_FOR {
        let name = job.parse().unwrap();
        let may_ask = manifest.sources.keys().filter(|source| manifest.allows(source, &name));
        let may_ask: BTreeSet<&str> = may_ask.map(Source::as_str).collect();
        let expected: BTreeSet<&str> = sources.iter().chain(["operator"].iter()).copied().collect();
        assert_eq!(may_ask, expected, "{job}");
        let schedules = manifest.schedules.values().filter(|schedule| schedule.job == name);
        let ticks: usize = schedules.map(ticks_of_a_week).sum();
        assert_eq!(ticks, *per_week, "{job}");
    }
}

/// How often a schedule ticks in a week of no summer time's beginning or end.
fn ticks_of_a_week(schedule: &Schedule) -> usize {
    assert_eq!(schedule.source.as_str(), "scheduler", "{}", schedule.name);
    let from: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    // A tick at the very start counts.
    let first = from.before(Span::from_seconds(1));
    let ticks =
        std::iter::successors(schedule.cron.next_after(first), |at| schedule.cron.next_after(*at));
    ticks.take_while(|at| *at < from.after(Span::from_days(7))).count()
}

/// Fault 20: however much of one job waits or hangs, there is room for every other.
#[test]
fn no_job_keeps_another_one_waiting() {
    let manifest = Manifest::parse(SHIPPED, &contract::contract().names()).unwrap();
    // Short, and asked for one at a time by people and programs.
    let unlimited = manifest.jobs.iter().filter(|(_, row)| row.max_concurrency.is_none());
    let unlimited: Vec<&str> = unlimited.map(|(job, _)| job.as_str()).collect();
    assert_eq!(
        unlimited,
        [
            "accounts/lift_throttle",
            "billing/issue_credit_note",
            "billing/record_fee",
            "billing/record_payment",
            "billing/waive_month",
            "billing/write_off_invoice",
            "emails/apply_bounce",
            "emails/password_reset",
            "emails/welcome_account",
            "monitoring/report_environment",
        ]
    );
    let taken: u32 = manifest.jobs.values().filter_map(|row| row.max_concurrency).sum();
    assert!(taken + 8 < manifest.worker.concurrency, "{taken} of them at once");
}

#[test]
fn what_the_clock_asks_for_is_what_the_job_takes() {
    let contract = contract::contract();
    let manifest = Manifest::parse(SHIPPED, &contract.names()).unwrap();
    for schedule in manifest.schedules.values() {
        let payload = serde_json::to_string(&schedule.payload).unwrap();
        let job = contract.get(schedule.job.as_str()).unwrap();
        job.check(&payload).unwrap_or_else(|error| panic!("{}: {error}", schedule.name));
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

#[tokio::test]
#[should_panic(expected = "`incoming` needs a `work_folder`")]
async fn refuses_incoming_files_without_a_folder_to_fetch_them_into() {
    let lines = "[domains.archival]\nstore = '/a'\nincoming = '/b'\n";
    Harness::with(EngineKind::Sqlite, |_| lines.to_owned()).await;
}

#[tokio::test]
#[should_panic(expected = "`incoming` is the `store` itself")]
async fn refuses_to_take_files_out_of_the_store() {
    let lines = "[domains.archival]\nstore = '/a'\nincoming = '/a'\nwork_folder = '/b'\n";
    Harness::with(EngineKind::Sqlite, |_| lines.to_owned()).await;
}
