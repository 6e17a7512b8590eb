//! The embedded engine on a disk that is full, read-only or gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use database::{Db, DbError, Query};
use envelope::RawJson;
use tasks::{LeaseRequest, NewTask, StoreError, TaskState};
use values::Span;

use crate::world::{JOBS, World, completed, sqlite};

/// How often leases may try the database in [`TRIED_FOR`] while it fails.
const MOST_TRIES: usize = 5;
const TRIED_FOR: Duration = Duration::from_millis(1_500);

/// The path of the world's database file.
async fn path(db: &Db) -> PathBuf {
    let row = db.first(Query::new("SELECT file FROM pragma_database_list")).await.unwrap();
    row.unwrap().get::<String>(0).unwrap().into()
}

/// Leaves room for so many more pages on the connection that the store writes with.
async fn leave_room(db: &Db, pages: i64) {
    let mut transaction = db.begin().await.unwrap();
    let count = transaction.tx().first(Query::new("PRAGMA page_count")).await.unwrap();
    let most = count.unwrap().get::<i64>(0).unwrap() + pages;
    let limit = format!("PRAGMA max_page_count = {most}");
    transaction.tx().execute(Query::built(limit)).await.unwrap();
    transaction.commit().await.unwrap();
}

fn large(world: &World) -> Vec<NewTask> {
    let payload = RawJson::from_value(&"x".repeat(2_000)).unwrap();
    (0..20).map(|_| NewTask { payload: payload.clone(), ..world.task(JOBS[0]) }).collect()
}

/// Asks for a lease again and again, as a worker without manners would; counts the answers.
async fn count_tries(world: &World, worker: i64) -> usize {
    let begin = Instant::now();
    let mut tries = 0;
    while begin.elapsed() < TRIED_FOR {
        world.store.lease(world.request(worker)).await.unwrap_err();
        tries += 1;
    }
    tries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_whole_batches_and_goes_on_when_there_is_room() {
    let world = sqlite().await;
    let worker = world.worker().await;
    leave_room(&world.db, 40).await;
    let mut stored = 0;
    let (refused, error) = loop {
        let batch = large(&world);
        match world.store.enqueue(batch.clone()).await {
            Ok(answers) => stored += answers.len(),
            Err(error) => break (batch, error),
        }
        assert!(stored < 10_000, "the disk never fills up");
    };
    assert!(error.is_transient());
    assert!(error.to_string().contains("disk that holds the database is full"), "{error}");
    for task in &refused {
        let missing = world.store.get(task.stamp.task_id).await.unwrap_err();
        assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    }
    assert_eq!(world.store.depths().await.unwrap()[0].count, stored as u64);

    leave_room(&world.db, 1_000_000).await;
    let again = world.store.enqueue(refused.clone()).await.unwrap();
    assert!(again.iter().all(|answer| !answer.existing));
    let mut ran = 0;
    loop {
        let leased = world.lease(worker).await;
        if leased.is_empty() {
            break;
        }
        for lease in &leased {
            world.end(lease, completed()).await;
        }
        ran += leased.len();
    }
    assert_eq!(ran, stored + refused.len());
    assert_eq!(world.state(refused[0].stamp.task_id).await, TaskState::Completed);
    let intact = world.db.first(Query::new("PRAGMA integrity_check")).await.unwrap().unwrap();
    assert_eq!(intact.get::<String>(0).unwrap(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_written_is_said_so_and_left_alone() {
    let world = sqlite().await;
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    // What SQLite says of a file system that was mounted read-only, whoever runs the test.
    let mut transaction = world.db.begin().await.unwrap();
    transaction.tx().execute(Query::new("PRAGMA query_only = on")).await.unwrap();
    transaction.rollback().await.unwrap();
    let error = world.store.enqueue(vec![world.task(JOBS[0])]).await.unwrap_err();
    let StoreError::Unavailable(cause) = &error else { panic!("{error}") };
    assert!(matches!(**cause, DbError::ReadOnly), "{error}");
    assert!(!error.is_transient());
    let tries = count_tries(&world, worker).await;
    assert!((1..=MOST_TRIES).contains(&tries), "{tries}");
    assert_eq!(world.state(id).await, TaskState::Available, "it can still be read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_is_noticed_by_everyone_who_waits() {
    let world = sqlite().await;
    let worker = world.worker().await;
    let file = path(&world.db).await;
    let store = Arc::clone(&world.store);
    let patient = LeaseRequest { wait: Span::from_seconds(60), ..world.request(worker) };
    let waiting = tokio::spawn(async move { store.lease(patient).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    std::fs::remove_file(&file).unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
    let named = |error: StoreError| {
        let text = error.to_string();
        assert!(text.contains("deleted or replaced"), "{text}");
        assert!(text.contains(file.to_str().unwrap()), "{text}");
    };
    named(told.unwrap_err());
    named(world.store.enqueue(vec![world.task(JOBS[0])]).await.unwrap_err());
    named(world.store.check().await.unwrap_err());
    let tries = count_tries(&world, worker).await;
    assert!((1..=MOST_TRIES).contains(&tries), "{tries}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_after_a_failure_is_not_told_that_there_is_nothing() {
    let world = sqlite().await;
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let gone = path(&world.db).await;
    let aside = gone.with_extension("aside");
    std::fs::rename(&gone, &aside).unwrap();
    world.store.enqueue(vec![world.task(JOBS[0])]).await.unwrap_err();
    std::fs::rename(&aside, &gone).unwrap();
    // The pause after the failure lasts longer than this request is willing to wait.
    assert_eq!(crate::world::ids(&world.lease(worker).await), [id]);
}

#[tokio::test]
async fn a_damaged_row_keeps_no_other_task_from_running() {
    let world = sqlite().await;
    let worker = world.worker().await;
    let (damaged, orphan) = (world.add(JOBS[0]).await, world.add(JOBS[0]).await);
    let intact = world.add(JOBS[0]).await;
    let row = world.summary(damaged).await.row;
    let run = |sql: String| world.db.execute(Query::built(sql));
    run(format!("UPDATE mw_task SET attempt = -5 WHERE seq = {row}")).await.unwrap_err();
    run("PRAGMA ignore_check_constraints = ON".to_owned()).await.unwrap();
    run(format!("UPDATE mw_task SET attempt = -5 WHERE seq = {row}")).await.unwrap();
    let row = world.summary(orphan).await.row;
    run(format!("DELETE FROM mw_envelope WHERE seq = {row}")).await.unwrap();

    let leased = world.lease(worker).await;
    assert_eq!(leased.len(), 1, "{leased:?}");
    assert_eq!(leased[0].task.task_id, intact);
    world.end(&leased[0], completed()).await;
    let ended = world.summary(damaged).await;
    assert_eq!(ended.state, TaskState::Discarded);
    assert!(ended.error.unwrap().contains("cannot be read"));
    assert_eq!(world.store.depths().await.unwrap(), []);
}
