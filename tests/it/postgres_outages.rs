//! A server that goes away and comes back, and one behind a pooler.

use std::time::{Duration, Instant};

use main_worker::bench::{CountEffect, NoOp, Sleep, WriteRow};
use scheduling::TaskOptions;
use tasks::{TaskDetail, TaskState};
use testkit::{PgBouncer, PoolMode, PostgresServer, Profile};

use crate::cli_shell::Shell;
use crate::site::{Site, migrate};

/// How soon a task must run that is asked for once the server is back.
const SOON: Duration = Duration::from_secs(5);

async fn server() -> (PostgresServer, String) {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    migrate(url.clone()).await.unwrap();
    (server, url)
}

fn is_done(detail: &TaskDetail) -> bool {
    detail.summary.state.is_final()
}

/// Asks, however long that takes: the first connections may be dead ones.
async fn ask(site: &Site, number: u64) -> values::TaskId {
    let producer = site.app.producer("operator").unwrap();
    let began = Instant::now();
    loop {
        match producer.enqueue(&NoOp { number }, TaskOptions::default()).await {
            Ok(enqueued) => return enqueued.task_id,
            Err(error) => assert!(began.elapsed() < SOON * 2, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Pain 3: alive but deaf after a database reconnect.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_not_deaf_after_its_server_was_restarted() {
    let (server, url) = server().await;
    let site = Site::at(&url).await;
    let worker = site.worker(&[]);
    let first = ask(&site, 0).await;
    site.until(first, is_done).await;
    for (number, crash) in [(1, false), (2, true), (3, false)] {
        if crash {
            server.kill();
            server.start_again().await.unwrap();
        } else {
            server.restart().await.unwrap();
        }
        let task = ask(&site, number).await;
        let began = Instant::now();
        let detail = site.until(task, is_done).await;
        assert_eq!(detail.summary.state, TaskState::Completed, "{}", worker.log());
        assert!(began.elapsed() < SOON, "{:?}\n{}", began.elapsed(), worker.log());
    }
    // Told of new tasks again, not only finding them now and then.
    let mut quickest = SOON;
    for number in 10..20 {
        let began = Instant::now();
        let task = ask(&site, number).await;
        site.until(task, is_done).await;
        quickest = quickest.min(began.elapsed());
    }
    assert!(quickest < Duration::from_millis(150), "{quickest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_waits_at_the_start_for_a_server_that_is_away() {
    let (server, url) = server().await;
    let site = Site::at(&url).await;
    let task = site.enqueue(&NoOp { number: 1 }).await;
    server.stop_fast().await.unwrap();
    let mut worker = site.worker(&["--until-empty"]);
    worker.says("waiting for the database");
    server.start_again().await.unwrap();
    assert!(worker.ended().success(), "{}", worker.log());
    assert!(!worker.log().contains("postgres://"), "{}", worker.log());
    assert_eq!(site.until(task, is_done).await.summary.state, TaskState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_through_a_pooler_in_transaction_mode() {
    let (server, url) = server().await;
    let bouncer = PgBouncer::start(server.address(), PoolMode::Transaction, 20).await.unwrap();
    let pooled = bouncer.url(url.rsplit('/').next().unwrap());
    let shell = Shell::at(&pooled);
    let checked = shell.ok(&["check"]);
    assert!(checked.contains("through a pooler, new tasks are found by polling"), "{checked}");
    shell.enqueue(&["monitoring/report_environment"]);
    let worked = shell.json(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!(worked["completed"], 1, "{worked}");
    assert_eq!(shell.ok(&["migrate"]).matches("up to date").count(), 3);

    let site = Site::at(&pooled).await;
    let effects = site.folder.path().join("effects").display().to_string();
    let workers = [site.worker(&[]), site.worker(&[])];
    let told = workers[0].says("database opened");
    assert!(told.contains("polling"), "{told}");
    let mut tasks = Vec::new();
    for number in 0..30 {
        tasks.push(site.enqueue(&WriteRow { number }).await);
        let file = effects.clone();
        tasks.push(site.enqueue(&CountEffect { number, file }).await);
        tasks.push(site.enqueue(&Sleep { millis: 20 }).await);
    }
    for task in tasks {
        let summary = site.until(task, is_done).await.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
    assert_eq!(std::fs::read_to_string(&effects).unwrap().lines().count(), 30);
    for worker in workers {
        let log = worker.log();
        assert!(!log.contains("ERROR") && !log.contains("\"error\""), "{log}");
    }
    let told = site.worker_with(&[], &[("DATABASE_LISTEN_URL", &url)]).says("database opened");
    assert!(told.contains("through a pooler, new tasks are told by LISTEN"), "{told}");
}
