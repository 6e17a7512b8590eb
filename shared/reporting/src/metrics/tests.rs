use std::collections::BTreeMap;
use std::thread;

use values::Span;

use super::*;

/// Types of families and values of samples, as read by [`parse`].
#[derive(Debug, Default)]
struct Parsed {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Parsed {
    fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    fn sum(&self, family: &str) -> f64 {
        let of_family = |(name, _): &(&String, &f64)| name.split('{').next() == Some(family);
        self.samples.iter().filter(of_family).map(|(_, value)| value).sum()
    }
}

/// Reads the text format strictly: HELP, then TYPE, then samples of that family and no other;
/// names and labels well formed; no sample twice; histograms complete and cumulative.
fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    assert!(text.ends_with('\n'));
    let mut helped = String::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.trim().is_empty(), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "TYPE follows its HELP");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(parsed.types.insert(name.into(), kind.into()).is_none(), "{name} twice");
            name.clone_into(&mut family);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            if !labels.is_empty() {
                check_labels(labels.strip_suffix('}').unwrap());
            }
            let base = match parsed.types[&family].as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix))
                    .unwrap(),
                _ => name,
            };
            assert_eq!(base, family, "{line}");
            assert!(parsed.samples.insert(series.into(), value.parse().unwrap()).is_none());
        }
    }
    check_histograms(&parsed);
    parsed
}

fn check_labels(labels: &str) {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').unwrap();
        assert!(is_name(name) && !name.is_empty(), "{labels}");
        let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        assert!(!value.is_empty() && !value.contains(['"', '\\', '\n']), "{labels}");
    }
}

fn check_histograms(parsed: &Parsed) {
    for (name, count) in &parsed.samples {
        let Some((family, labels)) = name.split_once("_count{") else {
            continue;
        };
        let labels = labels.strip_suffix('}').unwrap();
        let bucket =
            |end: &str| parsed.samples[&format!("{family}_bucket{{le=\"{end}\",{labels}}}")];
        let ends = BUCKETS_SECONDS.map(|end| format!("{end:?}"));
        let counts: Vec<f64> = ends.iter().map(|end| bucket(end)).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        assert!(counts.last().unwrap() <= count && bucket("+Inf").total_cmp(count).is_eq());
        assert!(parsed.samples.contains_key(&format!("{family}_sum{{{labels}}}")));
    }
}

fn job(name: &str) -> JobName {
    name.parse().unwrap()
}

fn metrics() -> Arc<Metrics> {
    Metrics::new(
        "0.1.0",
        MetricNames {
            jobs: vec![job("logs/process_log"), job("usage/roll_up_usage")],
            sources: vec!["api".parse().unwrap(), "scheduler".parse().unwrap()],
            schedules: vec!["close-month".to_owned()],
        },
    )
}

fn settle(metrics: &Metrics, name: &str, source: &str, outcome: TaskOutcome, millis: u64) {
    let (source, wait) = (source.parse().unwrap(), Duration::from_millis(3));
    metrics.task_settled(&job(name), &source, outcome, Duration::from_millis(millis), wait);
}

fn depth(name: &str, state: &'static str, tasks: u64, oldest: Option<u32>) -> QueueDepth {
    QueueDepth { job_name: job(name), state, tasks, oldest: oldest.map(Span::from_seconds) }
}

