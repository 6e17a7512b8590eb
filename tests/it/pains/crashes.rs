//! Processes that die: their tasks go on elsewhere, soon, and no oftener than they may.

use std::time::{Duration, Instant};

use database::EngineKind;
use main_worker::bench::{NoOp, Sleep};
use rustix::process::Signal;
use scheduling::TaskOptions;
use tasks::TaskState;

use super::{crash, ended, runs};
use crate::site::Site;

/// After kill -9, the tasks run elsewhere within this time.
const RESCUE: Duration = Duration::from_secs(10);
/// After SIGTERM, everything is given back within this time, with a drain timeout of 0.3 s.
const HANDOVER: Duration = Duration::from_secs(3);
const LONG: Sleep = Sleep { millis: 60_000 };

async fn rescued_soon(engine: EngineKind) {
    let site = Site::on(engine).await;
    let task = site.enqueue(&LONG).await;
    let first = site.worker(&[]);
    site.until(task, runs).await;
    let second = site.worker(&[]);
    second.says("\"working\"");
    let killed = Instant::now();
    first.kill();
    site.until(task, |detail| detail.summary.attempt == 2 && runs(detail)).await;
    assert!(killed.elapsed() <= RESCUE, "{:?}\n{}", killed.elapsed(), second.log());
}

#[tokio::test]
async fn pain_01_jobs_stay_running_after_a_crash() {
    tokio::join!(rescued_soon(EngineKind::Sqlite), rescued_soon(EngineKind::Postgres));
}

async fn pain_01_jobs_stay_running_after_a_deploy(engine: EngineKind) {
    let site = Site::on(engine).await;
    let settings = "prefetch = 0\ndrain_timeout = \"20s\"";
    let hasty = "prefetch = 4\ndrain_timeout = \"300ms\"";
    let manifest = site.manifest("hasty.toml", settings, hasty);
    let mut tasks = Vec::new();
    for _ in 0..6 {
        tasks.push(site.enqueue(&LONG).await);
    }
    let variables = [("MAIN_WORKER_MANIFEST", manifest.as_str())];
    let mut old = site.worker_with(&["--concurrency", "2"], &variables);
    for task in &tasks {
        site.until(*task, |detail| detail.summary.state == TaskState::Running).await;
    }
    site.until(tasks[1], runs).await;
    let told = Instant::now();
    old.signal(Signal::TERM);
    assert!(old.ended().success(), "{}", old.log());
    assert!(told.elapsed() < HANDOVER, "{:?}", told.elapsed());
    let mut attempts = 0;
    for task in &tasks {
        let summary = site.task(*task).await.summary;
        assert_eq!(summary.state, TaskState::Available, "{summary:?}");
        attempts += summary.attempt;
    }
    assert_eq!(attempts, 2, "what was only held ready is not counted");
    let new = site.worker_with(&["--concurrency", "6"], &variables);
    new.says("\"working\"");
    let began = Instant::now();
    for task in &tasks {
        site.until(*task, runs).await;
    }
    assert!(began.elapsed() < HANDOVER, "{:?}", began.elapsed());
}

async fn pain_13_a_crashed_job_is_marked_failed_or_lost(engine: EngineKind) {
    let site = Site::on(engine).await;
    let limit = |attempts| TaskOptions { max_attempts: Some(attempts), ..TaskOptions::default() };
    let poison = site.enqueue_with(&LONG, limit(2)).await;
    let sound = site.enqueue_with(&LONG, limit(3)).await;
    for attempt in 1..=2 {
        let worker = site.worker(&[]);
        for task in [poison, sound] {
            site.until(task, |detail| detail.summary.attempt == attempt && runs(detail)).await;
        }
        let rescued = crash(&site, worker).await;
        assert_eq!(rescued.workers, 1, "{rescued:?}");
        let back = site.task(sound).await.summary;
        assert_eq!((back.state, back.attempt), (TaskState::Available, attempt), "{back:?}");
        let first = site.task(poison).await.summary;
        let expected = if attempt == 1 { TaskState::Available } else { TaskState::Discarded };
        assert_eq!((first.state, first.attempt), (expected, attempt), "{first:?}");
    }
    let detail = site.task(poison).await;
    let codes: Vec<_> = detail.attempts.iter().map(|attempt| attempt.code.as_deref()).collect();
    assert_eq!(codes, [Some("worker_lost"); 2], "{:?}", detail.attempts);
    // Neither is lost: the dead letter can be tried again, and the books are right.
    site.app.store.retry(poison).await.unwrap();
    assert_eq!(site.task(poison).await.summary.state, TaskState::Available);
    assert!(site.app.store.conservation().await.unwrap().holds());
    let next = site.enqueue(&NoOp { number: 1 }).await;
    let _worker = site.worker(&[]);
    assert_eq!(site.until(next, ended).await.summary.state, TaskState::Completed);
}

testkit::on_each_engine!(
    pain_01_jobs_stay_running_after_a_deploy,
    pain_13_a_crashed_job_is_marked_failed_or_lost,
);
