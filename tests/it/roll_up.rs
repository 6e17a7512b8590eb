//! What a roll-up costs follows what changed, not what is stored.

use main_worker::bench::{RollUpReport, Scratch, roll_up_after_a_file};
use main_worker::settings::Settings;

use crate::cli_shell::Shell;

/// A hundredth of the rows that docs/benchmarks.md has figures for.
const MANY: u64 = 500_000;
const FEW: u64 = 5_000;
const STREAMS: u32 = 2_000;

async fn measure(rows: u64) -> RollUpReport {
    let scratch = Scratch::new(None, &Settings::default()).await.unwrap();
    roll_up_after_a_file(&scratch, rows, STREAMS).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_up_after_one_file_costs_the_same_on_a_hundred_times_the_rows() {
    let (few, many) = (measure(FEW).await, measure(MANY).await);
    assert_eq!((few.usage_rows, many.usage_rows), (FEW, MANY));
    assert_eq!(few.summed_per_roll_up, many.summed_per_roll_up);
    // The quickest of each: whatever else the machine does only adds to a time.
    let (few, many) = (few.roll_up_min_us, many.roll_up_min_us);
    assert!(many < 5 * few, "{many} µs on {MANY} rows, {few} µs on {FEW}");
}

#[test]
fn limits_are_checked_on_what_the_clock_had_summed() {
    let shell = Shell::new();
    for (source, checks) in [("operator", 0), ("scheduler", 1)] {
        shell.enqueue(&["usage/roll_up_usage", "{}", "--source", source]);
        shell.ok(&["work", "--until-empty", "--no-schedules"]);
        let done = shell.ok(&["tasks", "list", "--state", "completed"]);
        assert_eq!(done.matches("usage/enforce_limits").count(), checks, "{done}");
    }
}

#[tokio::test]
async fn a_publish_check_is_measured() {
    let scratch = Scratch::new(None, &Settings::default()).await.unwrap();
    let report = main_worker::bench::publish_checks(&scratch, 100).await.unwrap();
    assert_eq!(report.requests, 100);
    assert!(report.answer_p50_us > 0 && report.answer_p50_us <= report.answer_max_us);
}

/// Fault 27: usage lies in its month of UTC, whatever hour it is where the worker stands.
#[test]
fn months_are_those_of_utc_wherever_the_worker_stands() {
    let rows = [
        r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"A","billingProvider":"cine.io"}"#,
        r#"{"kind":"project","id":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"P","publicKey":"18b191b6"}"#,
        r#"{"kind":"stream","id":"strm_01jd0c4x5ve4zrh1k5yq4q8g7m","projectId":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"cam"}"#,
    ];
    let log = "#Fields: date time sc-bytes cs-uri-stem\n\
        2014-10-31\t23:59:59\t700\t/hls/cam-1791194400000.ts\n\
        2014-11-01\t00:00:00\t4\t/hls/cam-1791194400000.ts\n";
    for zone in ["UTC", "Pacific/Kiritimati", "America/St_Johns"] {
        let cdn = "[domains.logs.log_sources.cdn]\nformat = \"cloudfront\"\nlocation = \"logs\"\n";
        let mut shell = Shell::with_manifest(cdn);
        shell.set("TZ", zone);
        shell.write("all.jsonl", rows.join("\n").as_bytes());
        shell.write("logs/a.log", log.as_bytes());
        shell.ok(&["import", "all.jsonl"]);
        shell.enqueue(&["logs/discover_logs"]);
        shell.ok(&["work", "--until-empty", "--no-schedules"]);
        let usage = shell.ok(&["export", "usage"]);
        let months: Vec<(String, u64)> = usage
            .lines()
            .map(|line| {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                let month = row["month"].as_str().unwrap().to_owned();
                (month, row["bandwidthBytes"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(months, [("2014-10".to_owned(), 700), ("2014-11".to_owned(), 4)], "{zone}");
    }
}
