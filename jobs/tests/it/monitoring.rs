//! The jobs that look after the worker itself.

use database::EngineKind;
use envelope::{RawJson, Stamp};
use futures_util::future::join_all;
use serde_json::json;
use tasks::{NewTask, TaskFilter, TaskState};
use testkit::{Cut, NOW};
use values::{Span, TaskId};

use crate::harness::{Harness, now};

async fn reports_what_it_sees_and_returns_the_echo(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    let before = harness.state().await;
    let job = "monitoring/report_environment";
    let echo = json!({ "any": [1, null, "ü"] });
    let done = harness.run_json(job, &json!({ "echo": echo })).await.unwrap();
    let name = match engine {
        EngineKind::Sqlite => "SQLite 3.",
        EngineKind::Postgres => "PostgreSQL 1",
    };
    let engine = done.result["database"]["engine"].as_str().unwrap().to_owned();
    assert!(engine.starts_with(name), "{engine}");
    let expected = json!({
        "worker": "MainWorker", "version": "0.0.0", "release": "", "host": "",
        "settings": { "PORT": "8080" },
        "clock": { "run": NOW, "taskStore": NOW },
        "database": { "isReachable": true, "engine": engine },
        "taskStore": { "isReachable": true },
        "echo": echo,
    });
    assert_eq!(done.result, expected);
    assert!(done.follow_ups.is_empty());

    // A second attempt reports the same and changes nothing.
    drop(harness.attempt_json(job, &json!({}), Cut::Never).await.unwrap().unwrap());
    let again = harness.run_json(job, &json!({})).await.unwrap();
    assert_eq!(again.result.get("echo"), None);
    assert_eq!(again.result["database"], expected["database"]);
    assert_eq!(harness.state().await, before);
}

#[tokio::test]
async fn reports_a_database_that_is_gone() {
    let harness = Harness::new(EngineKind::Sqlite).await;
    std::fs::remove_file(harness.path("", "main.db")).unwrap();
    let done = harness.run_json("monitoring/report_environment", &json!({})).await.unwrap();
    let database = &done.result["database"];
    assert_eq!(database["isReachable"], false);
    assert!(database["error"].as_str().unwrap().contains("deleted or replaced"), "{database}");
}

async fn prunes_finished_tasks_beyond_retention_and_nothing_else(engine: EngineKind) {
    let harness = Harness::with(engine, |_| {
        "[worker]\nretention_completed = \"1d\"\nretention_discarded = \"2d\"\n".to_owned()
    })
    .await;
    // 600 old tasks take two batches; the others are too young for their state.
    end(&harness, 600, TaskState::Cancelled, 3).await;
    end(&harness, 7, TaskState::Discarded, 3).await;
    end(&harness, 11, TaskState::Discarded, 1).await;
    end(&harness, 5, TaskState::Cancelled, 0).await;
    enqueue(&harness, 3).await;
    harness.customer(1, &["alpha"]).await;
    assert_eq!(listed(&harness).await, 600 + 7 + 11 + 5 + 3);
    drop(harness.attempt_json("monitoring/prune_history", &json!({}), Cut::Never).await);
    let done = harness.run_json("monitoring/prune_history", &json!({})).await.unwrap();
    assert_eq!(done.result, json!({ "deleted": 0, "more": false }), "the first attempt did it");
    assert_eq!(listed(&harness).await, 11 + 5 + 3);
    assert_eq!(harness.number("SELECT count(*) FROM stream").await, 1);
}

async fn tells_of_a_stuck_queue_once_per_incident(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    let job = "monitoring/check_queues";
    let check = async |stuck: usize, begun: u64, ended: u64| {
        let done = harness.run_json(job, &json!({})).await.unwrap();
        let found = done.result["stuck"].as_array().unwrap().len();
        assert_eq!(found, stuck, "{}", done.result);
        assert_eq!((&done.result["begun"], &done.result["ended"]), (&json!(begun), &json!(ended)));
    };
    let told = "SELECT count(*) FROM admin_event";
    let ids = enqueue(&harness, 2).await;
    check(0, 0, 0).await;
    harness.clock.set(now().after(Span::from_minutes(11)));
    // An attempt that dies before its commit has told nobody; the next one does.
    assert!(harness.attempt_json(job, &json!({}), Cut::DiesAt(1)).await.is_none());
    assert_eq!(harness.number(told).await, 0);
    check(1, 1, 0).await;
    check(1, 0, 0).await;
    assert_eq!(harness.number(told).await, 1);
    for id in ids {
        assert_ne!(harness.tasks.cancel(id).await.unwrap(), TaskState::Running);
    }
    check(0, 0, 1).await;
    harness.clock.set(now());
    let later = enqueue(&harness, 1).await;
    assert_eq!(later.len(), 1);
    harness.clock.set(now().after(Span::from_minutes(12)));
    assert!(harness.attempt_json(job, &json!({}), Cut::DiesAt(1)).await.is_none());
    assert_eq!(harness.number(told).await, 1);
    // One that dies behind its commit has told, and no other does.
    drop(harness.attempt_json(job, &json!({}), Cut::Never).await.unwrap().unwrap());
    assert_eq!(harness.number(told).await, 2);
    check(1, 0, 0).await;
    assert_eq!(harness.number(told).await, 2);
}

/// Stores tasks that wait.
async fn enqueue(harness: &Harness, count: usize) -> Vec<TaskId> {
    let task = |_| NewTask {
        stamp: Stamp {
            task_id: TaskId::new(now(), tasks::random_bytes()),
            issued_at: now(),
            not_after: now().after(Span::from_days(1)),
            run_at: None,
            priority: 0,
            max_attempts: 1,
            unique_key: None,
        },
        job: "usage/roll_up_usage".parse().unwrap(),
        source: "operator".parse().unwrap(),
        configuration: RawJson::empty_object(),
        payload: RawJson::empty_object(),
        proof: None,
        host: None,
        timeout: None,
        labels: Vec::new(),
        unique_for: None,
        parent: None,
        tick: None,
        max_waiting: None,
    };
    let stored = harness.tasks.enqueue((0..count).map(task).collect()).await.unwrap();
    stored.into_iter().map(|task| task.task_id).collect()
}

/// Stores tasks that ended some days ago.
async fn end(harness: &Harness, count: usize, state: TaskState, days_ago: u32) {
    let ids = enqueue(harness, count).await;
    harness.clock.set(now().before(Span::from_days(days_ago)));
    let ended = ids.into_iter().map(|id| async move {
        match state {
            TaskState::Discarded => harness.tasks.discard(id, "a test".to_owned()).await.unwrap(),
            _ => assert_ne!(harness.tasks.cancel(id).await.unwrap(), TaskState::Cancelled),
        }
    });
    join_all(ended).await;
    harness.clock.set(now());
}

async fn listed(harness: &Harness) -> usize {
    let filter = TaskFilter { limit: 1_000, ..TaskFilter::default() };
    harness.tasks.search(filter).await.unwrap().len()
}

testkit::on_each_engine!(
    reports_what_it_sees_and_returns_the_echo,
    prunes_finished_tasks_beyond_retention_and_nothing_else,
    tells_of_a_stuck_queue_once_per_incident,
);
