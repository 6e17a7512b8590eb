//! Tables that grow until they are the outage.

use main_worker::bench::NoOp;
use scheduling::TaskOptions;
use tasks::{
    AttemptReport, JobLimits, LeaseRequest, PruneLimits, Settle, Settlement, WorkerRecord,
};
use testkit::{PostgresServer, Profile};
use values::Span;

use super::{numbers, open, site_of};
use crate::site::Site;

/// Tasks that run at a time; so many times in each of the rounds.
const BATCH: usize = 1_000;
const BATCHES: usize = 5;
const ROUNDS: usize = 4;
/// Finished tasks that one call deletes.
const PRUNED: u32 = 7_000;
/// How a plan shows that it looks at what has ended, or at all there is.
const HISTORY: [&str; 7] = [
    "Scan on mw_finished",
    " using mw_finished",
    "Scan on mw_attempt",
    "Seq Scan on mw_task",
    "Seq Scan on mw_envelope",
    "Seq Scan on mw_unique",
    "Seq Scan on mw_label",
];

/// Registers a worker; returns what it asks for: so many tasks at once, half of them held ready.
async fn request(site: &Site, tasks: usize) -> LeaseRequest {
    let record = WorkerRecord {
        name: "planned".to_owned(),
        host: site.app.host.clone(),
        pid: 1,
        version: "0".to_owned(),
        release: "0".to_owned(),
    };
    LeaseRequest {
        worker: site.app.store.register(record).await.unwrap(),
        host: site.app.host.clone(),
        jobs: [JobLimits::none("bench/no_op".parse().unwrap())].into(),
        sources: [].into(),
        start: tasks / 2,
        hold: tasks / 2,
        above: None,
        wait: Span::ZERO,
    }
}

/// Enqueues, leases, starts and settles as many tasks as the request asks for.
async fn cycle(site: &Site, request: &LeaseRequest) {
    let store = &site.app.store;
    let producer = site.app.producer("operator").unwrap();
    let count = request.start + request.hold;
    let batch: Vec<NoOp> = (0..count as u64).map(|number| NoOp { number }).collect();
    producer.enqueue_many(&batch, &TaskOptions::default()).await.unwrap();
    let leased = store.lease(request.clone()).await.unwrap();
    assert_eq!(leased.len(), count);
    let held = leased.iter().filter(|lease| !lease.started);
    let held: Vec<_> = held.map(|lease| (lease.row, lease.token)).collect();
    assert_eq!(held.len(), request.hold);
    store.start(request.worker, held).await.unwrap();
    store.heartbeat(request.worker).await.unwrap();
    let settle = |lease: &tasks::LeasedTask| Settlement {
        row: lease.row,
        token: lease.token,
        settle: Settle::Completed { result: None, write: None, follow_ups: Vec::new() },
        report: AttemptReport::default(),
    };
    store.settle(leased.iter().map(settle).collect()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_06_the_table_grows_until_it_is_the_outage() {
    let site = Site::postgres().await;
    let db = open(&site.url()).await;
    let request = request(&site, BATCH).await;
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        for _ in 0..BATCHES {
            cycle(&site, &request).await;
        }
        assert_eq!(numbers(&db, "SELECT count(*) FROM mw_task").await, [0]);
        let finished = numbers(&db, "SELECT count(*) FROM mw_finished").await[0];
        assert_eq!(usize::try_from(finished).unwrap(), (round + 1) * BATCHES * BATCH);
        // As the autovacuum of the table does it, which comes when it likes.
        numbers(&db, "VACUUM mw_task").await;
        sizes.push(numbers(&db, "SELECT pg_total_relation_size('mw_task')").await[0]);
    }
    // With indexes: as large as what once waited, however much has ended.
    assert!(sizes[3] <= sizes[1] * 3 / 2 && sizes[3] < 4 << 20, "bytes after a round: {sizes:?}");

    let now = site.app.store.now().after(Span::from_hours(1));
    let limits = PruneLimits { completed_before: now, discarded_before: now, limit: PRUNED };
    let mut pruned = Vec::new();
    while pruned.last() != Some(&0) {
        assert!(pruned.len() < 10, "{pruned:?}");
        pruned.push(site.app.store.prune(limits).await.unwrap());
    }
    assert!(pruned.iter().all(|count| *count <= u64::from(PRUNED)), "{pruned:?}");
    assert_eq!(pruned.iter().sum::<u64>(), (ROUNDS * BATCHES * BATCH) as u64);
    assert_eq!(numbers(&db, "SELECT count(*) FROM mw_finished").await, [0]);
    assert!(site.app.store.conservation().await.unwrap().holds());
}

#[tokio::test]
async fn pain_06_what_has_ended_is_never_read_to_run_a_task() {
    let options = PostgresServer::options(Profile::Fast)
        .set("session_preload_libraries", "auto_explain")
        .set("auto_explain.log_min_duration", "0");
    let server = options.start().await.unwrap();
    let site = site_of(&server).await;
    let request = request(&site, 20).await;
    cycle(&site, &request).await;
    let before = server.log().len();
    for _ in 0..3 {
        cycle(&site, &request).await;
    }
    let log = server.log().split_off(before);
    let plans: Vec<&str> = log.split("Query Text:").skip(1).collect();
    for part in ["INSERT INTO mw_envelope", "INSERT INTO mw_finished", "UPDATE mw_task"] {
        assert!(plans.iter().any(|plan| plan.contains(part)), "no plan of {part}");
    }
    for plan in plans {
        let found = HISTORY.iter().find(|words| plan.contains(*words));
        assert_eq!(found, None, "{plan}");
    }
}
