//! Who is given what, and in which order.

use std::sync::Arc;

use tasks::{JobLimits, LeaseRequest, Settle, TaskState};
use values::Span;

use crate::world::{JOBS, World, completed, ids};

pub(crate) async fn goes_by_priority_then_age(world: &World) {
    let worker = world.worker().await;
    let mut expected = Vec::new();
    for (priority, job) in [(0, 0), (2, 1), (1, 0), (1, 1), (2, 0), (0, 1), (1, 0)] {
        let mut task = world.task(JOBS[job]);
        task.stamp.priority = priority;
        task.source = if job == 0 { "api" } else { "scheduler" }.parse().unwrap();
        expected.push((std::cmp::Reverse(priority), world.put(task).await.task_id));
        world.clock.advance(Span::from_millis(1));
    }
    expected.sort_by_key(|(priority, _)| *priority);
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    let few = LeaseRequest { start: 2, hold: 1, ..world.request(worker) };
    let first = world.store.lease(few).await.unwrap();
    assert_eq!(ids(&first), expected[..3]);
    let started: Vec<_> = first.iter().map(|lease| (lease.started, lease.attempt)).collect();
    assert_eq!(started, [(true, 1), (true, 1), (false, 0)]);
    assert_eq!(ids(&world.lease(worker).await), expected[3..]);
}

pub(crate) async fn leaves_what_is_not_above_the_priority_asked_for(world: &World) {
    let worker = world.worker().await;
    world.add(JOBS[0]).await;
    let mut urgent = world.task(JOBS[0]);
    urgent.stamp.priority = 2;
    let urgent = world.put(urgent).await.task_id;
    let above = |priority| LeaseRequest { above: Some(priority), ..world.request(worker) };
    assert!(world.store.lease(above(2)).await.unwrap().is_empty());
    assert_eq!(ids(&world.store.lease(above(1)).await.unwrap()), [urgent]);
    assert_eq!(world.store.lease(above(0)).await.unwrap().len(), 1);
}

pub(crate) async fn gives_only_registered_jobs(world: &World) {
    let worker = world.worker().await;
    let strange = world.add("test/strange").await;
    assert!(world.lease(worker).await.is_empty());
    let jobs = Arc::from([JobLimits::none("test/strange".parse().unwrap())]);
    let request = LeaseRequest { jobs, ..world.request(worker) };
    assert_eq!(ids(&world.store.lease(request).await.unwrap()), [strange]);
}

pub(crate) async fn keeps_tasks_on_their_host(world: &World) {
    let worker = world.worker().await;
    let mut task = world.task(JOBS[0]);
    task.host = Some("there".to_owned());
    let bound = world.put(task).await.task_id;
    let free = world.add(JOBS[0]).await;
    assert_eq!(ids(&world.lease(worker).await), [free]);
    let request = LeaseRequest { host: "there".to_owned(), ..world.request(worker) };
    let leased = world.store.lease(request).await.unwrap();
    assert_eq!(ids(&leased), [bound]);
    assert_eq!(leased[0].task.host.as_deref(), Some("there"));
}

pub(crate) async fn holds_scheduled_tasks_until_they_are_due(world: &World) {
    let worker = world.worker().await;
    let later = world.put(world.in_future(Span::from_seconds(60))).await.task_id;
    let sooner = world.put(world.in_future(Span::from_seconds(30))).await.task_id;
    let past = world.put(world.in_future(Span::ZERO)).await.task_id;
    assert_eq!(world.state(later).await, TaskState::Scheduled);
    assert_eq!(ids(&world.lease(worker).await), [past]);
    world.clock.advance(Span::from_micros(29_999_999));
    assert!(world.lease(worker).await.is_empty());
    world.clock.advance(Span::from_micros(1));
    let lease = world.lease_one(worker).await;
    assert_eq!((lease.task.task_id, lease.run_at), (sooner, world.now()));
    world.clock.advance(Span::from_seconds(30));
    assert_eq!(ids(&world.lease(worker).await), [later]);
}

pub(crate) async fn keeps_the_limit_of_a_job_across_workers(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    for _ in 0..5 {
        let mut task = world.task(JOBS[0]);
        task.source = "scheduler".parse().unwrap();
        world.put(task).await;
        world.add(JOBS[0]).await;
        world.add(JOBS[1]).await;
    }
    let limited = |worker, start, hold| {
        let [mut limited, free] = JOBS.map(|job| JobLimits::none(job.parse().unwrap()));
        limited.max_concurrency = Some(3);
        let jobs = [limited, free];
        LeaseRequest { jobs: Arc::from(jobs), start, hold, ..world.request(worker) }
    };
    let count = |leased: &[tasks::LeasedTask]| {
        leased.iter().filter(|lease| lease.task.job == JOBS[0]).count()
    };
    let first = world.store.lease(limited(one, 1, 1)).await.unwrap();
    assert_eq!(count(&first), 2);
    let second = world.store.lease(limited(two, 50, 0)).await.unwrap();
    assert_eq!((count(&second), second.len()), (1, 6), "a full job does not keep others back");
    assert!(world.store.lease(limited(two, 50, 0)).await.unwrap().is_empty());

    let waiting = LeaseRequest { wait: Span::from_seconds(20), ..limited(two, 50, 0) };
    let waiting = world.store.lease(waiting);
    let ending = world.end(&first[0], Settle::Retry { after: Span::from_hours(1) });
    let (third, ()) = futures_util::future::join(waiting, ending).await;
    assert_eq!(count(&third.unwrap()), 1);
}

pub(crate) async fn skips_paused_jobs(world: &World) {
    let worker = world.worker().await;
    let (one, two) = (world.add(JOBS[0]).await, world.add(JOBS[1]).await);
    world.store.pause(Some(JOBS[0].to_owned())).await.unwrap();
    world.store.pause(None).await.unwrap();
    assert!(world.lease(worker).await.is_empty());
    assert!(world.store.resume(None).await.unwrap());
    assert_eq!(ids(&world.lease(worker).await), [two]);
    assert!(world.store.resume(Some(JOBS[0].to_owned())).await.unwrap());
    assert_eq!(ids(&world.lease(worker).await), [one]);
}

pub(crate) async fn gives_each_task_to_one_worker(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    let other = (world.another)().await;
    for _ in 0..40 {
        world.add(JOBS[0]).await;
    }
    let half = |worker| LeaseRequest { start: 30, ..world.request(worker) };
    let (first, second) =
        futures_util::future::join(world.store.lease(half(one)), other.lease(half(two))).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.len() + second.len(), 40);
    assert!(ids(&first).iter().all(|id| !ids(&second).contains(id)));
    for lease in &second {
        let settled = other.settle(vec![crate::world::settlement(lease, completed())]).await;
        assert!(matches!(settled.unwrap()[0], tasks::Settled::Done { .. }));
    }
}

pub(crate) async fn gives_nothing_to_a_worker_declared_dead(world: &World) {
    let (dead, alive) = (world.worker().await, world.worker().await);
    let beats = world.store.beats().await.unwrap();
    let silent = beats.into_iter().filter(|(worker, _)| *worker == dead).collect();
    assert_eq!(world.store.rescue(silent).await.unwrap().workers, 1);
    world.add(JOBS[0]).await;
    assert_eq!(world.lease(dead).await.len(), 0);
    assert_eq!(world.lease(alive).await.len(), 1);
}
