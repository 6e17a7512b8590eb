//! A standby takes over that lacks the last second.
//!
//! What is promised then: tasks that were accepted before that second are there and run to their
//! end, once as far as the database shows; workers go on by themselves. Tasks accepted in the lost
//! second may be gone; tasks settled in it run again, with the same idempotency keys, half a minute
//! later if the standby takes them for running.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use database::Query;
use tasks::TaskFilter;
use testkit::{PostgresServer, Profile};
use values::TaskId;

use super::ground::Ground;
use super::load::{Accepted, Load};
use super::{size, tell};

/// Time in which every worker raises its counter.
const BEATS: Duration = Duration::from_millis(2_500);
/// Tasks read at a time.
const PAGE: u32 = 1_000;
/// What the standby lacks.
const LOST: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_lost_a_second_loses_nothing_else() {
    let (times, per_second) = size((1, 200), (10, 500));
    let mut ground = Ground::new(PostgresServer::options(Profile::Durable)).await;
    ground.hire(&[]);
    let load = Load::start(&ground.site, per_second);
    let mut gaps = Vec::new();
    for turn in 0..times {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // A standby continues every sequence where the last checkpoint left it, at the earliest.
        ground.site.app.db.execute(Query::new("CHECKPOINT")).await.unwrap();
        let from = Instant::now();
        let standby = ground.server.copy_data().unwrap();
        if turn == 0 {
            // Of these, the standby has never heard.
            ground.hire(&[]);
            ground.hire(&[]);
        }
        tokio::time::sleep(LOST).await;
        ground.server.kill();
        gaps.push((from, Instant::now()));
        ground.server.start_from(&standby).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (accepted, _) = load.end().await;
    let lost = |seen: &Accepted| {
        gaps.iter().any(|(from, to)| seen.acknowledged >= *from && seen.asked <= *to)
    };
    assert_eq!(beating(&ground).await, 3, "each worker has its own counter\n{}", ground.logs());
    ground.emptied().await;
    let there = there(&ground, &accepted).await;
    let gone: Vec<&Accepted> =
        accepted.iter().filter(|(id, _)| !there.contains_key(*id)).map(|(_, seen)| seen).collect();
    assert!(gone.iter().all(|seen| lost(seen)), "a task is gone that was there before");
    let mut report = ground.ends(&there).await;
    // What happened outside in a lost second is not known any more, and asked for once more, under
    // the same key; or it was for a task that is gone.
    let repeated = std::mem::take(&mut report.effects_doubled);
    assert!(report.is_clean(), "{report:?}");
    // Once for each second that was lost, at the most.
    let most = calls(&ground).into_values().max();
    assert!(most.is_some_and(|most| most <= times + 1), "{most:?} calls with one key");
    tell(
        &format!("failover that loses 1 s, {times} times at {per_second} tasks/s"),
        &format!(
            "{} tasks, {} of the lost seconds gone, the others done once; {repeated} effects \
             asked for again or without their task, each with its own key",
            accepted.len(),
            gone.len()
        ),
    );
}

/// How many counters of workers move.
async fn beating(ground: &Ground) -> usize {
    let store = &ground.site.app.store;
    let before: BTreeMap<i64, i64> = store.beats().await.unwrap().into_iter().collect();
    tokio::time::sleep(BEATS).await;
    let after = store.beats().await.unwrap();
    after.iter().filter(|(worker, beat)| before.get(worker).is_some_and(|old| old < beat)).count()
}

/// The accepted tasks that the server has.
async fn there(
    ground: &Ground,
    accepted: &BTreeMap<TaskId, Accepted>,
) -> BTreeMap<TaskId, Accepted> {
    let mut there = BTreeMap::new();
    let mut filter = TaskFilter { limit: PAGE, ..TaskFilter::default() };
    loop {
        let page = ground.site.app.store.search(filter.clone()).await.unwrap();
        let Some(last) = page.last() else { return there };
        filter.before_row = Some(last.row);
        let known = page.iter().filter_map(|task| accepted.get_key_value(&task.task_id));
        there.extend(known.map(|(id, seen)| (*id, *seen)));
    }
}

/// How often each effect happened outside.
fn calls(ground: &Ground) -> BTreeMap<String, u32> {
    let text = std::fs::read_to_string(ground.site.folder.path().join("effects")).unwrap();
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        *calls.entry(line.to_owned()).or_default() += 1;
    }
    calls
}
