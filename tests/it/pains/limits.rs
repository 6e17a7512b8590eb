//! Limits and unique keys: they keep nobody else back, and nothing is stuck behind them.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use database::{EngineKind, Query};
use main_worker::bench::{Fail, NoOp, Sleep};
use scheduling::{Scope, TaskOptions, Unique};
use tasks::{PruneLimits, TaskState};
use values::{Span, TaskId};

use super::{crash, ended, eventually, numbers, open, runs};
use crate::cli_shell::{Shell, end};
use crate::postgres_cli::migrated;
use crate::site::{PATIENCE, Site};

const SLEEP_ROW: &str = "[jobs.\"bench/sleep\"]\n";
/// Tasks whose speed is measured.
const MEASURED: u64 = 1_000;
/// Tasks at a limit that wait in front of them.
const IN_FRONT: usize = 200;
/// What is left of the speed at least; the best of some rounds, because the machine has others
/// to serve, too.
const LEAST_RATIO: f64 = 0.8;
const MAX_ROUNDS: usize = 8;
/// How soon room that a dead worker took must be used.
const SOON: Duration = Duration::from_secs(3);

/// Puts a limit on one job of the measured ones.
fn limited(site: &Site, limit: u32) -> String {
    let row = format!("{SLEEP_ROW}max_concurrency = {limit}\n");
    site.manifest("limited.toml", SLEEP_ROW, &row)
}

