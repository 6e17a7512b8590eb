//! Tasks that a release does not accept.

use futures_util::future::join3;
use tasks::{LeaseRequest, Settle, TaskFilter, TaskState};
use values::{Span, Timestamp};

use crate::world::{JOBS, World, completed, settlement};

fn hold(release: &str) -> Settle {
    Settle::Hold { code: "unknown_job".to_owned(), release: release.to_owned() }
}

async fn review(world: &World, release: &str, since: Timestamp) -> Vec<tasks::HeldTask> {
    world.store.review_held(release.to_owned(), since).await.unwrap()
}

pub(crate) async fn goes_to_other_releases_only(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let long_ago = world.now().before(Span::from_hours(1));
    let lease = world.lease_one(worker).await;
    world.end(&lease, hold("blue")).await;
    let summary = world.summary(id).await;
    assert_eq!((summary.state, summary.attempt), (TaskState::Available, 0));
    assert_eq!(summary.held.as_deref(), Some("unknown_job"));
    let held = TaskFilter { held: true, ..TaskFilter::default() };
    assert_eq!(world.search(held.clone()).await, [id]);

    assert!(review(world, "blue", long_ago).await.is_empty());
    assert!(world.lease(worker).await.is_empty(), "its own release has refused it");
    assert!(review(world, "green", long_ago).await.is_empty());
    assert!(world.search(held).await.is_empty());
    assert_eq!(world.summary(id).await.held, None);
    let lease = world.lease_one(worker).await;
    assert_eq!(lease.attempt, 1);
    world.end(&lease, completed()).await;
}

/// The release that held it waits for work as well, and would hold it again.
pub(crate) async fn goes_to_the_release_that_offers_it_before_all_others(world: &World) {
    const TASKS: usize = 20;
    let (blue, green) = (world.worker().await, world.worker().await);
    let long_ago = world.now().before(Span::from_hours(1));
    let other = (world.another)().await;
    for _ in 0..10 {
        let tasks = (0..TASKS).map(|_| world.task(JOBS[0])).collect();
        world.store.enqueue(tasks).await.unwrap();
        for lease in world.lease(blue).await {
            world.end(&lease, hold("blue")).await;
        }
        let request = |worker, wait| LeaseRequest {
            start: TASKS,
            wait: Span::from_millis(wait),
            ..world.request(worker)
        };
        let (leased, over, not_leased) = join3(
            other.lease(request(green, 20_000)),
            other.review_held("green".to_owned(), long_ago),
            world.store.lease(request(blue, 300)),
        )
        .await;
        assert!(over.unwrap().is_empty() && not_leased.unwrap().is_empty());
        let leased = leased.unwrap();
        assert_eq!(leased.len(), TASKS);
        other.settle(leased.iter().map(|l| settlement(l, completed())).collect()).await.unwrap();
    }
}

pub(crate) async fn is_discarded_after_the_limit(world: &World) {
    let worker = world.worker().await;
    let (id, saved) = (world.add(JOBS[0]).await, world.add(JOBS[1]).await);
    let since = world.now();
    for lease in world.lease(worker).await {
        world.end(&lease, hold("blue")).await;
    }
    world.clock.advance(Span::from_hours(2));
    let over = review(world, "green", world.now()).await;
    assert_eq!(over.len(), 2, "beyond the limit, no release has another try");
    assert_eq!((over[0].task_id, over[0].since), (id, since));
    assert_eq!((over[0].job.as_str(), over[0].code.as_str()), (JOBS[0], "unknown_job"));
    // Somebody saved the other one in the meantime.
    world.store.retry(saved).await.unwrap();
    assert_eq!(world.store.discard_held(over).await.unwrap(), 1);
    assert_eq!(world.state(saved).await, TaskState::Available);
    let detail = world.store.get(id).await.unwrap();
    assert_eq!(detail.summary.state, TaskState::Discarded);
    assert_eq!(detail.attempts[0].code.as_deref(), Some("unknown_job"));
    assert!(detail.summary.error.unwrap().contains("held since 2026-10-01T00:00:00Z"));
}

pub(crate) async fn keeps_its_first_time_until_it_is_accepted(world: &World) {
    let worker = world.worker().await;
    world.add(JOBS[0]).await;
    let since = world.now();
    let long_ago = since.before(Span::from_hours(1));
    for release in ["blue", "green"] {
        let lease = world.lease_one(worker).await;
        world.end(&lease, hold(release)).await;
        world.clock.advance(Span::from_hours(1));
        assert!(review(world, "red", long_ago).await.is_empty());
    }
    let lease = world.lease_one(worker).await;
    world.end(&lease, hold("red")).await;
    assert_eq!(review(world, "red", world.now()).await[0].since, since);

    assert!(review(world, "blue", long_ago).await.is_empty());
    let lease = world.lease_one(worker).await;
    world.end(&lease, Settle::Retry { after: Span::ZERO }).await;
    let lease = world.lease_one(worker).await;
    let again = world.now();
    world.end(&lease, hold("red")).await;
    world.clock.advance(Span::from_hours(1));
    assert_eq!(review(world, "red", world.now()).await[0].since, again, "it ran in between");
}
