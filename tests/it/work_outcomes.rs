//! How attempts end: completed, retried, discarded, cancelled, held.

use database::EngineKind;
use main_worker::bench::{Fail, NoOp, Panic, Sleep, WriteRow};
use scheduling::TaskOptions;
use tasks::TaskState;
use values::Span;

use crate::site::Site;

async fn works_until_the_queue_is_empty(engine: EngineKind) {
    let site = Site::on(engine).await;
    let mut tasks = Vec::new();
    for number in 0..5 {
        tasks.push(site.enqueue(&NoOp { number }).await);
    }
    let mut worker = site.worker(&["--until-empty"]);
    assert!(worker.ended().success(), "{}", worker.log());
    for task in tasks {
        let summary = site.task(task).await.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1));
    }
}

async fn a_failing_task_is_tried_again_and_then_a_dead_letter(engine: EngineKind) {
    let site = Site::on(engine).await;
    let task = site.enqueue(&Fail { permanent: false }).await;
    let _worker = site.worker(&[]);
    let detail = site.until(task, |detail| detail.summary.state.is_final()).await;
    assert_eq!((detail.summary.state, detail.summary.attempt), (TaskState::Discarded, 3));
    let outcomes: Vec<&str> = detail.attempts.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(outcomes, ["retried", "retried", "discarded"], "{:?}", detail.attempts);
    assert!(detail.attempts.iter().all(|row| {
        row.error.as_deref().is_some_and(|error| error.contains("failed, as asked"))
    }));
    let ends: Vec<_> = detail.attempts.iter().map(|row| row.finished_at).collect();
    assert!(ends.is_sorted(), "{ends:?}");
}

async fn a_permanent_failure_is_not_tried_again(engine: EngineKind) {
    let site = Site::on(engine).await;
    let task = site.enqueue(&Fail { permanent: true }).await;
    let mut worker = site.worker(&["--until-empty"]);
    assert!(worker.ended().success());
    let detail = site.task(task).await;
    assert_eq!((detail.summary.state, detail.summary.attempt), (TaskState::Discarded, 1));
    assert_eq!(detail.attempts[0].code.as_deref(), Some("permanent"));
}

async fn a_panic_ends_the_attempt_and_not_the_worker(engine: EngineKind) {
    let site = Site::on(engine).await;
    let task = site.enqueue(&Panic { words: "the roof is open".to_owned() }).await;
    let worker = site.worker(&[]);
    let detail = site.until(task, |detail| detail.summary.state.is_final()).await;
    assert_eq!((detail.summary.state, detail.summary.attempt), (TaskState::Discarded, 2));
    assert_eq!(detail.attempts[0].code.as_deref(), Some("panic"), "{:?}", detail.attempts);
    assert!(detail.summary.error.unwrap().contains("the roof is open"));
    let next = site.enqueue(&NoOp { number: 1 }).await;
    let next = site.until(next, |detail| detail.summary.state.is_final()).await;
    assert_eq!(next.summary.state, TaskState::Completed, "{}", worker.log());
}

async fn an_attempt_ends_at_its_time_limit(engine: EngineKind) {
    let site = Site::on(engine).await;
    let options = TaskOptions {
        timeout: Some(Span::from_millis(200)),
        max_attempts: Some(1),
        ..TaskOptions::default()
    };
    let task = site.enqueue_with(&Sleep { millis: 60_000 }, options).await;
    let mut worker = site.worker(&["--until-empty"]);
    assert!(worker.ended().success());
    let detail = site.task(task).await;
    assert_eq!(detail.summary.state, TaskState::Discarded);
    assert_eq!(detail.attempts[0].code.as_deref(), Some("timeout"), "{:?}", detail.attempts);
}

async fn a_running_task_can_be_cancelled(engine: EngineKind) {
    let site = Site::on(engine).await;
    let task = site.enqueue(&Sleep { millis: 60_000 }).await;
    let _worker = site.worker(&[]);
    site.until(task, |detail| detail.summary.state == TaskState::Running).await;
    site.app.store.cancel(task).await.unwrap();
    let detail = site.until(task, |detail| detail.summary.state.is_final()).await;
    assert_eq!(detail.summary.state, TaskState::Cancelled);
}

async fn a_paused_job_waits_until_it_is_resumed(engine: EngineKind) {
    let site = Site::on(engine).await;
    site.app.store.pause(Some("bench/no_op".to_owned())).await.unwrap();
    let paused = site.enqueue(&NoOp { number: 1 }).await;
    let other = site.enqueue(&WriteRow { number: 2 }).await;
    assert!(site.worker(&["--until-empty"]).ended().success());
    assert_eq!(site.task(paused).await.summary.state, TaskState::Available);
    assert_eq!(site.task(other).await.summary.state, TaskState::Completed);
    assert!(site.app.store.resume(Some("bench/no_op".to_owned())).await.unwrap());
    assert!(site.worker(&["--until-empty"]).ended().success());
    assert_eq!(site.task(paused).await.summary.state, TaskState::Completed);
}

async fn a_task_of_a_newer_release_is_held_for_workers_that_know_it(engine: EngineKind) {
    let site = Site::on(engine).await;
    let narrow = include_str!("../../src/bench/worker.toml").replace(
        "[sources.operator]\njobs = [\"*\"]",
        "[sources.operator]\njobs = [\"bench/no_op\"]",
    );
    let path = site.folder.path().join("narrow.toml");
    std::fs::write(&path, narrow).unwrap();
    let task = site.enqueue(&WriteRow { number: 1 }).await;
    let manifest = [("MAIN_WORKER_MANIFEST", path.to_str().unwrap())];
    let mut old = site.worker_with(&["--until-empty"], &manifest);
    assert!(old.ended().success(), "{}", old.log());
    let held = site.task(task).await.summary;
    assert_eq!(held.held.as_deref(), Some("source_not_allowed"), "{held:?}");
    assert_eq!((held.state, held.attempt), (TaskState::Available, 0));
    let _new = site.worker(&[]);
    let done = site.until(task, |detail| detail.summary.state.is_final()).await.summary;
    assert_eq!((done.state, done.held), (TaskState::Completed, None));
}

testkit::on_each_engine!(
    works_until_the_queue_is_empty,
    a_failing_task_is_tried_again_and_then_a_dead_letter,
    a_permanent_failure_is_not_tried_again,
    a_panic_ends_the_attempt_and_not_the_worker,
    an_attempt_ends_at_its_time_limit,
    a_running_task_can_be_cancelled,
    a_paused_job_waits_until_it_is_resumed,
    a_task_of_a_newer_release_is_held_for_workers_that_know_it,
);
