//! One task per unique key.

use tasks::{Enqueued, NewTask, PruneLimits, Settle, Settled, StoreError, TaskState};
use values::Span;

use crate::world::{World, completed, settlement};

pub(crate) async fn block_while_their_task_waits_or_runs(world: &World) {
    let worker = world.worker().await;
    let mut scheduled = world.in_future(Span::from_seconds(10));
    scheduled.stamp.unique_key = Some("key".to_owned());
    let first = world.put(scheduled).await;
    let blocked = Enqueued { existing: true, ..first };
    assert_eq!(world.put(world.unique("key")).await, blocked);
    assert!(!world.put(world.unique("other")).await.existing);
    world
        .store
        .discard(world.put(world.unique("third")).await.task_id, "x".to_owned())
        .await
        .unwrap();
    assert!(!world.put(world.unique("third")).await.existing, "discarding frees");
    for lease in world.lease(worker).await {
        world.end(&lease, completed()).await;
    }

    world.clock.advance(Span::from_seconds(10));
    let lease = world.lease_one(worker).await;
    assert_eq!(world.put(world.unique("key")).await, blocked);
    world.end(&lease, Settle::Retry { after: Span::ZERO }).await;
    assert_eq!(world.put(world.unique("key")).await, blocked);
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    let next = world.put(world.unique("key")).await;
    assert!(!next.existing && next.task_id != first.task_id);
    world.store.cancel(next.task_id).await.unwrap();
    assert!(!world.put(world.unique("key")).await.existing);
}

pub(crate) async fn block_for_their_period(world: &World) {
    let worker = world.worker().await;
    let mut task = world.unique("key");
    task.unique_for = Some(Span::from_hours(1));
    let first = world.put(task).await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    world.clock.advance(Span::from_minutes(59));
    assert_eq!(world.put(world.unique("key")).await, Enqueued { existing: true, ..first });
    world.clock.advance(Span::from_minutes(1));
    assert!(!world.put(world.unique("key")).await.existing);
}

pub(crate) async fn block_for_their_period_beyond_pruning(world: &World) {
    let worker = world.worker().await;
    let mut task = world.unique("key");
    task.unique_for = Some(Span::from_days(50));
    task.stamp.not_after = world.now().after(Span::from_days(1));
    let first = world.put(task).await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    world.clock.advance(Span::from_days(40));
    let now = world.now();
    let limits = PruneLimits { completed_before: now, discarded_before: now, limit: 100 };
    assert_eq!(world.store.prune(limits).await.unwrap(), 1);
    assert_eq!(world.put(world.unique("key")).await, Enqueued { existing: true, ..first });
    world.clock.advance(Span::from_days(11));
    world.store.prune(limits).await.unwrap();
    assert!(!world.put(world.unique("key")).await.existing);
}

pub(crate) async fn block_within_a_batch(world: &World) {
    let batch = vec![world.unique("key"), world.task("test/one"), world.unique("key")];
    let answers = world.store.enqueue(batch).await.unwrap();
    assert!(!answers[0].existing && !answers[1].existing);
    assert_eq!(answers[2], Enqueued { existing: true, ..answers[0] });
}

pub(crate) async fn are_free_for_the_follow_up_of_their_task(world: &World) {
    let worker = world.worker().await;
    world.put(world.unique("key")).await;
    let lease = world.lease_one(worker).await;
    let follow_ups = vec![world.unique("key")];
    let next = follow_ups[0].stamp.task_id;
    let settled = world.settle(&lease, Settle::Completed { result: None, write: None, follow_ups });
    let stored = Enqueued { task_id: next, existing: false };
    assert_eq!(settled.await, Settled::Done { follow_ups: vec![stored] });
    assert_eq!(world.put(world.unique("key")).await, Enqueued { existing: true, ..stored });
}

pub(crate) async fn are_free_for_later_settlements_of_the_batch(world: &World) {
    are_free_behind(world, Vec::new()).await;
}

/// The holder's own follow-up has no key, so that nothing can refuse it.
pub(crate) async fn are_free_for_later_settlements_beside_plain_follow_ups(world: &World) {
    are_free_behind(world, vec![world.task("test/one")]).await;
}

/// The holder of a key ends with these follow-ups; a later settlement of the batch asks for the key.
async fn are_free_behind(world: &World, of_holder: Vec<NewTask>) {
    let worker = world.worker().await;
    world.put(world.unique("key")).await;
    let holder = world.lease_one(worker).await;
    world.put(world.task("test/one")).await;
    let asker = world.lease_one(worker).await;
    let of_asker = vec![world.unique("key")];
    let stored = |task: &NewTask| Enqueued { task_id: task.stamp.task_id, existing: false };
    let expected = [&of_holder, &of_asker]
        .map(|tasks| Settled::Done { follow_ups: tasks.iter().map(stored).collect() });
    let with = |follow_ups| Settle::Completed { result: None, write: None, follow_ups };
    let next = of_asker[0].stamp.task_id;
    let batch = vec![settlement(&holder, with(of_holder)), settlement(&asker, with(of_asker))];
    assert_eq!(world.store.settle(batch).await.unwrap(), expected);
    let again = world.put(world.unique("key")).await;
    assert_eq!(again, Enqueued { task_id: next, existing: true });
}

pub(crate) async fn are_taken_back_by_a_retry(world: &World) {
    let worker = world.worker().await;
    let first = world.put(world.unique("key")).await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, Settle::Discard).await;
    let second = world.put(world.unique("key")).await;
    assert!(!second.existing);
    let refused = world.store.retry(first.task_id).await.unwrap_err();
    assert!(matches!(refused, StoreError::WrongState { .. }), "{refused}");
    assert_eq!(world.state(first.task_id).await, TaskState::Discarded);

    world.store.cancel(second.task_id).await.unwrap();
    world.store.retry(first.task_id).await.unwrap();
    assert_eq!(world.put(world.unique("key")).await, Enqueued { existing: true, ..first });
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    assert!(!world.put(world.unique("key")).await.existing);
}
