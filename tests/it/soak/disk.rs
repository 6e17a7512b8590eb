//! The server's disk is full for a while.

use std::time::{Duration, Instant};

use testkit::{PostgresServer, Profile};

use super::ground::{Ground, clean};
use super::load::Load;
use super::{size, tell};
use crate::work_health::{address, get};

/// Room for the server at first and in the end, MiB.
const PLENTY: u32 = 1_000;
/// The least a server may be left with, MiB: it refuses what is in use already.
const SCARCE: std::ops::Range<u32> = 40..PLENTY;
/// How soon a worker must know that its disk is full, and that it has room again.
const TOLD: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_is_told() {
    let (times, per_second, seconds) = size((1, 500, 1), (4, 1_000, 10));
    // Its journal is kept short, so that what is enqueued needs room of its own.
    let options = PostgresServer::options(Profile::Fast)
        .set("max_wal_size", "32MB")
        .set("min_wal_size", "32MB")
        .small_disk(PLENTY);
    let mut ground = Ground::new(options).await;
    ground.hire(&[]);
    ground.hire(&[]);
    let doors = [address(&ground.workers[0]), address(&ground.workers[1])];
    let load = Load::start(&ground.site, per_second);
    for _ in 0..times {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut sizes = SCARCE;
        assert!(sizes.any(|mib| ground.server.resize_disk(mib).is_ok()));
        for door in &doors {
            becomes(door, 503).await;
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        ground.server.resize_disk(PLENTY).unwrap();
        // Without room for its journal the server ends, and whoever looks after it starts it.
        if !ground.server.is_running() {
            ground.server.start_again().await.unwrap();
        }
        for door in &doors {
            becomes(door, 200).await;
        }
    }
    let (accepted, _) = load.end().await;
    let found = clean(&ground.ends(&accepted).await);
    tell(&format!("disk full for {seconds} s, {times} times"), &format!("{found}; /readyz 503"));
}

async fn becomes(door: &str, status: u16) {
    let began = Instant::now();
    loop {
        let (found, why) = get(door, "/readyz");
        if found == status {
            return;
        }
        assert!(began.elapsed() < TOLD, "{found} {why}");
        tokio::time::sleep(LOOK).await;
    }
}
