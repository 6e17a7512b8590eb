//! A task that vanishes is missed: by `check --conservation`, and by a running worker. A source
//! that has enough waiting is told so.

use std::time::{Duration, Instant};

use database::{Db, Query};
use main_worker::bench::NoOp;
use rustix::process::Signal;
use serde_json::json;
use values::Span;

use crate::cli_shell::Shell;
use crate::site::{PATIENCE, Site};
use crate::work_health::{address, get};

const REPORT: &str = "monitoring/report_environment";

/// Deletes the newest waiting task behind the program's back.
async fn delete(db: &Db) {
    let query = Query::new("DELETE FROM mw_task WHERE seq = (SELECT max(seq) FROM mw_task)");
    assert_eq!(db.execute(query).await.unwrap(), 1);
}

#[tokio::test]
async fn check_names_what_was_deleted_until_it_is_reconciled() {
    let shell = Shell::new();
    shell.enqueue(&[REPORT]);
    let lost = shell.enqueue(&[REPORT, "--priority", "2"]);
    let sound = shell.ok(&["check", "--conservation"]);
    assert!(sound.contains("every task is accounted for"), "{sound}");
    assert!(sound.contains("monitoring/report_environment"), "{sound}");
    let db = Db::open_sqlite(&shell.home().join("main.db")).await.unwrap();
    delete(&db).await;
    db.close().await;

    let found = shell.run(&["check", "--conservation"]);
    assert_eq!(found.code, 70, "{found:?}");
    for words in [
        "1 waiting or running tasks of monitoring/report_environment from operator have vanished",
        "2 were counted, 1 are there",
        &format!("{lost} (monitoring/report_environment from operator)"),
        "check --conservation --reconcile",
    ] {
        assert!(found.stdout.contains(words), "no {words:?} in {found:?}");
    }
    let found = shell.run(&["check", "--conservation", "--output", "json"]);
    assert_eq!(found.code, 70);
    let found = found.json();
    assert_eq!(found["ok"], false);
    let named = &found["conservation"]["lost"][0];
    let source = "operator";
    assert_eq!(named, &json!({"taskId": lost, "jobName": REPORT, "source": source}), "{found:#}");

    let mended = shell.json(&["check", "--conservation", "--reconcile"]);
    assert_eq!((&mended["ok"], &mended["reconciled"]["discarded"]), (&json!(true), &json!(1)));
    let shown = shell.json(&["tasks", "show", &lost]);
    assert_eq!((&shown["state"], &shown["priority"]), (&json!("discarded"), &json!(2)));
    shell.ok(&["tasks", "retry", &lost]);
    shell.ok(&["check", "--conservation"]);
    shell.run(&["check", "--reconcile"]).fails(64, &["--conservation"]);
}

#[tokio::test]
async fn a_worker_measures_and_says_that_a_task_is_missing() {
    let site = Site::new().await;
    let delay = Some(Span::from_hours(1));
    let options = scheduling::TaskOptions { delay, ..scheduling::TaskOptions::default() };
    let lost = site.enqueue_with(&NoOp { number: 1 }, options).await;
    delete(&site.app.db).await;
    let sentry = testkit::SentryServer::start().await.unwrap();
    let listen = ["--listen", "127.0.0.1:0"];
    let mut worker = site.worker_with(&listen, &[("SENTRY_DSN", sentry.dsn())]);
    let address = address(&worker);
    let said = worker.says("conservation_broken");
    assert!(said.contains(&lost.to_string()), "{said}");
    let missing = r#"main_worker_conservation_difference_tasks{job_name="bench/no_op"} 1"#;
    let began = Instant::now();
    while !get(&address, "/metrics").1.contains(missing) {
        assert!(began.elapsed() < PATIENCE, "{}", get(&address, "/metrics").1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let metrics = get(&address, "/metrics").1;
    assert!(metrics.contains("main_worker_conservation_success_timestamp_seconds 1"), "{metrics}");
    if cfg!(feature = "sentry") {
        let events = sentry.wait_for_events(1, PATIENCE).await.unwrap();
        let text = serde_json::to_string(&events).unwrap();
        for words in ["conservation_broken", "bench/no_op", &lost.to_string()] {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
    }
    worker.signal(Signal::TERM);
    assert!(worker.ended().success(), "{}", worker.log());
}

#[test]
fn enqueue_says_that_a_source_has_enough_waiting() {
    let shell = Shell::new();
    let (head, limited) = ("[sources.operator]", "[sources.operator]\nmax_waiting = 2\n");
    let manifest = main_worker::app::BUILT_IN_MANIFEST.replace(head, limited);
    shell.write("worker.toml", manifest.as_bytes());
    let first = shell.enqueue(&[REPORT, "--unique", "job"]);
    shell.enqueue(&[REPORT]);
    let refused = shell.run(&["enqueue", REPORT]);
    let words = "2 tasks of the source `operator` wait or run, and max_waiting allows 2";
    refused.fails(75, &[words, "raise max_waiting of [sources.operator] in worker.toml"]);
    assert_eq!(refused.stdout, "");
    let again = shell.run(&["enqueue", REPORT, "--unique", "job"]);
    assert_eq!((again.code, again.stdout.trim()), (0, first.as_str()), "it is there already");
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    shell.enqueue(&[REPORT]);
}
