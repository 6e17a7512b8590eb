//! Jobs that take long, compute without a pause, or see the clock jump: nobody takes them for dead.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contract::Payload;
use database::EngineKind;
use main_worker::bench::{Compute, Sleep};
use scheduling::TaskOptions;
use tasks::TaskState;
use values::Span;

use super::{ended, runs};
use crate::site::Site;

/// A worker is taken for dead after eight seconds of silence; this is far longer.
const LONG_MS: u64 = 12_000;
/// How long heartbeats are watched while nothing but handlers computes.
const WATCHED: Duration = Duration::from_millis(2_500);

/// The library that shows a process another time of day than there is.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let name = Path::new("faketime/libfaketimeMT.so.1");
    let mut found = folders.map(|folder| folder.join(name)).filter(|path| path.exists());
    found.next().expect("ci/services installs the package faketime")
}

/// A live job runs on while its worker's clock jumps by an hour, forth and back.
async fn outlives_the_silence_limit(engine: EngineKind, payload: &impl Payload) {
    let site = Site::on(engine).await;
    let task = site.enqueue(payload).await;
    let (library, offset) = (faketime(), site.folder.path().join("offset"));
    std::fs::write(&offset, "+0").unwrap();
    let variables = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let worker = site.worker_with(&[], &variables);
    site.until(task, runs).await;
    let other = site.worker(&[]);
    other.says("\"working\"");
    for jump in ["+3600", "-3600", "+0"] {
        std::fs::write(&offset, jump).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let summary = site.until(task, ended).await.summary;
    assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    for log in [worker.log(), other.log()] {
        assert!(!log.contains("tasks of dead workers returned"), "{log}");
        assert!(!log.contains("lost its leases"), "{log}");
    }
}

/// On SQLite the clock of the store is that of the machine.
#[tokio::test]
async fn pain_02_rescue_by_the_clock_runs_a_live_job_again() {
    tokio::join!(
        outlives_the_silence_limit(EngineKind::Postgres, &Compute { millis: LONG_MS }),
        outlives_the_silence_limit(EngineKind::Sqlite, &Sleep { millis: LONG_MS }),
    );
}

async fn pain_09_a_cpu_bound_handler_blocks_the_renewal_of_its_lease(engine: EngineKind) {
    let site = Site::on(engine).await;
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut tasks = Vec::new();
    for _ in 0..threads * 3 {
        tasks.push(site.enqueue(&Compute { millis: 1_000 }).await);
    }
    let worker = site.worker(&["--concurrency", &(threads * 3).to_string()]);
    // So many run that no thread of the runtime is free for anything else.
    site.until(tasks[threads - 1], runs).await;
    let beats = async || site.app.store.beats().await.unwrap()[0].1;
    let (before, began) = (beats().await, Instant::now());
    tokio::time::sleep(WATCHED).await;
    assert!(beats().await > before, "none in {:?}\n{}", began.elapsed(), worker.log());
    for task in tasks {
        let summary = site.until(task, ended).await.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
}

async fn pain_12_long_jobs_fight_a_global_timeout(engine: EngineKind) {
    let site = Site::on(engine).await;
    let row = "[jobs.\"bench/sleep\"]\ntimeout = \"1m\"";
    let weeks = "[jobs.\"bench/sleep\"]\ntimeout = \"28d\"";
    let manifest = site.manifest("weeks.toml", row, weeks);
    let _worker = site.worker_with(&[], &[("MAIN_WORKER_MANIFEST", &manifest)]);
    let long = site.enqueue(&Sleep { millis: 2_000 }).await;
    let options = |millis| TaskOptions {
        timeout: Some(Span::from_millis(millis)),
        max_attempts: Some(1),
        ..TaskOptions::default()
    };
    let short = site.enqueue_with(&Sleep { millis: 2_000 }, options(300)).await;
    let other = site.enqueue_with(&Sleep { millis: 600 }, options(30_000)).await;
    let cut = site.until(short, ended).await;
    assert_eq!(cut.summary.state, TaskState::Discarded);
    assert_eq!(cut.attempts[0].code.as_deref(), Some("timeout"), "{:?}", cut.attempts);
    for task in [long, other] {
        let summary = site.until(task, ended).await.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
}

testkit::on_each_engine!(
    pain_09_a_cpu_bound_handler_blocks_the_renewal_of_its_lease,
    pain_12_long_jobs_fight_a_global_timeout,
);
