//! What is kept, and for how long.

use tasks::{PruneLimits, RejectionSeen, Settle, TaskFilter, TaskState, Tick};
use values::Span;

use crate::world::{JOBS, World, completed};

/// Codes, sources and jobs of refused requests that are kept.
const KEPT_REJECTIONS: usize = 1_000;

pub(crate) async fn goes_by_state_and_age(world: &World) {
    let worker = world.worker().await;
    for settle in [completed(), Settle::Discard, Settle::Cancel] {
        world.add(JOBS[0]).await;
        let lease = world.lease_one(worker).await;
        world.end(&lease, settle).await;
    }
    world.clock.advance(Span::from_days(1));
    let middle = world.now();
    let young = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    let left = || world.search(TaskFilter::default());
    let prune = |completed_before, discarded_before, limit| {
        world.store.prune(PruneLimits { completed_before, discarded_before, limit })
    };
    let early = middle.before(Span::from_days(2));
    assert_eq!(prune(early, early, 10).await.unwrap(), 0);
    assert_eq!(prune(middle, early, 1).await.unwrap(), 1, "no more than asked for");
    assert_eq!(prune(middle, early, 10).await.unwrap(), 1);
    let dead = left().await;
    assert_eq!((dead.len(), dead[0]), (2, young));
    assert_eq!(world.state(dead[1]).await, TaskState::Discarded);
    assert_eq!(prune(early, middle, 10).await.unwrap(), 1);
    assert_eq!(left().await, [young]);
    assert!(world.store.retry(dead[1]).await.is_err());
    assert!(world.store.get(dead[1]).await.is_err());
}

pub(crate) async fn leaves_what_has_not_ended(world: &World) {
    let worker = world.worker().await;
    let running = world.add(JOBS[0]).await;
    world.lease_one(worker).await;
    let waiting = world.add(JOBS[0]).await;
    let scheduled = world.put(world.in_future(Span::from_days(90))).await.task_id;
    world.clock.advance(Span::from_days(80));
    let now = world.now();
    let limits = PruneLimits { completed_before: now, discarded_before: now, limit: 100 };
    assert_eq!(world.store.prune(limits).await.unwrap(), 0);
    assert_eq!(world.search(TaskFilter::default()).await, [scheduled, waiting, running]);
}

pub(crate) async fn keeps_young_ticks_and_the_latest_of_each_schedule(world: &World) {
    let begin = world.now();
    let tick = async |schedule: &str, days: u32| {
        let mut task = world.task(JOBS[0]);
        let nominal_at = begin.after(Span::from_days(days));
        task.tick = Some(Tick { schedule: schedule.to_owned(), nominal_at });
        world.put(task).await.existing
    };
    for (schedule, days) in [("old", 0), ("old", 1), ("going on", 2), ("going on", 199)] {
        assert!(!tick(schedule, days).await);
    }
    world.clock.advance(Span::from_days(200));
    let now = world.now();
    let limits = PruneLimits { completed_before: now, discarded_before: now, limit: 100 };
    world.store.prune(limits).await.unwrap();
    assert!(tick("old", 1).await, "it says where the schedule goes on");
    assert!(tick("going on", 199).await);
    assert!(!tick("old", 0).await);
    assert!(!tick("going on", 2).await);
    let last = world.store.last_tick("old".to_owned(), now).await.unwrap();
    assert_eq!(last, begin.after(Span::from_days(1)));
    let longer = PruneLimits { completed_before: begin, ..limits };
    world.store.prune(longer).await.unwrap();
    assert!(tick("old", 0).await, "they outlive the retention of tasks");
}

pub(crate) async fn keeps_a_bounded_number_of_rejections(world: &World) {
    let seen = |source: &str, message: &str| RejectionSeen {
        code: "bad_proof".to_owned(),
        source: source.to_owned(),
        job: JOBS[0].to_owned(),
        message: message.to_owned(),
        task_id: None,
        door: "enqueue".to_owned(),
    };
    let begin = world.now();
    assert!(world.store.record_rejection(seen("api", "one")).await.unwrap());
    world.clock.advance(Span::from_seconds(1));
    assert!(!world.store.record_rejection(seen("api", "two")).await.unwrap());
    let rows = world.store.rejections(10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].count, rows[0].message.as_str()), (2, "two"));
    assert_eq!((rows[0].first_at, rows[0].last_at), (begin, world.now()));

    for number in 0..KEPT_REJECTIONS {
        assert!(world.store.record_rejection(seen(&format!("s{number}"), "x")).await.unwrap());
    }
    let rows = world.store.rejections(10_000).await.unwrap();
    assert_eq!(rows.len(), KEPT_REJECTIONS);
    assert_eq!(rows[0].source, format!("s{}", KEPT_REJECTIONS - 1), "latest first");
    assert_eq!(world.store.rejections(3).await.unwrap().len(), 3);
    assert!(rows.iter().all(|row| row.source != "api"), "the oldest one went");
}
