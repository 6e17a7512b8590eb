//! How many tasks of a source may wait or run.

use database::Query;
use tasks::{NewTask, Settle, Settled, StoreError};

use crate::world::{JOBS, World, completed};

/// A task of a source that may have `limit` of them.
fn limited(world: &World, job: &str, limit: u64) -> NewTask {
    NewTask { max_waiting: Some(limit), ..world.task(job) }
}

fn refused(error: &StoreError) -> (&str, u64, u64) {
    assert!(error.is_transient());
    match error {
        StoreError::QuotaExceeded { from, limit, waiting } => (from.as_str(), *limit, *waiting),
        other => panic!("{other}"),
    }
}

pub(crate) async fn hold_for_all_jobs_of_the_source(world: &World) {
    for job in JOBS {
        world.put(limited(world, job, 2)).await;
    }
    let task = limited(world, JOBS[0], 2);
    let id = task.stamp.task_id;
    let error = world.store.enqueue(vec![task]).await.unwrap_err();
    assert_eq!(refused(&error), ("api", 2, 2));
    assert!(error.to_string().contains("max_waiting of [sources.api]"), "{error}");
    assert!(world.store.get(id).await.is_err());
    let mut other = limited(world, JOBS[0], 2);
    other.source = "dashboard".parse().unwrap();
    world.put(other).await;
    world.put(world.task(JOBS[0])).await;
    assert!(world.store.conservation().await.unwrap().holds());
}

pub(crate) async fn refuse_a_call_as_a_whole_and_no_other(world: &World) {
    world.add(JOBS[0]).await;
    let batch = |size: usize| (0..size).map(|_| limited(world, JOBS[0], 4)).collect::<Vec<_>>();
    // Made at once, so that they are written together.
    let calls = [batch(4), batch(1), batch(3), batch(2), vec![world.task(JOBS[1])]];
    let ids = calls.each_ref().map(|call| call.iter().map(|t| t.stamp.task_id).collect::<Vec<_>>());
    let answers = futures_util::future::join_all(calls.map(|call| world.store.enqueue(call))).await;
    refused(answers[0].as_ref().unwrap_err());
    assert!(answers[4].is_ok());
    let mut stored = 0;
    for (answer, ids) in answers.iter().zip(&ids).take(4) {
        for id in ids {
            assert_eq!(world.store.get(*id).await.is_ok(), answer.is_ok());
        }
        stored += if answer.is_ok() { ids.len() } else { 0 };
    }
    assert!((1..=3).contains(&stored), "{answers:?}");
    assert!(world.store.conservation().await.unwrap().holds());
}

pub(crate) async fn answer_a_repeat_as_before(world: &World) {
    let task = limited(world, JOBS[0], 1);
    world.put(task.clone()).await;
    assert!(world.put(task.clone()).await.existing);
    let error = world.store.enqueue(vec![task, limited(world, JOBS[0], 1)]).await.unwrap_err();
    assert_eq!(refused(&error), ("api", 1, 1));
}

pub(crate) async fn leave_room_again_when_tasks_end(world: &World) {
    let worker = world.worker().await;
    world.put(limited(world, JOBS[0], 1)).await;
    let lease = world.lease_one(worker).await;
    let task = limited(world, JOBS[0], 1);
    let error = world.store.enqueue(vec![task.clone()]).await.unwrap_err();
    assert_eq!(refused(&error), ("api", 1, 1), "a running task is one of them");
    world.end(&lease, completed()).await;
    assert!(!world.put(task).await.existing);
}

pub(crate) async fn leave_the_transaction_of_the_caller_as_it_was(world: &World) {
    world.domain_table().await;
    world.put(limited(world, JOBS[0], 2)).await;
    let mut transaction = world.db.begin().await.unwrap();
    let mut tx = transaction.tx();
    let batch = vec![limited(world, JOBS[0], 2), limited(world, JOBS[1], 2)];
    let ids: Vec<_> = batch.iter().map(|task| task.stamp.task_id).collect();
    let error = world.store.enqueue_in(&mut tx, batch).await.unwrap_err();
    assert_eq!(refused(&error), ("api", 2, 1));
    tx.execute(Query::new("INSERT INTO domain (id) VALUES (1)")).await.unwrap();
    let fits = limited(world, JOBS[0], 2);
    let stored = world.store.enqueue_in(&mut tx, vec![fits]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(world.domain_rows().await, 1);
    assert!(world.store.get(stored[0].task_id).await.is_ok());
    for id in ids {
        assert!(world.store.get(id).await.is_err());
    }
    assert!(world.store.conservation().await.unwrap().holds());
}

pub(crate) async fn fail_follow_ups_for_the_moment(world: &World) {
    world.domain_table().await;
    let worker = world.worker().await;
    world.put(limited(world, JOBS[0], 1)).await;
    let lease = world.lease_one(worker).await;
    let insert = || -> tasks::FinalWrite {
        Box::new(|tx| {
            Box::pin(async move {
                let query = Query::new("INSERT INTO domain (id) VALUES (1)");
                tx.execute(query).await.map(|_| ())
            })
        })
    };
    let with = |follow_ups| Settle::Completed { result: None, write: Some(insert()), follow_ups };
    let two = vec![limited(world, JOBS[0], 1), limited(world, JOBS[0], 1)];
    let settled = world.settle(&lease, with(two)).await;
    let Settled::WriteFailed { error, transient: true } = &settled else { panic!("{settled:?}") };
    assert!(error.contains("max_waiting allows 1"), "{error}");
    assert_eq!(world.domain_rows().await, 0);
    // The task that ends makes room for one.
    world.end(&lease, with(vec![limited(world, JOBS[0], 1)])).await;
    assert_eq!(world.domain_rows().await, 1);
    assert_eq!(world.lease(worker).await.len(), 1);
    assert!(world.store.conservation().await.unwrap().holds());
}