#[test]
fn an_idle_worker_shows_its_build_and_its_schedules() {
    let parsed = parse(&metrics().encode());
    let samples: Vec<_> = parsed.samples.into_iter().collect();
    assert_eq!(
        samples,
        [
            (r#"main_worker_build_info{version="0.1.0"}"#.to_owned(), 1.0),
            (r#"main_worker_ticks_total{schedule="close-month"}"#.to_owned(), 0.0),
        ]
    );
}

#[test]
fn every_family_has_its_type() {
    let metrics = metrics();
    settle(&metrics, "logs/process_log", "api", TaskOutcome::Cancelled, 1);
    drop(metrics.task_running(&job("logs/process_log")));
    metrics.rejected("bad_proof");
    metrics.store_failed("lease");
    metrics.set_queue(vec![depth("logs/process_log", "available", 1, Some(1))]);
    metrics.set_outbox(2, Span::from_minutes(1));
    metrics.over_quota(&"api".parse().unwrap());
    metrics.tick_failed("close-month");
    metrics.schedules_looked_at(Timestamp::EPOCH);
    metrics.set_conservation(Timestamp::EPOCH, [("logs/process_log", 0)].into_iter());
    let types = parse(&metrics.encode()).types;
    let types: Vec<_> = types.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    assert_eq!(
        types,
        [
            "main_worker_build_info gauge",
            "main_worker_conservation_difference_tasks gauge",
            "main_worker_conservation_success_timestamp_seconds gauge",
            "main_worker_outbox_depth gauge",
            "main_worker_outbox_oldest_seconds gauge",
            "main_worker_over_quota_total counter",
            "main_worker_queue_depth gauge",
            "main_worker_queue_oldest_seconds gauge",
            "main_worker_rejections_total counter",
            "main_worker_running gauge",
            "main_worker_schedules_success_timestamp_seconds gauge",
            "main_worker_store_errors_total counter",
            "main_worker_task_duration_seconds histogram",
            "main_worker_task_wait_seconds histogram",
            "main_worker_tasks_total counter",
            "main_worker_tick_failures_total counter",
            "main_worker_ticks_total counter",
        ]
    );
}

#[test]
fn counts_and_measures_what_was_settled() {
    let metrics = metrics();
    settle(&metrics, "logs/process_log", "api", TaskOutcome::Completed, 4);
    settle(&metrics, "logs/process_log", "api", TaskOutcome::Completed, 90_000);
    settle(&metrics, "logs/process_log", "scheduler", TaskOutcome::Retried, 4);
    let parsed = parse(&metrics.encode());
    let tasks = |source: &str, outcome: &str| {
        parsed.value(&format!(
            r#"main_worker_tasks_total{{job_name="logs/process_log",source="{source}",outcome="{outcome}"}}"#
        ))
    };
    assert_eq!(tasks("api", "completed"), Some(2.0));
    assert_eq!(tasks("scheduler", "retried"), Some(1.0));
    assert_eq!(tasks("api", "retried"), None);
    let duration =
        |sample: &str| parsed.value(&format!("main_worker_task_duration_seconds_{sample}"));
    assert_eq!(duration(r#"bucket{le="0.005",job_name="logs/process_log"}"#), Some(2.0));
    assert_eq!(duration(r#"bucket{le="120.0",job_name="logs/process_log"}"#), Some(3.0));
    assert!((parsed.sum("main_worker_task_duration_seconds_sum") - 90.008).abs() < 1e-9);
    assert!((parsed.sum("main_worker_task_wait_seconds_sum") - 0.009).abs() < 1e-9);
}

#[test]
fn names_nobody_registered_share_one_series() {
    let metrics = metrics();
    for n in 0..100 {
        settle(
            &metrics,
            &format!("made/up_{n}"),
            &format!("nobody_{n}"),
            TaskOutcome::Discarded,
            1,
        );
        metrics.ticked(&format!("made-up-{n}"));
        drop(metrics.task_running(&job(&format!("made/up_{n}"))));
    }
    metrics.set_queue(
        (0..100).map(|n| depth(&format!("made/up_{n}"), "available", 2, Some(n))).collect(),
    );
    let parsed = parse(&metrics.encode());
    let value = |sample: &str| parsed.value(&format!("main_worker_{sample}"));
    assert_eq!(
        value(r#"tasks_total{job_name="unknown",source="unknown",outcome="discarded"}"#),
        Some(100.0)
    );
    assert_eq!(value(r#"ticks_total{schedule="unknown"}"#), Some(100.0));
    assert_eq!(value(r#"queue_depth{job_name="unknown",state="available"}"#), Some(200.0));
    assert_eq!(value(r#"queue_oldest_seconds{job_name="unknown"}"#), Some(99.0));
    assert!(!metrics.encode().contains("made"));
}

#[test]
fn the_outbox_has_a_depth_and_an_age_once_it_was_measured() {
    let metrics = metrics();
    for (mails, oldest) in [(3, Span::from_seconds(90)), (0, Span::ZERO)] {
        metrics.set_outbox(mails, oldest);
        let parsed = parse(&metrics.encode());
        assert_eq!(parsed.sum("main_worker_outbox_depth").to_string(), mails.to_string());
        let age = parsed.value("main_worker_outbox_oldest_seconds");
        assert_eq!(age, Some(oldest.as_seconds_f64()));
    }
}

#[test]
fn a_new_snapshot_of_the_queue_replaces_the_old_one() {
    let metrics = metrics();
    let sample = r#"main_worker_queue_depth{job_name="usage/roll_up_usage",state="scheduled"}"#;
    metrics.set_queue(vec![
        depth("logs/process_log", "available", 7, Some(30)),
        depth("usage/roll_up_usage", "scheduled", 2, None),
    ]);
    let parsed = parse(&metrics.encode());
    assert_eq!(parsed.value(sample), Some(2.0));
    assert_eq!(parsed.sum("main_worker_queue_oldest_seconds").to_string(), "30");
    metrics.set_queue(vec![depth("logs/process_log", "available", 1, Some(1))]);
    let parsed = parse(&metrics.encode());
    assert_eq!(parsed.value(sample), None);
    assert_eq!(parsed.sum("main_worker_queue_depth").to_string(), "1");
}

#[test]
fn the_last_comparison_of_counts_and_rows_replaces_the_one_before() {
    let metrics = metrics();
    assert!(!metrics.encode().contains("conservation"), "nothing was compared yet");
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let rows = [("logs/process_log", 2), ("logs/process_log", 1), ("made/up", 4)];
    metrics.set_conservation(at(60), rows.into_iter());
    let of =
        |job: &str| format!(r#"main_worker_conservation_difference_tasks{{job_name="{job}"}}"#);
    let parsed = parse(&metrics.encode());
    assert_eq!(parsed.value(&of("logs/process_log")), Some(3.0));
    assert_eq!(parsed.value(&of("unknown")), Some(4.0));
    metrics.set_conservation(at(120), [("logs/process_log", 0)].into_iter());
    let parsed = parse(&metrics.encode());
    assert_eq!(parsed.value(&of("logs/process_log")), Some(0.0));
    assert_eq!(parsed.value(&of("unknown")), None);
    assert_eq!(parsed.value("main_worker_conservation_success_timestamp_seconds"), Some(120.0));
}

#[test]
fn running_goes_down_even_when_a_handler_panics() {
    let metrics = metrics();
    let sample = r#"main_worker_running{job_name="logs/process_log"}"#;
    let held = metrics.task_running(&job("logs/process_log"));
    let other = Arc::clone(&metrics);
    let panicked = thread::spawn(move || {
        let _running = other.task_running(&job("logs/process_log"));
        assert_eq!(parse(&other.encode()).value(sample), Some(2.0));
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert_eq!(parse(&metrics.encode()).value(sample), Some(1.0));
    drop(held);
    assert_eq!(parse(&metrics.encode()).value(sample), Some(0.0));
}

#[test]
fn counts_rejections_store_errors_and_ticks() {
    let metrics = metrics();
    metrics.rejected("bad_proof");
    metrics.rejected("bad_proof");
    metrics.store_failed("lease");
    metrics.ticked("close-month");
    let parsed = parse(&metrics.encode());
    assert_eq!(parsed.value(r#"main_worker_rejections_total{code="bad_proof"}"#), Some(2.0));
    assert_eq!(parsed.value(r#"main_worker_store_errors_total{operation="lease"}"#), Some(1.0));
    assert_eq!(parsed.value(r#"main_worker_ticks_total{schedule="close-month"}"#), Some(1.0));
}
