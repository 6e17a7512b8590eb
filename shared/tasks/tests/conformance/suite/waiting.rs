//! Leases that wait for a first task.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tasks::{LeaseRequest, LeasedTask, TaskState};
use values::Span;

use crate::world::{JOBS, World, completed, ids};

/// Rounds of which the median counts, so that one hiccup of the machine decides nothing.
const ROUNDS: usize = 5;
/// The longest time until a task of another process is noticed.
const NOTICED_WITHIN: Duration = Duration::from_millis(250);

fn patient(world: &World, worker: i64) -> LeaseRequest {
    LeaseRequest { wait: Span::from_seconds(20), ..world.request(worker) }
}

/// The median time from the beginning of `enqueue` to the answer of a lease that waits.
async fn median_wait(world: &World, store: &dyn tasks::TaskStore) -> Duration {
    let worker = world.worker().await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let waiting = world.store.lease(patient(world, worker));
        let enqueueing = async {
            tokio::time::sleep(Duration::from_millis(120)).await;
            let begin = Instant::now();
            store.enqueue(vec![world.task(JOBS[0])]).await.unwrap();
            begin
        };
        let answered = waiting.map(|leased| (leased.unwrap(), Instant::now()));
        let ((leased, at), begin) = futures_util::future::join(answered, enqueueing).await;
        assert_eq!(leased.len(), 1);
        world.end(&leased[0], completed()).await;
        times.push(at - begin);
    }
    times.sort_unstable();
    times[ROUNDS / 2]
}

pub(crate) async fn is_answered_by_an_enqueue_of_this_process(world: &World) {
    let median = median_wait(world, &*world.store).await;
    assert!(median < NOTICED_WITHIN, "{median:?}");
}

pub(crate) async fn is_answered_by_an_enqueue_of_another_process(world: &World) {
    let other = (world.another)().await;
    let median = median_wait(world, &*other).await;
    assert!(median < NOTICED_WITHIN, "{median:?}");
    assert!(world.store.poll_interval().to_std() <= NOTICED_WITHIN);
}

/// A worker that was declared dead hears so at once, and can come back as another.
pub(crate) async fn ends_for_a_worker_that_is_gone(world: &World) {
    let (gone, alive) = (world.worker().await, world.worker().await);
    world.store.rescue(vec![(gone, 0)]).await.unwrap();
    world.add(JOBS[0]).await;
    let began = Instant::now();
    let request = patient(world, gone);
    let wait = request.wait.to_std();
    assert!(world.store.lease(request).await.unwrap().is_empty());
    assert!(began.elapsed() < wait / 2, "{:?}", began.elapsed());
    world.end(&world.lease_one(alive).await, completed()).await;
}

pub(crate) async fn is_answered_when_a_task_becomes_due(world: &World) {
    let worker = world.worker().await;
    let other = (world.another)().await;
    let waiting = world.store.lease(patient(world, worker));
    let passing = async {
        let task = world.in_future(Span::from_seconds(60));
        other.enqueue(vec![task]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.clock.advance(Span::from_seconds(60));
    };
    let (leased, ()) = futures_util::future::join(waiting, passing).await;
    assert_eq!(leased.unwrap().len(), 1);
}

pub(crate) async fn is_answered_while_other_calls_keep_the_store_busy(world: &World) {
    let worker = world.worker().await;
    let other = (world.another)().await;
    let due = world.in_future(Span::from_seconds(1));
    other.enqueue(vec![due]).await.unwrap();
    world.clock.advance(Span::from_seconds(1));
    let waiting = world.store.lease(patient(world, worker));
    let busy = async {
        loop {
            world.store.progress(Vec::new()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let leased = futures_util::future::select(waiting, Box::pin(busy)).await;
    let leased: Vec<LeasedTask> = leased.factor_first().0.unwrap();
    assert_eq!(leased.len(), 1);
}

pub(crate) async fn ends_after_the_time_asked_for(world: &World) {
    let worker = world.worker().await;
    let begin = Instant::now();
    let request = LeaseRequest { wait: Span::from_millis(150), ..world.request(worker) };
    assert!(world.store.lease(request).await.unwrap().is_empty());
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

pub(crate) async fn loses_nothing_when_the_worker_goes_away(world: &World) {
    let worker = world.worker().await;
    // Dropped at any time: before the store saw it, while it waits, and when it was just answered.
    for delay_us in (0..40).map(|step| step * 150) {
        let mut waiting = world.store.lease(patient(world, worker));
        assert!((&mut waiting).now_or_never().is_none());
        let enqueueing = world.store.enqueue(vec![world.task(JOBS[0])]);
        let dropping = async {
            tokio::time::sleep(Duration::from_micros(delay_us)).await;
            drop(waiting);
        };
        let (stored, ()) = futures_util::future::join(enqueueing, dropping).await;
        let id = stored.unwrap()[0].task_id;
        let lease = tokio::time::timeout(
            Duration::from_secs(20),
            world.store.lease(patient(world, worker)),
        );
        let leased = lease.await.expect("the task comes back").unwrap();
        assert_eq!(ids(&leased), [id], "after {delay_us} us");
        assert_eq!(leased[0].attempt, 1, "an attempt nobody saw does not count");
        world.end(&leased[0], completed()).await;
        assert_eq!(world.state(id).await, TaskState::Completed);
    }
}

pub(crate) async fn counts_no_attempt_that_nobody_saw_before_the_worker_signed_off(world: &World) {
    for delay_us in (0..40).map(|step| step * 150) {
        let worker = world.worker().await;
        let mut waiting = world.store.lease(patient(world, worker));
        assert!((&mut waiting).now_or_never().is_none());
        let enqueueing = world.store.enqueue(vec![world.task(JOBS[0])]);
        let leaving = async {
            tokio::time::sleep(Duration::from_micros(delay_us)).await;
            drop(waiting);
            world.store.sign_off(worker).await.unwrap();
        };
        let (stored, ()) = futures_util::future::join(enqueueing, leaving).await;
        let id = stored.unwrap()[0].task_id;
        let summary = world.summary(id).await;
        assert_eq!((summary.state, summary.attempt), (TaskState::Available, 0), "{delay_us} us");
        world.store.cancel(id).await.unwrap();
    }
}
