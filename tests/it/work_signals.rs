//! Signals: a drain finishes what runs, a second signal gives it back, a killed worker is noticed.

use std::time::{Duration, Instant};

use database::EngineKind;
use main_worker::bench::Sleep;
use rustix::process::Signal;
use tasks::{TaskDetail, TaskState};

use crate::site::Site;

/// Within this time the tasks of a killed worker must run elsewhere.
const RESCUE: Duration = Duration::from_secs(12);

fn runs(detail: &TaskDetail) -> bool {
    detail.summary.state == TaskState::Running && detail.summary.started_at.is_some()
}

async fn the_first_sigterm_finishes_what_runs_and_takes_nothing_more(engine: EngineKind) {
    let site = Site::on(engine).await;
    let running = site.enqueue(&Sleep { millis: 1_500 }).await;
    let mut worker = site.worker(&["--concurrency", "1"]);
    site.until(running, runs).await;
    let waiting = site.enqueue(&Sleep { millis: 1 }).await;
    worker.signal(Signal::TERM);
    assert!(worker.ended().success(), "{}", worker.log());
    let running = site.task(running).await.summary;
    assert_eq!((running.state, running.attempt), (TaskState::Completed, 1));
    let waiting = site.task(waiting).await.summary;
    assert_eq!((waiting.state, waiting.attempt), (TaskState::Available, 0));
}

async fn the_second_sigterm_gives_everything_back_at_once(engine: EngineKind) {
    let site = Site::on(engine).await;
    let task = site.enqueue(&Sleep { millis: 60_000 }).await;
    let mut worker = site.worker(&[]);
    site.until(task, runs).await;
    worker.signal(Signal::TERM);
    worker.says("told to stop");
    worker.signal(Signal::TERM);
    let began = Instant::now();
    assert!(worker.ended().success(), "{}", worker.log());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let task = site.task(task).await.summary;
    assert_eq!(task.state, TaskState::Available, "{task:?}");
}

async fn tasks_of_a_killed_worker_run_elsewhere_soon(engine: EngineKind) {
    let site = Site::on(engine).await;
    let task = site.enqueue(&Sleep { millis: 60_000 }).await;
    let first = site.worker(&[]);
    site.until(task, runs).await;
    let _second = site.worker(&[]);
    let began = Instant::now();
    first.kill();
    let detail = site.until(task, |detail| detail.summary.attempt == 2 && runs(detail)).await;
    assert!(began.elapsed() < RESCUE, "{:?}: {:?}", began.elapsed(), detail.attempts);
}

testkit::on_each_engine!(
    the_first_sigterm_finishes_what_runs_and_takes_nothing_more,
    the_second_sigterm_gives_everything_back_at_once,
    tasks_of_a_killed_worker_run_elsewhere_soon,
);
