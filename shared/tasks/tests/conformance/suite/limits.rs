//! Limits of jobs and of sources, over all workers: how many run at a time, how many start.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tasks::{JobLimits, LeaseRequest, LeasedTask, NewTask, Settle, SourceLimits};
use tokio::sync::watch;
use values::Span;

use crate::world::{JOBS, World, completed, settlement};

/// Workers that lease at the same time, spread over two stores.
const WORKERS: usize = 6;
/// How long the workers wait for each other.
const PATIENCE: Duration = Duration::from_secs(30);
const MINUTE: Span = Span::from_minutes(1);
const LAST_MICROSECOND: Span = Span::from_micros(1);

/// Asks for [`JOBS`], the first of them with limits.
fn limited(world: &World, worker: i64, most: Option<u32>, rate: Option<&str>) -> LeaseRequest {
    let [mut one, two] = JOBS.map(|job| JobLimits::none(job.parse().unwrap()));
    one.max_concurrency = most;
    one.rate = rate.map(|rate| rate.parse().unwrap());
    LeaseRequest { jobs: Arc::from([one, two]), ..world.request(worker) }
}

/// Asks for [`JOBS`], those from the source `api` with limits.
fn from_api(world: &World, worker: i64, most: Option<u32>, rate: Option<&str>) -> LeaseRequest {
    let limits = SourceLimits {
        source: "api".parse().unwrap(),
        max_concurrency: most,
        rate: rate.map(|rate| rate.parse().unwrap()),
    };
    LeaseRequest { sources: Arc::from([limits]), ..world.request(worker) }
}

fn from(world: &World, source: &str, job: &str) -> NewTask {
    NewTask { source: source.parse().unwrap(), ..world.task(job) }
}

async fn add(world: &World, job: &str, tasks: usize) {
    let batch = (0..tasks).map(|_| world.task(job)).collect();
    world.store.enqueue(batch).await.unwrap();
}

async fn lease(world: &World, request: &LeaseRequest) -> Vec<LeasedTask> {
    world.store.lease(request.clone()).await.unwrap()
}

async fn end_all(world: &World, leased: &[LeasedTask]) {
    for lease in leased {
        world.end(lease, completed()).await;
    }
}

