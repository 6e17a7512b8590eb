//! A snapshot stays open for long while backups are made: nothing can be vacuumed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use database::{Db, PostgresSettings, Query};
use tasks::TaskFilter;
use testkit::{PostgresServer, Profile};
use values::{Secret, Timestamp};

use super::ground::{Ground, clean};
use super::load::Load;
use super::{size, tell};

/// A statement of the hot path takes no longer on the average, milliseconds.
const HOT_MS: f64 = 10.0;
/// Attempts at once of each worker: a second has time for a thousand tasks that write.
const PLACES: usize = 32;
/// Pause between two backups.
const PAUSE: Duration = Duration::from_secs(2);
/// Calls that make a statement a hot one.
const HOT_CALLS: i64 = 50;
/// Tasks read at a time.
const PAGE: u32 = 1_000;

/// What was seen in a span of time.
#[derive(Debug)]
struct Span {
    per_second: u64,
    p50_ms: f64,
    p99_ms: f64,
    hot_mean_ms: f64,
    hot_max_ms: f64,
    hot_sql: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_snapshot_and_backups_slow_nothing_down() {
    // The short form makes up for the short time with rows that died before.
    let (beside, during, per_second, dead) = size((2, 4, 200, 100_000), (60, 600, 1_000, 0));
    let options = PostgresServer::options(Profile::Durable)
        .set("shared_preload_libraries", "pg_stat_statements")
        .set("pg_stat_statements.track", "all");
    let mut ground = Ground::new(options).await;
    ground.site.app.db.execute(Query::new("CREATE EXTENSION pg_stat_statements")).await.unwrap();
    ground.places = PLACES;
    ground.hire(&[]);
    ground.hire(&[]);
    let load = Load::start(&ground.site, per_second);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = watch(&ground, Duration::from_secs(beside), false).await;

    let url = Secret::new(ground.site.url());
    let other = Db::open_postgres(&PostgresSettings::new(url)).await.unwrap();
    let mut snapshot = other.begin_with(database::Durability::Full).await.unwrap();
    let isolate = Query::new("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    snapshot.tx().execute(isolate).await.unwrap();
    snapshot.tx().first(Query::new("SELECT count(*) FROM mw_task")).await.unwrap();
    leave_dead_rows(&ground, dead).await;
    let with = watch(&ground, Duration::from_secs(during), true).await;
    snapshot.rollback().await.unwrap();
    let after = watch(&ground, Duration::from_secs(beside), false).await;

    let (accepted, _) = load.end().await;
    let found = clean(&ground.ends(&accepted).await);
    for span in [&before, &with, &after] {
        assert!(span.hot_mean_ms < HOT_MS, "{span:?} for {}", span.hot_sql);
    }
    assert!(with.per_second * 5 >= before.per_second * 4, "{before:?} {with:?}");
    let show = |span: &Span| {
        format!(
            "{}/s, start p50 {:.1} ms p99 {:.1} ms, hot statements mean {:.2} ms at most (longest \
             single call {:.0} ms)",
            span.per_second, span.p50_ms, span.p99_ms, span.hot_mean_ms, span.hot_max_ms
        )
    };
    tell(
        &format!("snapshot open for {during} s, pg_dump again and again, {per_second} tasks/s"),
        &format!(
            "{found}; before {}; during {}; after {}",
            show(&before),
            show(&with),
            show(&after)
        ),
    );
}

/// Rows that stood before all that wait, and that the open snapshot keeps from being removed.
async fn leave_dead_rows(ground: &Ground, rows: i64) {
    let mut transaction = ground.site.app.db.begin_with(database::Durability::Full).await.unwrap();
    let insert = Query::new(
        "INSERT INTO mw_task (seq, lane, run_at, state, priority, attempt, max_attempts, is_unique)
         SELECT -row_number() OVER (), l.id, g, 1, 1, 0, 1, 0
           FROM mw_lane l, generate_series(1, $1) g",
    );
    transaction.tx().execute(insert.bind(rows)).await.unwrap();
    let delete = Query::new("DELETE FROM mw_task WHERE seq < 0");
    transaction.tx().execute(delete).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Watches for a while, with one backup after the other if asked to.
async fn watch(ground: &Ground, time: Duration, backups: bool) -> Span {
    let app = &ground.site.app;
    app.db.all(Query::new("SELECT pg_stat_statements_reset()")).await.unwrap();
    let (from, until) = (app.store.now(), Instant::now() + time);
    let mut dumps = 0;
    while backups && Instant::now() < until {
        let mut dump = ground.server.dump(&ground.site.url()).unwrap();
        dump.stdout(Stdio::null());
        let ended = tokio::task::spawn_blocking(move || dump.status()).await.unwrap();
        assert!(ended.unwrap().success());
        dumps += 1;
        tokio::time::sleep_until((Instant::now() + PAUSE).min(until).into()).await;
    }
    assert!(!backups || dumps > 0);
    tokio::time::sleep_until(until.into()).await;
    let to = app.store.now();
    let statements = Query::new(
        "SELECT query, mean_exec_time, max_exec_time FROM pg_stat_statements
          WHERE query ~ 'mw_(task|envelope|finished|worker)' AND query !~ '^COPY|^LOCK|pg_catalog'
            AND calls >= $1 ORDER BY mean_exec_time DESC",
    );
    let rows = app.db.all(statements.bind(HOT_CALLS)).await.unwrap();
    let slowest = rows.first().expect("there are hot statements");
    let longest = rows.iter().map(|row| row.get::<f64>(2).unwrap());
    let waits = waits(ground, from, to).await;
    assert!(!waits.is_empty(), "nothing ran\n{}", ground.logs());
    let at = |percent: usize| waits[(waits.len() * percent).div_ceil(100).max(1) - 1] / 1_000.0;
    Span {
        per_second: waits.len() as u64 / time.as_secs(),
        p50_ms: at(50),
        p99_ms: at(99),
        hot_mean_ms: slowest.get(1).unwrap(),
        hot_max_ms: longest.fold(0.0, f64::max),
        hot_sql: slowest.get(0).unwrap(),
    }
}

/// From the request to the start of its handler, microseconds, of what was asked for in a span.
async fn waits(ground: &Ground, from: Timestamp, to: Timestamp) -> Vec<f64> {
    let (from, to) = (Some(from), Some(to));
    let mut filter = TaskFilter { from, to, limit: PAGE, ..TaskFilter::default() };
    let mut waits = Vec::new();
    loop {
        let page = ground.site.app.store.search(filter.clone()).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before_row = Some(last.row);
        waits.extend(page.iter().filter_map(|task| {
            let wait = task.started_at?.since(task.enqueued_at);
            u32::try_from(wait.as_micros()).ok().map(f64::from)
        }));
    }
    waits.sort_unstable_by(f64::total_cmp);
    waits
}
