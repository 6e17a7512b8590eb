//! The server is restarted, and crashes, under load.

use std::time::Duration;

use testkit::{PostgresServer, Profile};

use super::ground::{Ground, clean};
use super::load::Load;
use super::{size, tell};

async fn server_goes_under_load(crash: bool) {
    let (times, per_second) = size((2, 200), (20, 500));
    let (between, down) = size((700, 200), (4_000, 1_000));
    let mut ground = Ground::new(PostgresServer::options(Profile::Durable)).await;
    ground.hire(&[]);
    ground.hire(&[]);
    let load = Load::start(&ground.site, per_second);
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(between)).await;
        if crash {
            ground.server.kill();
        } else {
            ground.server.stop_fast().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(down)).await;
        ground.server.start_again().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(between)).await;
    let (accepted, _) = load.end().await;
    let found = clean(&ground.ends(&accepted).await);
    let how = if crash { "killed (SIGKILL)" } else { "restarted" };
    tell(&format!("server {how} {times} times at {per_second} tasks/s"), &found);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_restarted_under_load() {
    server_goes_under_load(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_killed_under_load() {
    server_goes_under_load(true).await;
}
