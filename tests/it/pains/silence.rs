//! A worker that lives and hears nothing, and a database that is told too much.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use database::Query;
use main_worker::bench::NoOp;
use rustix::process::{Pid, Signal, kill_process};
use scheduling::TaskOptions;
use tasks::TaskState;
use testkit::{PostgresServer, Profile};

use super::{LOOK, ended, eventually, numbers, open, site_of};
use crate::site::Site;

/// A connection that tells nothing any more is noticed within this time; tasks run all the same.
const NOTICED: Duration = Duration::from_secs(5);
/// Notifications of one process in a second.
const MAX_NOTIFICATIONS: f64 = 20.0;
/// Who asks for tasks at the same time while notifications are counted, and how often each.
const CALLERS: usize = 4;
const CALLS: u64 = 250;
/// On which the store tells other processes of new tasks.
const CHANNEL: &str = "mw_wake_public";

/// Asks for a task and waits until it has run.
async fn runs_soon(site: &Site) {
    let asked = Instant::now();
    let task = site.enqueue(&NoOp { number: 1 }).await;
    assert_eq!(site.until(task, ended).await.summary.state, TaskState::Completed);
    assert!(asked.elapsed() < NOTICED, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn pain_03_a_worker_is_alive_but_deaf_after_its_connection_broke() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let site = site_of(&server).await;
    let db = open(&site.url()).await;
    // Which connections have just begun to listen; they are asked for other things later on.
    let listening = async || -> BTreeSet<i64> {
        let sql = "SELECT pid::bigint FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        numbers(&db, sql).await.into_iter().collect()
    };
    let mut known = listening().await;
    let worker = site.worker(&[]);
    let newcomers = async |known: &mut BTreeSet<i64>, since: Instant| -> BTreeSet<i64> {
        let mut found = BTreeSet::new();
        // Until one came, and a moment longer for those that come with it.
        let mut until = since + NOTICED;
        while Instant::now() < until {
            let fresh: BTreeSet<i64> = listening().await.difference(known).copied().collect();
            if !fresh.is_empty() && found.is_empty() {
                until = Instant::now() + LOOK * 10;
            }
            found.extend(fresh);
            tokio::time::sleep(LOOK).await;
        }
        known.extend(&found);
        found
    };
    worker.says("\"working\"");
    let first = newcomers(&mut known, Instant::now()).await;
    assert!(!first.is_empty(), "{}", worker.log());
    runs_soon(&site).await;

    let broken = Instant::now();
    for pid in &first {
        let query = Query::new("SELECT pg_terminate_backend($1::int)").bind(*pid);
        db.all(query).await.unwrap();
    }
    runs_soon(&site).await;
    let second = newcomers(&mut known, broken).await;
    assert!(!second.is_empty(), "it does not listen again:\n{}", worker.log());

    // The server's side stays connected and says nothing, as behind a router that forgot it.
    let stopped = Instant::now();
    for pid in &second {
        let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }
    runs_soon(&site).await;
    let third = newcomers(&mut known, stopped).await;
    assert!(!third.is_empty(), "it does not listen again:\n{}", worker.log());
    runs_soon(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_07_notifications_are_a_bottleneck() {
    let site = Site::postgres().await;
    let producer = site.app.producer("operator").unwrap();
    let db = open(&site.url()).await;
    let mut listener = db.listen(CHANNEL).await.unwrap().expect("a direct connection");
    // None in the transaction of the caller, none before the caller asks for it.
    let mut tx = site.app.db.begin().await.unwrap();
    let options = TaskOptions::default();
    let stored = producer.enqueue_in(&mut tx.tx(), &NoOp { number: 0 }, options).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!listener.wait(Duration::from_millis(400)).await.unwrap(), "told by the transaction");
    stored.wake();
    assert!(listener.wait(Duration::from_secs(2)).await.unwrap(), "nobody was told");

    let _worker = site.worker(&["--concurrency", "16"]);
    let load = (0..CALLERS).map(|_| {
        let producer = producer.clone();
        tokio::spawn(async move {
            for number in 0..CALLS {
                producer.enqueue(&NoOp { number }, TaskOptions::default()).await.unwrap();
            }
        })
    });
    let load: Vec<_> = load.collect();
    let (began, mut heard) = (Instant::now(), 0);
    while load.iter().any(|caller| !caller.is_finished()) {
        heard += u32::from(listener.wait(LOOK).await.unwrap());
    }
    // One process asks, the other works; both may tell.
    let most = 2.0 * (MAX_NOTIFICATIONS * began.elapsed().as_secs_f64() + 1.0);
    assert!(heard > 0 && f64::from(heard) <= most, "{heard} of {most}");
    eventually("the queue is empty", async || {
        numbers(&db, "SELECT count(*) FROM mw_task").await == [0]
    })
    .await;
}
