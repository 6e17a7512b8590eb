//! Events as a server that speaks Sentry's protocol stores them.
#![cfg(feature = "sentry")]

use std::time::Duration;

use reporting::{Event, Scrubber, Sentry, TaskTags};
use serde_json::Value;
use testkit::SentryServer;
use values::{JobName, Secret, Source, TaskId};

const CANARY: &str = "canary-7d1e";
const FLUSH_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_server_stores_one_event_of_each_kind_and_no_secret() {
    let server = SentryServer::start().await.unwrap();
    let scrubber = Scrubber::new();
    let _guard = scrubber.guard(vec![CANARY.to_owned()]);
    let dsn = Secret::new(server.dsn().to_owned());
    let sentry = Sentry::connect(Some(&dsn), "test", "main-worker@0.1.0", scrubber).unwrap();
    report_all(&sentry);
    let flushed = tokio::task::spawn_blocking(move || sentry.flush(FLUSH_WITHIN)).await.unwrap();
    assert!(flushed);

    let events = server.wait_for_events(4, FLUSH_WITHIN).await.unwrap();
    let mut kinds: Vec<_> = events.iter().map(|event| tag(event, "kind")).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["alert", "panic", "permanent_failure", "rejection"]);
    for event in &events {
        assert_eq!(event["release"], "main-worker@0.1.0");
        assert_eq!(event["environment"], "test");
        assert!(event["exception"]["values"][0]["value"].as_str().unwrap().contains("[redacted]"));
        assert_eq!(tag(event, "job_name"), "logs/process_log");
    }
    let all = Value::from(events).to_string();
    assert!(!all.contains(CANARY));
}

fn tag<'a>(event: &'a Value, name: &str) -> &'a str {
    event["tags"][name].as_str().expect("every event has the tag")
}

fn report_all(sentry: &Sentry) {
    let job_name: JobName = "logs/process_log".parse().expect("a job name");
    let source: Source = "scheduler".parse().expect("a source");
    let task_id = TaskId::from_bytes([3; 16]);
    let task = TaskTags { job_name: &job_name, source: &source, task_id, attempt: 2 };
    let message = &format!("cannot sign in with {CANARY}");
    sentry.report(&Event::Panic { task, message, location: Some("src/lib.rs:1:1") });
    sentry.report(&Event::PermanentFailure { task, code: "permanent", message });
    sentry.report(&Event::Rejection {
        code: "bad_proof",
        job_name: Some("logs/process_log"),
        source: Some(CANARY),
        task_id: None,
        message,
    });
    sentry.report(&Event::Alert { code: "store_unavailable", job_name: Some(&job_name), message });
}
