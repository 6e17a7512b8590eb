//! The server stands still (SIGSTOP): connections stay, nothing answers.

use std::collections::BTreeSet;
use std::time::Duration;

use testkit::{PostgresServer, Profile};

use super::ground::{Ground, clean};
use super::load::Load;
use super::{size, tell};

/// What a worker says that took tasks from a dead one.
pub(super) const RESCUED: &str = "tasks of dead workers returned";
/// What a worker says that gave its own tasks up.
pub(super) const GIVEN_UP: &str = "lost its leases";

/// Pauses the server again and again while each worker is busy with tasks that outlast a pause.
async fn paused(times: u32, pause: Duration, per_second: u32) -> (Ground, String) {
    let mut ground = Ground::new(PostgresServer::options(Profile::Durable)).await;
    ground.hire(&[]);
    ground.hire(&[]);
    let load = Load::start(&ground.site, per_second);
    let millis = u64::try_from(pause.as_millis()).unwrap();
    for _ in 0..times {
        for _ in 0..4 {
            ground.occupy(millis + 1_500).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        ground.server.pause();
        tokio::time::sleep(pause).await;
        ground.server.resume();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (accepted, _) = load.end().await;
    let found = clean(&ground.ends(&accepted).await);
    (ground, found)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_rescued_from_a_worker_whose_server_pauses_for_three_seconds() {
    let (times, per_second) = size((1, 100), (20, 500));
    let (ground, found) = paused(times, Duration::from_secs(3), per_second).await;
    let logs = ground.logs();
    assert!(!logs.contains(RESCUED) && !logs.contains(GIVEN_UP), "{logs}");
    let runs = ground.runs();
    let numbers: BTreeSet<u64> = runs.iter().map(|run| run.number).collect();
    assert_eq!(numbers.len(), runs.len(), "one attempt each");
    tell(&format!("server paused for 3 s, {times} times"), &format!("{found}; none rescued"));
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_give_up_what_they_hold_while_their_server_stands_still() {
    let (times, seconds, per_second) = size((1, 7, 100), (6, 15, 500));
    let (ground, found) = paused(times, Duration::from_secs(seconds), per_second).await;
    for worker in &ground.workers {
        assert!(worker.log().contains(GIVEN_UP), "{}", worker.log());
    }
    let found = format!("{found}; workers gave up and came back");
    tell(&format!("server paused for {seconds} s, {times} times"), &found);
}
