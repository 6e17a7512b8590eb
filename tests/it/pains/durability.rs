//! What was acknowledged is on disk, and a server that could forget it is told.

use database::Query;
use main_worker::bench::WriteRow;
use tasks::TaskState;
use testkit::{PostgresServer, Profile};

use super::{ended, numbers, open, shell_of, site_of};
use crate::site::Site;

const TASKS: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn pain_08_settings_of_the_server_lose_jobs() {
    // As in production, but for the disk, which is memory.
    let options = PostgresServer::options(Profile::Fast).set("fsync", "on");
    let server = options.start().await.unwrap();
    let site = site_of(&server).await;
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        tasks.push(site.enqueue(&WriteRow { number }).await);
    }
    let worker = site.worker(&[]);
    for task in &tasks {
        site.until(*task, ended).await;
    }
    let log = worker.log();
    assert!(!log.contains("may lose"), "{log}");
    worker.kill();
    for number in 0..TASKS {
        site.enqueue(&WriteRow { number: TASKS + number }).await;
    }
    // The server dies the moment the last one was acknowledged.
    server.kill();
    server.start_again().await.unwrap();
    let (db, again) = (open(&site.url()).await, Site::at(&site.url()).await);
    let count = TASKS.cast_signed();
    assert_eq!(numbers(&db, "SELECT count(*) FROM mw_task").await, [count]);
    assert_eq!(numbers(&db, "SELECT count(DISTINCT number) FROM bench_row").await, [count]);
    for task in &tasks {
        let summary = again.task(*task).await.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }

    let sound = shell_of(&site).ok(&["check"]);
    assert!(!sound.contains("warning"), "{sound}");
    let name = site.url().rsplit('/').next().unwrap().to_owned();
    let alter = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    db.execute(Query::built(alter)).await.unwrap();
    let told = shell_of(&site).ok(&["check"]);
    assert!(told.contains("warning: synchronous_commit is off"), "{told}");
    let careless = site.worker(&[]).says("the database server may lose");
    assert!(careless.contains("set synchronous_commit = on"), "{careless}");
}

#[tokio::test]
async fn pain_08_a_server_without_fsync_is_told() {
    // The one that tests share.
    let site = Site::postgres().await;
    let told = shell_of(&site).ok(&["check"]);
    assert!(told.contains("warning: fsync is off") && told.contains("fsync = on"), "{told}");
}
