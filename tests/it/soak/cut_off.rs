//! One worker is cut off from the server while another goes on.

use std::time::Duration;

use testkit::{PostgresServer, Profile, Proxy};

use super::ground::{Ground, clean};
use super::load::Load;
use super::pauses::{GIVEN_UP, RESCUED};
use super::{size, tell};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_cut_off_stops_before_others_get_its_tasks() {
    let (times, seconds, per_second) = size((1, 9, 100), (6, 20, 500));
    let mut ground = Ground::new(PostgresServer::options(Profile::Durable)).await;
    let proxy = Proxy::start(ground.server.address()).await.unwrap();
    let database = ground.site.url().rsplit('/').next().unwrap().to_owned();
    let through = ground.server.url_through(proxy.address(), &database);
    ground.hire(&[("DATABASE_URL", &through)]);
    ground.hire(&[]);
    let load = Load::start(&ground.site, per_second);
    for _ in 0..times {
        // Some end before the worker notices and are settled too late; some last longer than that.
        for millis in [1_500, 2_000, 3_000, 4_000, 5_500, 6_500, 8_000, 8_000] {
            ground.occupy(millis).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        proxy.pause();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        proxy.resume();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (accepted, _) = load.end().await;
    let found = clean(&ground.ends(&accepted).await);
    let [cut, other] = &ground.workers[..] else { panic!("two workers") };
    assert!(cut.log().contains(GIVEN_UP), "{}", cut.log());
    assert!(other.log().contains(RESCUED), "{}", other.log());
    assert!(!other.log().contains(GIVEN_UP), "{}", other.log());
    let found = format!("{found}; no attempt overlapped the next one");
    tell(&format!("one of two workers cut off for {seconds} s, {times} times"), &found);
}