/// Tasks without a limit that a worker ends in a second.
async fn speed(site: &Site, manifest: Option<&str>) -> f64 {
    let producer = site.app.producer("operator").unwrap();
    let batch: Vec<NoOp> = (0..MEASURED).map(|number| NoOp { number }).collect();
    let db = open(&site.url()).await;
    let all = "SELECT count(*) FROM mw_finished";
    let before = numbers(&db, all).await[0];
    producer.enqueue_many(&batch, &TaskOptions::default()).await.unwrap();
    let variables: Vec<_> = manifest.iter().map(|path| ("MAIN_WORKER_MANIFEST", *path)).collect();
    let worker = site.worker_with(&["--concurrency", "32"], &variables);
    let most = before + MEASURED.cast_signed();
    eventually("all are done", async || numbers(&db, all).await == [most]).await;
    crash(site, worker).await;
    let query = Query::new(
        "SELECT (max(finished_at) - min(finished_at)) / 1000 FROM
         (SELECT finished_at FROM mw_finished ORDER BY finished_at DESC LIMIT $1) latest",
    );
    let row = db.first(query.bind(MEASURED.cast_signed())).await.unwrap().unwrap();
    let millis = u32::try_from(row.get::<i64>(0).unwrap()).unwrap();
    f64::from(u32::try_from(MEASURED).unwrap()) * 1_000.0 / f64::from(millis)
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_10_a_limit_costs_the_speed_of_others() {
    let (free, bound) = (Site::postgres().await, Site::postgres().await);
    let manifest = limited(&bound, 2);
    let producer = bound.app.producer("operator").unwrap();
    let in_front = vec![Sleep { millis: 30_000 }; IN_FRONT];
    producer.enqueue_many(&in_front, &TaskOptions::default()).await.unwrap();
    let (mut best_free, mut best_bound) = (0.0_f64, 0.0_f64);
    for round in 1.. {
        best_free = best_free.max(speed(&free, None).await);
        best_bound = best_bound.max(speed(&bound, Some(&manifest)).await);
        if best_bound >= best_free * LEAST_RATIO {
            break;
        }
        assert!(round < MAX_ROUNDS, "{best_bound} with a limit, {best_free} without");
    }
    let db = open(&bound.url()).await;
    let left = numbers(&db, "SELECT count(*) FROM mw_task").await[0];
    assert_eq!(left, i64::try_from(IN_FRONT).unwrap(), "those at the limit are in front still");
}

async fn pain_10_dead_jobs_eat_the_limit(engine: EngineKind) {
    let site = Site::on(engine).await;
    let manifest = limited(&site, 1);
    let variables = [("MAIN_WORKER_MANIFEST", manifest.as_str())];
    let once = TaskOptions { max_attempts: Some(1), ..TaskOptions::default() };
    let first = site.enqueue_with(&Sleep { millis: 60_000 }, once).await;
    let second = site.enqueue(&Sleep { millis: 60_000 }).await;
    let worker = site.worker_with(&[], &variables);
    site.until(first, runs).await;
    assert_eq!(site.task(second).await.summary.state, TaskState::Available);
    crash(&site, worker).await;
    let worker = site.worker_with(&[], &variables);
    worker.says("\"working\"");
    let began = Instant::now();
    site.until(second, runs).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// Asks for a task that only one at a time may be.
async fn unique(site: &Site, permanent: bool) -> (TaskId, bool) {
    let scope = Scope::Key("the one".to_owned());
    let options =
        TaskOptions { unique: Some(Unique { scope, period: None }), ..TaskOptions::default() };
    let producer = site.app.producer("operator").unwrap();
    let enqueued = producer.enqueue(&Fail { permanent }, options).await.unwrap();
    (enqueued.task_id, enqueued.existing)
}

/// The key is free: another task gets it, and a repeat is told of that one.
async fn is_free(site: &Site, permanent: bool) -> TaskId {
    let (task, existing) = unique(site, permanent).await;
    assert!(!existing, "the key is stuck: {:?}", site.task(task).await);
    assert_eq!(unique(site, permanent).await, (task, true));
    task
}

async fn pain_11_uniqueness_has_gaps_or_a_stuck_key(engine: EngineKind) {
    let site = Site::on(engine).await;
    // Whoever dies between taking the key and storing the task leaves neither.
    let producer = site.app.producer("operator").unwrap();
    let mut tx = site.app.db.begin().await.unwrap();
    let scope = Scope::Key("the one".to_owned());
    let options =
        TaskOptions { unique: Some(Unique { scope, period: None }), ..TaskOptions::default() };
    let stored =
        producer.enqueue_in(&mut tx.tx(), &Fail { permanent: true }, options).await.unwrap();
    assert!(!stored.enqueued.existing);
    drop(tx);

    let cancelled = is_free(&site, true).await;
    site.app.store.cancel(cancelled).await.unwrap();
    let discarded = is_free(&site, true).await;
    site.app.store.discard(discarded, "not wanted".to_owned()).await.unwrap();
    let failed = is_free(&site, true).await;
    let worker = site.worker(&[]);
    site.until(failed, ended).await;
    worker.kill();
    // A task of a dead worker has its key as long as it may run again.
    let rescued = is_free(&site, false).await;
    let worker = site.worker(&[]);
    site.until(rescued, |detail| detail.summary.attempt > 0).await;
    crash(&site, worker).await;
    assert_eq!(unique(&site, false).await, (rescued, true));
    site.app.store.discard(rescued, "not wanted".to_owned()).await.unwrap();
    // What was pruned takes nothing along.
    let waits = is_free(&site, true).await;
    let now = site.app.store.now().after(Span::from_hours(1));
    let limits = PruneLimits { completed_before: now, discarded_before: now, limit: 1_000 };
    assert_eq!(site.app.store.prune(limits).await.unwrap(), 4);
    assert_eq!(unique(&site, true).await, (waits, true));
    let keys = site.app.db.all(Query::new("SELECT seq FROM mw_unique")).await.unwrap();
    assert_eq!(keys.len(), 1);
}

/// Several processes ask at the same moment, again and again.
fn one_of_many_wins(shell: &Shell) {
    let arguments = ["enqueue", "monitoring/report_environment", "--unique", "job"];
    let began = Instant::now();
    for _ in 0..3 {
        let racing: Vec<_> = (0..6).map(|_| shell.start(&arguments, Stdio::null())).collect();
        let told: BTreeSet<String> = racing
            .into_iter()
            .map(|child| {
                let ran = end(child);
                assert_eq!(ran.code, 0, "{ran:?}");
                ran.stdout
            })
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        let waiting = shell.json(&["tasks", "list", "--state", "available"]);
        assert_eq!(waiting.as_array().unwrap().len(), 1, "{waiting}");
        shell.ok(&["tasks", "cancel", told.first().unwrap().trim()]);
        assert!(began.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn pain_11_racing_processes_get_one_task_on_a_server() {
    let database = migrated().await;
    one_of_many_wins(&Shell::at(database.url()));
}

#[test]
fn pain_11_racing_processes_get_one_task_in_a_file() {
    let shell = Shell::with_manifest("");
    shell.ok(&["check"]);
    one_of_many_wins(&shell);
}

testkit::on_each_engine!(
    pain_10_dead_jobs_eat_the_limit,
    pain_11_uniqueness_has_gaps_or_a_stuck_key,
);
