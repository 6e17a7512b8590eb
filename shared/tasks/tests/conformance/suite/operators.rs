//! What people do to tasks by hand.

use tasks::{LeaseRequest, Settle, StoreError, TaskState};
use values::{Span, TaskId, Timestamp};

use crate::world::{JOBS, World, completed, leases};

fn assert_wrong_state<T: std::fmt::Debug>(answer: Result<T, StoreError>, expected: TaskState) {
    match answer {
        Err(StoreError::WrongState { state, .. }) => assert_eq!(state, expected),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn pause_and_resume(world: &World) {
    let job = || Some(JOBS[0].to_owned());
    world.store.pause(job()).await.unwrap();
    world.store.pause(job()).await.unwrap();
    world.store.pause(None).await.unwrap();
    assert_eq!(world.store.paused().await.unwrap(), ["*", JOBS[0]]);
    assert!(world.store.resume(job()).await.unwrap());
    assert!(!world.store.resume(job()).await.unwrap());
    assert!(world.store.resume(None).await.unwrap());
    assert!(world.store.paused().await.unwrap().is_empty());

    // A worker that waits goes on as soon as the pause ends.
    world.store.pause(None).await.unwrap();
    let worker = world.worker().await;
    world.add(JOBS[0]).await;
    let request = LeaseRequest { wait: Span::from_seconds(20), ..world.request(worker) };
    let (leased, resumed) =
        futures_util::future::join(world.store.lease(request), world.store.resume(None)).await;
    assert!(resumed.unwrap());
    assert_eq!(leased.unwrap().len(), 1);
}

pub(crate) async fn cancel_waiting_tasks_at_once(world: &World) {
    let worker = world.worker().await;
    let available = world.add(JOBS[0]).await;
    let scheduled = world.put(world.in_future(Span::from_hours(1))).await.task_id;
    assert_eq!(world.store.cancel(available).await.unwrap(), TaskState::Available);
    assert_eq!(world.store.cancel(scheduled).await.unwrap(), TaskState::Scheduled);
    assert!(world.lease(worker).await.is_empty());
    for id in [available, scheduled] {
        let summary = world.summary(id).await;
        assert_eq!(summary.state, TaskState::Cancelled);
        assert_eq!(summary.finished_at, Some(world.now()));
        assert_wrong_state(world.store.cancel(id).await, TaskState::Cancelled);
    }
}

pub(crate) async fn cancel_running_tasks_through_the_heartbeat(world: &World) {
    let (worker, other) = (world.worker().await, world.worker().await);
    let (id, _) = (world.add(JOBS[0]).await, world.add(JOBS[0]).await);
    let leased = world.lease(worker).await;
    assert_eq!(world.store.cancel(id).await.unwrap(), TaskState::Running);
    assert_eq!(world.state(id).await, TaskState::Running);
    let beat = world.store.heartbeat(worker).await.unwrap();
    assert_eq!((beat.dead, beat.cancel), (false, vec![leased[0].row]));
    assert!(world.store.heartbeat(other).await.unwrap().cancel.is_empty());
    world.end(&leased[0], Settle::Cancel).await;
    assert_eq!(world.state(id).await, TaskState::Cancelled);
    assert!(world.store.heartbeat(worker).await.unwrap().cancel.is_empty());

    let held_back = world.add(JOBS[0]).await;
    let unstarted = LeaseRequest { start: 0, hold: 1, ..world.request(worker) };
    let held = world.store.lease(unstarted).await.unwrap();
    world.store.cancel(held_back).await.unwrap();
    assert!(world.store.start(worker, leases(&held)).await.unwrap().is_empty());
}

pub(crate) async fn cancel_what_goes_back(world: &World) {
    let (worker, dying) = (world.worker().await, world.worker().await);
    let signed_off = world.add(JOBS[0]).await;
    world.lease_one(worker).await;
    world.store.cancel(signed_off).await.unwrap();
    world.store.sign_off(worker).await.unwrap();
    assert_eq!(world.state(signed_off).await, TaskState::Cancelled);

    let rescued = world.add(JOBS[0]).await;
    world.lease_one(dying).await;
    world.store.cancel(rescued).await.unwrap();
    let answer = world.store.rescue(vec![(dying, 0)]).await.unwrap();
    assert_eq!((answer.workers, answer.returned, answer.discarded.len()), (1, 0, 0));
    assert_eq!(world.state(rescued).await, TaskState::Cancelled);
}

pub(crate) async fn retry_ended_tasks(world: &World) {
    let worker = world.worker().await;
    let ends = [
        (completed(), TaskState::Completed),
        (Settle::Discard, TaskState::Discarded),
        (Settle::Cancel, TaskState::Cancelled),
    ];
    for (settle, expected) in ends {
        let mut once = world.task(JOBS[0]);
        once.stamp.max_attempts = 1;
        let id = world.put(once).await.task_id;
        let lease = world.lease_one(worker).await;
        world.end(&lease, settle).await;
        assert_eq!(world.state(id).await, expected);
        world.store.retry(id).await.unwrap();
        let summary = world.summary(id).await;
        assert_eq!((summary.state, summary.finished_at), (TaskState::Available, None));
        let lease = world.lease_one(worker).await;
        assert_eq!((lease.task.task_id, lease.attempt, lease.max_attempts), (id, 2, 2));
        assert_wrong_state(world.store.retry(id).await, TaskState::Running);
        world.end(&lease, completed()).await;
        assert_eq!(world.state(id).await, TaskState::Completed);
    }
}

pub(crate) async fn retry_scheduled_tasks_at_once(world: &World) {
    let worker = world.worker().await;
    let id = world.put(world.in_future(Span::from_hours(1))).await.task_id;
    world.store.retry(id).await.unwrap();
    let lease = world.lease_one(worker).await;
    assert_eq!((lease.task.task_id, lease.run_at), (id, world.now()));
    world.end(&lease, completed()).await;

    let old = world.add(JOBS[0]).await;
    world.clock.advance(Span::from_seconds(1));
    let young = world.add(JOBS[0]).await;
    world.store.retry(old).await.unwrap();
    let order = crate::world::ids(&world.lease(worker).await);
    assert_eq!(order, [old, young], "what is available keeps its place");
}

pub(crate) async fn discard_waiting_tasks(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    world.store.discard(id, "no longer wanted".to_owned()).await.unwrap();
    let summary = world.summary(id).await;
    assert_eq!(summary.state, TaskState::Discarded);
    assert_eq!(summary.error.as_deref(), Some("no longer wanted"));
    assert_wrong_state(world.store.discard(id, String::new()).await, TaskState::Discarded);
    let running = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    assert_wrong_state(world.store.discard(running, String::new()).await, TaskState::Running);
    world.end(&lease, completed()).await;
}

pub(crate) async fn are_told_what_does_not_exist(world: &World) {
    let id = TaskId::new(Timestamp::EPOCH, [9; 10]);
    let missing = |error: StoreError| {
        assert!(matches!(error, StoreError::NotFound { task } if task == id), "{error}");
        assert!(!error.is_transient());
    };
    missing(world.store.get(id).await.unwrap_err());
    missing(world.store.cancel(id).await.unwrap_err());
    missing(world.store.retry(id).await.unwrap_err());
    missing(world.store.discard(id, String::new()).await.unwrap_err());
    world.store.check().await.unwrap();
    assert_eq!(world.store.now(), world.now());
}
