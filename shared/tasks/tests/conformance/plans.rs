//! How the server runs the statements of the hot path when a million tasks wait: its own log tells.

use std::collections::HashMap;
use std::time::Duration;

use database::Query;
use tasks::{AttemptReport, LeaseRequest, NewTask, Settle, Settlement};
use testkit::{PostgresServer, Profile};
use values::Span;

use crate::world::{JOBS, World, completed, postgres_at, settlement};

/// Tasks that wait, and the lanes they stand in.
const WAITING: i64 = 1_000_000;
const LANES: i64 = 300;
/// Rounds of work before it counts, and that count.
const WARM_UP: usize = 10;
const ROUNDS: usize = 25;
/// The longest a statement of the hot path may take.
const LONGEST: Duration = Duration::from_millis(10);
/// Tables that are never to be read from end to end.
const LARGE: [&str; 3] = ["mw_task", "mw_envelope", "mw_finished"];

/// Stores tasks as they would lie there, without enqueueing each.
async fn fill(world: &World) {
    for sql in [
        "INSERT INTO mw_lane (id, job, source, host)
         SELECT 1000 + n, CASE WHEN n % 2 = 0 THEN 'test/one' ELSE 'other/job' END, 'source' || n, ''
           FROM generate_series(0, $1 - 1) n",
        "INSERT INTO mw_envelope (seq, id, lane, enqueued_at, not_after, stamp, configuration, payload)
         SELECT n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 1000 + n % $1, 0, 0, '{}', '{}', '{}'
           FROM generate_series(1, $2) n",
        "INSERT INTO mw_task (seq, lane, run_at, state, priority, attempt, max_attempts, is_unique)
         SELECT n, 1000 + n % $1, n, 1, n % 3, 0, 3, 0 FROM generate_series(1, $2) n",
        "SELECT setval('mw_seq', $2)",
    ] {
        world.db.all(Query::new(sql).bind(LANES).bind(WAITING)).await.unwrap();
    }
}

/// Each kind of call of the hot path once.
async fn round(world: &World, worker: i64) {
    let batch: Vec<NewTask> = (0..20).map(|_| world.task(JOBS[1])).collect();
    world.store.enqueue(batch).await.unwrap();
    let request = LeaseRequest { start: 60, hold: 20, ..world.request(worker) };
    let leased = world.store.lease(request).await.unwrap();
    assert_eq!(leased.len(), 80);
    let held: Vec<(i64, i64)> =
        leased.iter().filter(|l| !l.started).map(|l| (l.row, l.token)).collect();
    assert_eq!(world.store.start(worker, held).await.unwrap().len(), 20);
    let (failed, done) = leased.split_at(10);
    world.store.settle(done.iter().map(|l| settlement(l, completed())).collect()).await.unwrap();
    let retry = |lease: &tasks::LeasedTask| Settlement {
        row: lease.row,
        token: lease.token,
        settle: Settle::Retry { after: Span::from_hours(1) },
        report: AttemptReport { error: Some("no luck".to_owned()), ..AttemptReport::default() },
    };
    world.store.settle(failed.iter().map(retry).collect()).await.unwrap();
    world.store.heartbeat(worker).await.unwrap();
}

/// The statements of a server's log with their plans: how long each took, and the plan's lines.
fn statements(log: &str) -> Vec<(Duration, String)> {
    let begins = log.match_indices("duration: ").map(|(at, _)| at);
    let mut begins = begins.collect::<Vec<_>>();
    begins.push(log.len());
    let read = |pair: &[usize]| {
        let entry = &log[pair[0]..pair[1]];
        let (millis, rest) = entry["duration: ".len()..].split_once(" ms  plan:")?;
        let took = Duration::from_secs_f64(millis.parse::<f64>().ok()? / 1e3);
        Some((took, rest.to_owned()))
    };
    begins.windows(2).filter_map(read).collect()
}

/// What tells statements apart: the words before the first argument.
fn kind(plan: &str) -> String {
    let text = plan.split("Query Text: ").nth(1).unwrap_or(plan);
    text.split_whitespace().take(14).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hot_path_goes_by_index_with_a_million_tasks_waiting() {
    let server = PostgresServer::options(Profile::Durable)
        .set("shared_preload_libraries", "auto_explain")
        .set("auto_explain.log_nested_statements", "on")
        .set("shared_buffers", "512MB")
        .set("max_wal_size", "4GB")
        .start()
        .await
        .unwrap();
    let url = server.fresh_database().await.unwrap();
    let world = postgres_at(&url, Box::new(())).await;
    // Statements are prepared while the tables are empty, which is what misleads a planner most.
    let worker = world.worker().await;
    world.lease(worker).await;
    fill(&world).await;
    // Notifications and polls would be logged between the rounds.
    for _ in 0..WARM_UP {
        round(&world, worker).await;
    }
    for sql in ["ALTER SYSTEM SET auto_explain.log_min_duration = 0", "SELECT pg_reload_conf()"] {
        world.db.all(Query::new(sql)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..ROUNDS {
        round(&world, worker).await;
    }
    let log = server.log();
    let mut took: HashMap<String, Vec<Duration>> = HashMap::new();
    for (duration, plan) in statements(&log) {
        for table in LARGE {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
        }
        took.entry(kind(&plan)).or_default().push(duration);
    }
    for statement in [
        "WITH i AS",
        "SELECT i.at",
        "WITH w AS",
        "WITH gone AS",
        "UPDATE mw_task t SET attempt",
        "UPDATE mw_task t SET state = 1",
    ] {
        let is_there = took.keys().any(|kind| kind.contains(statement));
        assert!(is_there, "{statement} is not in the log: {:?}", took.keys());
    }
    for (statement, mut durations) in took {
        durations.sort_unstable();
        let median = durations[durations.len() / 2];
        assert!(median <= LONGEST, "{statement}: {median:?} in the middle of {durations:?}");
    }
}
