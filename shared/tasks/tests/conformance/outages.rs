//! The server's engine when network or server go away, or a caller keeps a transaction open.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use database::{Query, Tx};
use tasks::{LeaseRequest, LeasedTask, NewTask, Settle, StoreError, TaskState, TaskStore};
use testkit::{PostgresServer, Profile, Proxy, shared_postgres};
use values::{Span, TaskId};

use crate::world::{JOBS, World, completed, ids, postgres, postgres_at, settlement};

/// How long anything may take to be over an outage.
const PATIENCE: Duration = Duration::from_secs(30);

/// Repeats a call until the store answers.
macro_rules! again {
    ($call:expr) => {{
        let began = Instant::now();
        loop {
            match $call.await {
                Ok(answer) => break answer,
                Err(error) if began.elapsed() > PATIENCE => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }};
}

/// Leases and settles until all have come; returns how often each was received.
async fn work(
    store: Arc<dyn TaskStore>,
    request: LeaseRequest,
    all: usize,
) -> HashMap<TaskId, u32> {
    let mut received = HashMap::new();
    while received.len() < all {
        let leased = again!(store.lease(request.clone()));
        for id in ids(&leased) {
            *received.entry(id).or_insert(0) += 1;
        }
        again!(store.settle(leased.iter().map(|lease| settlement(lease, completed())).collect()));
    }
    received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_at_any_moment_lose_and_double_nothing() {
    const BATCHES: usize = 25;
    const BATCH: usize = 25;
    const CUTS: u64 = 30;
    let database = shared_postgres().await.unwrap().fresh_database().await.unwrap();
    let proxy = Proxy::start(database.server().address()).await.unwrap();
    let url = database.url_through(proxy.address());
    let world = postgres_at(&url, Box::new(database)).await;
    let worker = world.worker().await;
    let request = LeaseRequest { wait: Span::from_millis(300), start: 30, ..world.request(worker) };
    let working = tokio::spawn(work(Arc::clone(&world.store), request, BATCHES * BATCH));
    let breaking = tokio::spawn(async move {
        for at in 0..CUTS {
            // Somewhere in the middle of whatever is under way.
            proxy.cut_after(at * 977 % 8_000);
            tokio::time::sleep(Duration::from_millis(50 + at * 37 % 100)).await;
        }
        proxy
    });
    let mut stored = HashSet::new();
    for _ in 0..BATCHES {
        let batch: Vec<NewTask> = (0..BATCH).map(|_| world.task(JOBS[0])).collect();
        let answers = again!(world.store.enqueue(batch.clone()));
        stored.extend(answers.iter().map(|answer| answer.task_id));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _proxy = breaking.await.unwrap();
    let received = tokio::time::timeout(PATIENCE * 2, working).await.unwrap().unwrap();
    assert_eq!(stored.len(), BATCHES * BATCH);
    assert_eq!(received.keys().copied().collect::<HashSet<_>>(), stored);
    assert!(received.values().all(|times| *times == 1), "{received:?}");
    for id in &stored {
        let state = again!(world.store.get(*id)).summary.state;
        assert_eq!(state, TaskState::Completed);
    }
    let counts = again!(world.store.conservation());
    assert!(counts.holds(), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_server_is_found_again_by_those_who_wait() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let world = postgres_at(&url, Box::new(())).await;
    let other = (world.another)().await;
    let worker = world.worker().await;
    let request = LeaseRequest { wait: Span::from_seconds(60), ..world.request(worker) };
    let waiting = tokio::spawn(work(Arc::clone(&world.store), request, 1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.kill();
    let error = other.enqueue(vec![world.task(JOBS[0])]).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    server.start_again().await.unwrap();
    let task = world.task(JOBS[0]);
    let id = task.stamp.task_id;
    again!(other.enqueue(vec![task.clone()]));
    let received = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(received.into_keys().collect::<Vec<_>>(), [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_is_given_up() {
    let database = shared_postgres().await.unwrap().fresh_database().await.unwrap();
    let proxy = Proxy::start(database.server().address()).await.unwrap();
    let url = database.url_through(proxy.address());
    let world = postgres_at(&url, Box::new(database)).await;
    world.add(JOBS[0]).await;
    proxy.pause();
    let began = Instant::now();
    let error = world.store.enqueue(vec![world.task(JOBS[0])]).await.unwrap_err();
    assert!(error.is_transient() && began.elapsed() < Duration::from_secs(20), "{error}");
    proxy.resume();
    again!(world.store.enqueue(vec![world.task(JOBS[0])]));
}

/// Leases all, settles them, and enqueues a plain task of each job; nothing of it may wait.
async fn busy(world: &World) {
    let worker = world.worker().await;
    for job in JOBS {
        world.add(job).await;
    }
    for lease in world.lease(worker).await {
        world.end(&lease, completed()).await;
    }
}

async fn in_transaction(world: &World, tx: &mut Tx<'_>, tasks: Vec<NewTask>) -> Vec<bool> {
    let answers = world.store.enqueue_in(tx, tasks).await.unwrap();
    answers.iter().map(|answer| answer.existing).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_a_caller_leaves_open_holds_up_nobody() {
    let world = postgres().await;
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut transaction = world.db.begin().await.unwrap();
        let mut tx = transaction.tx();
        let set = format!("SET TRANSACTION ISOLATION LEVEL {level}");
        tx.execute(Query::built(set)).await.unwrap();
        // The first of their lanes, with and without a key.
        let mut first = world.task(&format!("test/{}", level.replace(' ', "_").to_lowercase()));
        first.source = "scheduler".parse().unwrap();
        let keyed = world.unique(level);
        let stored = in_transaction(&world, &mut tx, vec![first.clone(), keyed.clone()]).await;
        assert_eq!(stored, [false, false]);

        let others = async {
            busy(&world).await;
            world.put(NewTask { stamp: world.task(JOBS[0]).stamp, ..first.clone() }).await;
            world.put(world.unique(&format!("{level}, another"))).await;
        };
        tokio::time::timeout(Duration::from_secs(5), others).await.unwrap();

        // Who wants the same key waits for the transaction, and is told of its task.
        let (same, store) = (world.unique(level), Arc::clone(&world.store));
        let waiting = tokio::spawn(async move { store.enqueue(vec![same]).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        busy(&world).await;
        transaction.commit().await.unwrap();
        world.store.wake();
        let answer = waiting.await.unwrap().unwrap()[0];
        assert_eq!((answer.task_id, answer.existing), (keyed.stamp.task_id, true));
        assert_eq!(world.state(first.stamp.task_id).await, TaskState::Available);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_final_write_waits_no_longer_than_it_may_and_undoes_itself_alone() {
    let world = postgres().await;
    world.domain_table().await;
    let worker = world.worker().await;
    for _ in 0..2 {
        world.add(JOBS[0]).await;
    }
    let leases: Vec<LeasedTask> = world.lease(worker).await;
    // A final write that waits for a row which a caller's transaction holds.
    let mut transaction = world.db.begin().await.unwrap();
    let insert = "INSERT INTO domain (id) VALUES (1)";
    transaction.tx().execute(Query::new(insert)).await.unwrap();
    let write: tasks::FinalWrite = Box::new(move |tx| {
        Box::pin(async move { tx.execute(Query::new(insert)).await.map(|_| ()) })
    });
    let blocked = Settle::Completed { result: None, write: Some(write), follow_ups: Vec::new() };
    let batch = vec![settlement(&leases[0], blocked), settlement(&leases[1], completed())];
    let store = Arc::clone(&world.store);
    let settling = tokio::spawn(async move { store.settle(batch).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Others go on meanwhile.
    tokio::time::timeout(Duration::from_secs(5), busy(&world)).await.unwrap();
    let settled = settling.await.unwrap().unwrap();
    let refused = matches!(settled[0], tasks::Settled::WriteFailed { transient: true, .. });
    assert!(refused, "{settled:?}");
    assert!(matches!(settled[1], tasks::Settled::Done { .. }), "{settled:?}");
    transaction.rollback().await.unwrap();
    assert_eq!(world.state(leases[0].task.task_id).await, TaskState::Running);
    assert_eq!(world.domain_rows().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_write_waits_for_few_others_before_it_is_committed() {
    let world = postgres().await;
    let create = "CREATE TABLE written (transaction BIGINT NOT NULL)";
    world.db.execute(Query::new(create)).await.unwrap();
    let worker = world.worker().await;
    let batch = (0..100).map(|_| world.task(JOBS[0])).collect();
    world.store.enqueue(batch).await.unwrap();
    let mut settling = tokio::task::JoinSet::new();
    for lease in world.lease(worker).await {
        let write: tasks::FinalWrite = Box::new(|tx| {
            Box::pin(async move {
                let insert = "INSERT INTO written VALUES (CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT))";
                tx.execute(Query::new(insert)).await.map(|_| ())
            })
        });
        let settle = Settle::Completed { result: None, write: Some(write), follow_ups: Vec::new() };
        let (store, one) = (Arc::clone(&world.store), vec![settlement(&lease, settle)]);
        settling.spawn(async move { store.settle(one).await.unwrap() });
    }
    assert_eq!(settling.join_all().await.len(), 100);
    let groups = "SELECT count(*) FROM written GROUP BY transaction";
    let groups = world.db.all(Query::new(groups)).await.unwrap();
    let sizes: Vec<i64> = groups.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(sizes.iter().sum::<i64>(), 100);
    assert!(sizes.iter().all(|size| *size <= 16), "{sizes:?}");
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_refused_with_the_command_to_run() {
    let database = shared_postgres().await.unwrap().fresh_database().await.unwrap();
    let settings = database::PostgresSettings::new(values::Secret::new(database.url().to_owned()));
    let db = database::Db::open_postgres(&settings).await.unwrap();
    let clock = Arc::new(crate::world::TestClock::new());
    let error = tasks::PostgresStore::open(db, clock).await.unwrap_err();
    let error = StoreError::from(error).to_string();
    assert!(error.contains("main-worker migrate"), "{error}");
}
