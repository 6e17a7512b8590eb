//! What counts as an attempt.

use tasks::{LeaseRequest, Rescued, Settle, Settled, TaskState};
use values::Span;

use crate::world::{JOBS, World, completed, leases};

pub(crate) async fn count_when_they_start(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let unstarted = LeaseRequest { start: 0, hold: 5, ..world.request(worker) };
    let held = world.store.lease(unstarted).await.unwrap();
    assert_eq!((held.len(), held[0].attempt, held[0].started), (1, 0, false));
    assert_eq!(world.summary(id).await.attempt, 0);
    let start = || world.store.start(worker, leases(&held));
    assert!(world.store.start(worker, vec![(held[0].row, 1)]).await.unwrap().is_empty());
    assert!(world.store.start(worker + 1, leases(&held)).await.unwrap().is_empty());
    assert_eq!(start().await.unwrap(), [held[0].row]);
    assert_eq!(world.summary(id).await.attempt, 1);
    assert_eq!(world.summary(id).await.started_at, Some(world.now()));
    assert!(start().await.unwrap().is_empty(), "it has started already");
    assert_eq!(world.summary(id).await.attempt, 1);
    world.end(&held[0], completed()).await;
    assert!(start().await.unwrap().is_empty());
}

pub(crate) async fn do_not_count_for_prefetched_tasks(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    for _ in 0..5 {
        let unstarted = LeaseRequest { start: 0, hold: 5, ..world.request(worker) };
        let held = world.store.lease(unstarted).await.unwrap();
        world.end(&held[0], Settle::GiveBack).await;
    }
    let summary = world.summary(id).await;
    assert_eq!((summary.state, summary.attempt), (TaskState::Available, 0));
}

pub(crate) async fn count_when_given_back(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, Settle::GiveBack).await;
    let summary = world.summary(id).await;
    assert_eq!((summary.state, summary.attempt), (TaskState::Available, 1));
    assert_eq!(world.lease_one(worker).await.attempt, 2);
}

pub(crate) async fn are_never_more_than_allowed(world: &World) {
    let mut once = world.task(JOBS[0]);
    once.stamp.max_attempts = 1;
    let id = world.put(once).await.task_id;
    for _ in 0..2 {
        let worker = world.worker().await;
        let lease = world.lease_one(worker).await;
        assert_eq!((lease.attempt, lease.max_attempts), (1, 1));
        world.end(&lease, Settle::GiveBack).await;
        assert_eq!(world.lease_one(worker).await.attempt, 1, "given back with an attempt left");
        world.store.sign_off(worker).await.unwrap();
        assert_eq!(world.state(id).await, TaskState::Available);
    }
}

pub(crate) async fn do_not_count_when_snoozed(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    for _ in 0..5 {
        let lease = world.lease_one(worker).await;
        assert_eq!(lease.attempt, 1);
        world.end(&lease, Settle::Snooze { after: Span::from_seconds(5) }).await;
        assert!(world.lease(worker).await.is_empty());
        let summary = world.summary(id).await;
        assert_eq!((summary.state, summary.attempt), (TaskState::Scheduled, 0));
        world.clock.advance(Span::from_seconds(5));
    }
    let unstarted = LeaseRequest { start: 0, hold: 1, ..world.request(worker) };
    let held = world.store.lease(unstarted).await.unwrap();
    world.end(&held[0], Settle::Snooze { after: Span::ZERO }).await;
    assert_eq!(world.summary(id).await.attempt, 0, "there was no attempt to take back");
}

pub(crate) async fn count_for_dead_workers_until_poison_ends(world: &World) {
    let poison = world.add(JOBS[0]).await;
    let mut patient = world.task(JOBS[1]);
    patient.stamp.max_attempts = 100;
    let patient = world.put(patient).await.task_id;
    for round in 1..=3 {
        let worker = world.worker().await;
        assert_eq!(world.lease(worker).await.len(), 2);
        world.store.heartbeat(worker).await.unwrap();
        let silent: Vec<_> = world.store.beats().await.unwrap();
        assert_eq!(silent, [(worker, 1)]);
        let rescued = world.store.rescue(silent).await.unwrap();
        let discarded: Vec<_> =
            (round == 3).then(|| (poison, JOBS[0].to_owned())).into_iter().collect();
        let returned = if round == 3 { 1 } else { 2 };
        assert_eq!(rescued, Rescued { workers: 1, returned, discarded });
        assert!(world.store.heartbeat(worker).await.unwrap().dead);
    }
    let detail = world.store.get(poison).await.unwrap();
    assert_eq!((detail.summary.state, detail.summary.attempt), (TaskState::Discarded, 3));
    let told: Vec<_> = detail
        .attempts
        .iter()
        .map(|a| (a.attempt, a.outcome.as_str(), a.code.as_deref()))
        .collect();
    let lost = Some("worker_lost");
    assert_eq!(told, [(1, "retried", lost), (2, "retried", lost), (3, "discarded", lost)]);
    assert_eq!(world.summary(patient).await.state, TaskState::Available);
}

/// Whoever settled it asked for one attempt more than were allowed.
pub(crate) async fn stay_counted_when_the_worker_of_a_prefetched_task_dies(world: &World) {
    let mut once = world.task(JOBS[0]);
    once.stamp.max_attempts = 1;
    let id = world.put(once).await.task_id;
    let worker = world.worker().await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, Settle::Retry { after: Span::ZERO }).await;
    let unstarted = LeaseRequest { start: 0, hold: 1, ..world.request(worker) };
    assert_eq!(world.store.lease(unstarted).await.unwrap().len(), 1);
    assert_eq!(world.store.rescue(vec![(worker, 0)]).await.unwrap().returned, 1);
    let summary = world.summary(id).await;
    assert_eq!((summary.state, summary.attempt), (TaskState::Available, 1));
}

pub(crate) async fn are_returned_when_a_worker_signs_off(world: &World) {
    let worker = world.worker().await;
    let (one, two) = (world.add(JOBS[0]).await, world.add(JOBS[0]).await);
    let mixed = LeaseRequest { start: 1, hold: 1, ..world.request(worker) };
    let leased = world.store.lease(mixed).await.unwrap();
    let mut known = world.store.leases(worker).await.unwrap();
    known.sort_unstable();
    assert_eq!(known, leased.iter().map(|task| (task.row, task.token)).collect::<Vec<_>>());
    world.store.sign_off(worker).await.unwrap();
    assert!(world.store.leases(worker).await.unwrap().is_empty());
    assert_eq!(world.summary(one).await.attempt, 1, "its handler had started");
    assert_eq!(world.summary(two).await.attempt, 0);
    assert!(world.store.beats().await.unwrap().is_empty());
    assert!(world.store.heartbeat(worker).await.unwrap().dead);
    assert_eq!(world.settle(&leased[0], completed()).await, Settled::LeaseLost);
    let other = world.worker().await;
    assert_eq!(world.lease(other).await.len(), 2);
}

pub(crate) async fn are_not_rescued_from_a_worker_that_lives(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    let silent = world.store.beats().await.unwrap();
    world.store.heartbeat(worker).await.unwrap();
    assert_eq!(world.store.rescue(silent).await.unwrap(), Rescued::default());
    assert_eq!(world.state(id).await, TaskState::Running);
    world.end(&lease, completed()).await;
}