pub(crate) async fn keep_the_rate_of_a_job_across_workers(world: &World) {
    add(world, JOBS[0], 100).await;
    let stores = [Arc::clone(&world.store), (world.another)().await];
    let mut workers = Vec::new();
    let started = Arc::new(AtomicUsize::new(0));
    for at in 0..WORKERS {
        let store = Arc::clone(&stores[at % 2]);
        let request = limited(world, world.worker().await, None, Some("25/1m"));
        let request = LeaseRequest { start: 3, wait: Span::from_millis(500), ..request };
        let started = Arc::clone(&started);
        workers.push(tokio::spawn(async move {
            loop {
                let leased = store.lease(request.clone()).await.unwrap();
                // An engine may answer that another holds the count just now; then one asks again.
                if leased.is_empty() && started.load(Ordering::SeqCst) >= 25 {
                    return;
                }
                started.fetch_add(leased.len(), Ordering::SeqCst);
                let batch = leased.iter().map(|lease| settlement(lease, completed())).collect();
                store.settle(batch).await.unwrap();
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(started.load(Ordering::SeqCst), 25);
}

pub(crate) async fn fill_a_lease_although_several_lanes_share_a_limit(world: &World) {
    let request = limited(world, world.worker().await, Some(1), None);
    for source in ["api", "dashboard"] {
        world.store.enqueue(vec![from(world, source, JOBS[0])]).await.unwrap();
    }
    add(world, JOBS[1], 5).await;
    let leased = lease(world, &LeaseRequest { start: 2, hold: 1, ..request }).await;
    let jobs: Vec<_> = leased.iter().map(|lease| lease.task.job.as_str()).collect();
    assert_eq!(jobs, [JOBS[0], JOBS[1], JOBS[1]]);
    let started: Vec<_> = leased.iter().map(|lease| lease.started).collect();
    assert_eq!(started, [true, true, false]);
}

pub(crate) async fn refill_with_the_clock(world: &World) {
    let request = limited(world, world.worker().await, None, Some("3/1m"));
    add(world, JOBS[0], 20).await;
    let burst = lease(world, &request).await;
    assert_eq!(burst.len(), 3, "what is allowed in a window may start at once");
    end_all(world, &burst).await;
    world.clock.advance(Span::from_micros(MINUTE.as_micros() - 1));
    assert!(lease(world, &request).await.is_empty());
    world.clock.advance(LAST_MICROSECOND);
    assert_eq!(lease(world, &LeaseRequest { start: 1, ..request.clone() }).await.len(), 1);
    world.clock.advance(Span::from_seconds(30));
    assert_eq!(lease(world, &request).await.len(), 2);
    world.clock.advance(Span::from_seconds(30));
    assert_eq!(lease(world, &request).await.len(), 1, "those of half a minute ago still count");
    world.clock.advance(Span::from_days(1));
    assert_eq!(lease(world, &request).await.len(), 3, "nothing is saved up");
}

pub(crate) async fn block_for_one_window_when_the_clock_jumps_back(world: &World) {
    let request = limited(world, world.worker().await, None, Some("2/1m"));
    add(world, JOBS[0], 20).await;
    world.clock.advance(Span::from_hours(1));
    assert_eq!(lease(world, &request).await.len(), 2);
    world.clock.turn_back(Span::from_hours(1));
    assert!(lease(world, &request).await.is_empty());
    // A window later than the first look after the jump, however often one looks.
    let mut waited = Span::ZERO;
    while lease(world, &request).await.is_empty() {
        let step = Span::from_seconds(1);
        world.clock.advance(step);
        waited = Span::from_micros(waited.as_micros() + step.as_micros());
        assert!(waited <= MINUTE, "{waited}");
    }
}

pub(crate) async fn hold_for_all_jobs_of_a_source(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    for _ in 0..4 {
        for (source, job) in [("api", JOBS[0]), ("api", JOBS[1]), ("scheduler", JOBS[0])] {
            world.put(from(world, source, job)).await;
        }
    }
    let first = lease(world, &from_api(world, one, Some(3), None)).await;
    let count = |leased: &[LeasedTask]| leased.iter().filter(|l| l.task.source == "api").count();
    assert_eq!((count(&first), first.len()), (3, 7), "other sources are free");
    assert!(lease(world, &from_api(world, two, Some(3), None)).await.is_empty());
    let ended = first.iter().find(|lease| lease.task.source == "api").unwrap();
    world.end(ended, Settle::Retry { after: Span::from_hours(1) }).await;
    assert_eq!(count(&lease(world, &from_api(world, two, Some(3), None)).await), 1);
    end_all(world, &lease(world, &from_api(world, two, None, Some("3/1m"))).await).await;
    assert!(lease(world, &from_api(world, one, None, Some("3/1m"))).await.is_empty());
    world.clock.advance(MINUTE);
    assert_eq!(lease(world, &from_api(world, one, None, Some("3/1m"))).await.len(), 1);
}

pub(crate) async fn hold_for_job_and_source_together(world: &World) {
    let worker = world.worker().await;
    for _ in 0..10 {
        world.put(from(world, "api", JOBS[0])).await;
        world.put(from(world, "scheduler", JOBS[0])).await;
        world.put(from(world, "api", JOBS[1])).await;
    }
    let LeaseRequest { jobs, .. } = limited(world, worker, Some(5), Some("4/1m"));
    let request = LeaseRequest { jobs, ..from_api(world, worker, Some(3), Some("30/1m")) };
    let leased = lease(world, &request).await;
    let of_job = leased.iter().filter(|lease| lease.task.job == JOBS[0]).count();
    let of_source = leased.iter().filter(|lease| lease.task.source == "api").count();
    assert_eq!((of_job, of_source, leased.len()), (4, 3, 5));
    world.clock.advance(MINUTE);
    let more = lease(world, &request).await;
    assert_eq!(more.len(), 1, "the rate is free again, one place of the job too");
    assert_eq!((more[0].task.source.as_str(), more[0].task.job.as_str()), ("scheduler", JOBS[0]));
}

pub(crate) async fn keep_no_other_job_back(world: &World) {
    let worker = world.worker().await;
    let mut urgent = Vec::new();
    for _ in 0..200 {
        let mut task = world.task(JOBS[0]);
        task.stamp.priority = 2;
        urgent.push(task);
    }
    world.store.enqueue(urgent).await.unwrap();
    add(world, JOBS[1], 20).await;
    let request = LeaseRequest { start: 10, ..limited(world, worker, None, Some("1/1m")) };
    let leased = lease(world, &request).await;
    let jobs: Vec<&str> = leased.iter().map(|lease| lease.task.job.as_str()).collect();
    assert_eq!(jobs[..2], [JOBS[0], JOBS[1]]);
    assert_eq!(jobs.len(), 10);
    assert_eq!(lease(world, &request).await.len(), 10);
    assert_eq!(lease(world, &request).await.len(), 1);
    let waiting = LeaseRequest { wait: Span::from_seconds(20), ..request };
    let waiting = world.store.lease(waiting);
    let (leased, ()) = futures_util::future::join(waiting, add(world, JOBS[1], 1)).await;
    assert_eq!(leased.unwrap().len(), 1);
}

pub(crate) async fn with_a_rate_hold_nothing_ready(world: &World) {
    let worker = world.worker().await;
    add(world, JOBS[0], 10).await;
    let request = limited(world, worker, None, Some("5/1m"));
    let unstarted = LeaseRequest { start: 0, hold: 10, ..request.clone() };
    assert!(lease(world, &unstarted).await.is_empty());
    let mixed = LeaseRequest { start: 2, hold: 10, ..request.clone() };
    let leased = lease(world, &mixed).await;
    assert_eq!(leased.iter().map(|lease| lease.started).collect::<Vec<_>>(), [true, true]);
    add(world, JOBS[1], 4).await;
    let leased = lease(world, &mixed).await;
    let shown: Vec<_> = leased.iter().map(|l| (l.task.job.as_str(), l.started)).collect();
    let (one, two) = ((JOBS[0], true), (JOBS[1], false));
    assert_eq!(shown, [one, one, two, two, two, two]);
    assert_eq!(lease(world, &request).await.len(), 1, "what was not started was not counted");
}

pub(crate) async fn are_free_again_when_a_worker_dies(world: &World) {
    let (dead, alive) = (world.worker().await, world.worker().await);
    add(world, JOBS[0], 20).await;
    let taken = LeaseRequest { start: 1, hold: 2, ..from_api(world, dead, Some(3), None) };
    assert_eq!(lease(world, &taken).await.len(), 3);
    let requests = [from_api(world, alive, Some(3), None), limited(world, alive, Some(3), None)];
    for request in &requests {
        assert!(lease(world, request).await.is_empty());
    }
    let beats = world.store.beats().await.unwrap();
    let silent = beats.into_iter().filter(|(worker, _)| *worker == dead).collect();
    assert_eq!(world.store.rescue(silent).await.unwrap().returned, 3);
    let leased = lease(world, &requests[0]).await;
    assert_eq!(leased.len(), 3);
    end_all(world, &leased).await;
    assert_eq!(lease(world, &requests[1]).await.len(), 3);
}

pub(crate) async fn count_a_start_whatever_becomes_of_it(world: &World) {
    let (dead, alive) = (world.worker().await, world.worker().await);
    add(world, JOBS[0], 20).await;
    let request = |worker| limited(world, worker, None, Some("3/1m"));
    let given_back = lease(world, &LeaseRequest { start: 1, ..request(alive) }).await;
    world.end(&given_back[0], Settle::GiveBack).await;
    assert_eq!(lease(world, &LeaseRequest { start: 1, ..request(dead) }).await.len(), 1);
    let beats = world.store.beats().await.unwrap();
    let silent = beats.into_iter().filter(|(worker, _)| *worker == dead).collect();
    assert_eq!(world.store.rescue(silent).await.unwrap().returned, 1);
    assert_eq!(lease(world, &request(alive)).await.len(), 1, "two of three had started");
    world.clock.advance(MINUTE);
    assert_eq!(lease(world, &request(alive)).await.len(), 3);
}

pub(crate) async fn answer_a_waiting_lease_when_the_next_may_start(world: &World) {
    let request = limited(world, world.worker().await, None, Some("2/1h"));
    add(world, JOBS[0], 5).await;
    assert_eq!(lease(world, &request).await.len(), 2);
    let waiting = world.store.lease(LeaseRequest { wait: Span::from_seconds(20), ..request });
    let passing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.clock.advance(Span::from_hours(1));
    };
    let (leased, ()) = futures_util::future::join(waiting, passing).await;
    assert_eq!(leased.unwrap().len(), 2);
}

pub(crate) async fn let_a_waiting_lease_sleep(world: &World) {
    let request = limited(world, world.worker().await, Some(1), Some("1/1s"));
    add(world, JOBS[0], 5).await;
    let running = lease(world, &request).await;
    let sleeper = LeaseRequest { wait: Span::from_millis(1_000), ..request.clone() };
    for reason in ["the job is full and its rate used up", "its rate is used up"] {
        let asked = world.clock.asked();
        assert!(lease(world, &sleeper).await.is_empty(), "{reason}");
        let asked = world.clock.asked() - asked;
        assert!(asked < 60, "{reason}: the clock was asked {asked} times in a second");
        if reason.starts_with("the job") {
            end_all(world, &running).await;
        }
    }
}

pub(crate) async fn are_kept_while_many_lease_and_settle(world: &World) {
    const MOST: usize = 4;
    const TASKS: usize = 75 * MOST;
    add(world, JOBS[0], TASKS).await;
    let stores = [Arc::clone(&world.store), (world.another)().await];
    let [running, highest] = [0; 2].map(|none| Arc::new(AtomicUsize::new(none)));
    let started = Arc::new(watch::Sender::new(0));
    let mut workers = Vec::new();
    for at in 0..WORKERS {
        let store = Arc::clone(&stores[at % 2]);
        let worker = world.worker().await;
        let most = Some(u32::try_from(MOST).unwrap());
        let request = if at < 3 {
            limited(world, worker, most, None)
        } else {
            from_api(world, worker, most, None)
        };
        let request = LeaseRequest { start: 3, wait: Span::from_millis(500), ..request };
        let [running, highest] = [&running, &highest].map(Arc::clone);
        let started = Arc::clone(&started);
        workers.push(tokio::spawn(async move {
            while *started.borrow() < TASKS {
                let leased = store.lease(request.clone()).await.unwrap();
                let now = running.fetch_add(leased.len(), Ordering::SeqCst) + leased.len();
                highest.fetch_max(now, Ordering::SeqCst);
                let mut full = 0;
                started.send_modify(|started| {
                    *started += leased.len();
                    full = started.next_multiple_of(MOST);
                });
                // None is settled before as many run as may; meanwhile others ask for more.
                let mut seen = started.subscribe();
                if !leased.is_empty() {
                    let filled = seen.wait_for(|started| *started >= full);
                    let filled = tokio::time::timeout(PATIENCE, filled).await;
                    drop(filled.expect("as many run as may").unwrap());
                }
                running.fetch_sub(leased.len(), Ordering::SeqCst);
                let batch = leased.iter().map(|lease| settlement(lease, completed())).collect();
                store.settle(batch).await.unwrap();
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(*started.borrow(), TASKS);
    assert_eq!(highest.load(Ordering::SeqCst), MOST);
}
