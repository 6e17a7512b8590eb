//! Schedules: seconds, downtime, and a scheduler that cannot do its work.

use std::collections::BTreeMap;

use database::{EngineKind, Query};
use tasks::TaskFilter;
use values::Span;

use super::eventually;
use crate::site::Site;
use crate::work_health::{address, get};

const MICROS: i64 = 1_000_000;
const HOUR: i64 = 3_600 * MICROS;
/// The head of the manifest that schedules are put before.
const HEAD: &str = "[sources.main_worker]";

/// A schedule of a job that takes a `number`.
fn schedule(name: &str, cron: &str, missed: &str, payload: &str) -> String {
    format!(
        "[schedules.{name}]\njob = \"bench/no_op\"\nsource = \"operator\"\ncron = \"{cron}\"\n\
         missed = \"{missed}\"\npayload = {payload}\n\n"
    )
}

impl Site {
    /// The times that a schedule has ticked for, in seconds.
    async fn ticks(&self, name: &str) -> Vec<i64> {
        let query = Query::new(
            "SELECT nominal_at FROM mw_tick WHERE schedule = $1 AND task IS NOT NULL
             ORDER BY nominal_at",
        );
        let rows = self.app.db.all(query.bind(name)).await.unwrap();
        rows.iter().map(|row| row.get::<i64>(0).unwrap() / MICROS).collect()
    }

    /// How many tasks came from a schedule.
    async fn scheduled(&self, name: &str) -> usize {
        let label = Some(format!("schedule:{name}"));
        let filter = TaskFilter { label, limit: 1_000, ..TaskFilter::default() };
        self.app.store.search(filter).await.unwrap().len()
    }
}

async fn pain_04_the_scheduler_dies_quietly(engine: EngineKind) {
    let site = Site::on(engine).await;
    let every_second = schedule("every-second", "* * * * * *", "run_all", "{ number = 1 }");
    let refused = schedule("refused", "*/2 * * * * *", "run_once", "{ number = -1 }");
    let manifest = site.manifest("ticking.toml", HEAD, &format!("{every_second}{refused}{HEAD}"));
    let sentry = testkit::SentryServer::start().await.unwrap();
    let variables = [("MAIN_WORKER_MANIFEST", manifest.as_str()), ("SENTRY_DSN", sentry.dsn())];
    let worker = site.worker_with(&["--listen", "127.0.0.1:0"], &variables);
    let address = address(&worker);
    let metric = |name: &str| {
        let metrics = get(&address, "/metrics").1;
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
    };
    // What admission refuses is told to people at once, and keeps no other schedule back.
    worker.says("schedule_not_ticked");
    assert!(metric("main_worker_tick_failures_total{schedule=\"refused\"}") >= Some(1.0));
    assert!(metric("main_worker_rejections_total{code=\"invalid_payload\"}") >= Some(1.0));
    let well = metric("main_worker_schedules_success_timestamp_seconds");
    worker.says("schedule ticked");

    // What fails for a while is tried again until it succeeds; no tick is missed or doubled.
    let db = &site.app.db;
    db.execute(Query::new("ALTER TABLE mw_tick RENAME TO mw_tick_away")).await.unwrap();
    let failing = "main_worker_tick_failures_total{schedule=\"every-second\"}";
    eventually("the second failure is counted", async || metric(failing) >= Some(2.0)).await;
    db.execute(Query::new("ALTER TABLE mw_tick_away RENAME TO mw_tick")).await.unwrap();
    worker.says("schedule ticks again");
    assert_eq!(metric("main_worker_schedules_success_timestamp_seconds"), well, "it stands still");
    let ticks = site.ticks("every-second").await;
    let expected: Vec<i64> = (ticks[0]..).take(ticks.len()).collect();
    assert!(ticks.len() >= 3, "{ticks:?}");
    assert_eq!(ticks, expected);
    assert!(site.scheduled("every-second").await >= ticks.len());
    if cfg!(feature = "sentry") {
        let events = sentry.wait_for_events(1, crate::site::PATIENCE).await.unwrap();
        let text = serde_json::to_string(&events).unwrap();
        assert!(text.contains("invalid_payload"), "{text}");
    }
}

async fn ticks_by_its_rules(engine: EngineKind) {
    let site = Site::on(engine).await;
    let now = site.app.store.now();
    // Half an hour away from now on both sides, so that none is due while the test runs.
    let minute = (now.as_micros().rem_euclid(HOUR) / (60 * MICROS) + 30) % 60;
    let hourly = format!("0 {minute} * * * *");
    let mut rules = schedule("seconds", "*/2 * * * * *", "run_all", "{ number = 1 }");
    for missed in ["run_once", "run_all", "skip"] {
        rules.push_str(&schedule(missed, &hourly, missed, "{ number = 2 }"));
        // It has ticked before; then nobody was there for three hours.
        let begun = now.before(Span::from_hours(3));
        site.app.store.last_tick(missed.to_owned(), begun).await.unwrap();
    }
    let manifest = site.manifest("missed.toml", HEAD, &format!("{rules}{HEAD}"));
    let variables = [("MAIN_WORKER_MANIFEST", manifest.as_str())];
    // However many workers there are.
    let _workers = [site.worker_with(&[], &variables), site.worker_with(&[], &variables)];
    eventually("three ticks", async || site.ticks("seconds").await.len() >= 3).await;
    let ticks = site.ticks("seconds").await;
    assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == 2), "{ticks:?}");
    assert!(ticks.iter().all(|tick| tick % 2 == 0), "{ticks:?}");
    let mut counts = BTreeMap::new();
    for missed in ["run_once", "run_all", "skip"] {
        let ticks = site.ticks(missed).await;
        assert!(ticks.iter().all(|tick| tick / 60 % 60 == minute), "{ticks:?}");
        assert_eq!(site.scheduled(missed).await, ticks.len(), "each tick is one task");
        counts.insert(missed, ticks.len());
    }
    assert_eq!(counts, BTreeMap::from([("run_once", 1), ("run_all", 3), ("skip", 0)]));
    let latest = site.ticks("run_all").await;
    assert_eq!(site.ticks("run_once").await, latest[2..]);
}

#[tokio::test]
async fn pain_05_cron_misses_knows_only_minutes_or_does_not_catch_up() {
    tokio::join!(ticks_by_its_rules(EngineKind::Sqlite), ticks_by_its_rules(EngineKind::Postgres));
}

testkit::on_each_engine!(pain_04_the_scheduler_dies_quietly);
