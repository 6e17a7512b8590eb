//! Two schedulers over the months in which the clocks of Berlin change.

use std::sync::Arc;

use main_worker::bench;
use main_worker::work::Scheduler;
use manifest::Manifest;
use tasks::{PostgresStore, TaskFilter};
use testkit::{PostgresServer, Profile, TestClock};
use values::{Clock, Span, Timestamp};

use super::ground::Ground;
use super::{size, tell};

const SCHEDULES: &str = "
[schedules.hourly]
job = \"bench/no_op\"
source = \"operator\"
cron = \"0 0 * * * *\"
time_zone = \"Europe/Berlin\"
missed = \"run_all\"
payload = { number = 1 }

[schedules.nightly]
job = \"bench/no_op\"
source = \"operator\"
cron = \"0 30 2 * * *\"
time_zone = \"Europe/Berlin\"
missed = \"run_all\"
payload = { number = 2 }
";
/// Tasks read at a time.
const PAGE: u32 = 1_000;

/// A month: its first instant and its last one, and the nightly tick of the night of the change.
struct Month {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    hours: usize,
    changed: &'static str,
}

/// In March 2:30 does not exist on the 28th, in October it comes twice on the 31st.
const MONTHS: [Month; 2] = [
    Month {
        name: "March",
        from: "2027-02-28T22:59:59Z",
        to: "2027-03-31T21:59:59Z",
        hours: 743,
        changed: "2027-03-28T01:00:00Z",
    },
    Month {
        name: "October",
        from: "2027-09-30T21:59:59Z",
        to: "2027-10-31T22:59:59Z",
        hours: 745,
        changed: "2027-10-31T00:30:00Z",
    },
];
const NIGHTS: usize = 31;

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_tick_once_each_while_the_clocks_change() {
    let step = size(Span::from_hours(1), Span::from_minutes(5));
    let ground = Ground::new(PostgresServer::options(Profile::Fast)).await;
    let clock = Arc::new(TestClock::default());
    let text = format!("{}{SCHEDULES}", include_str!("../../../src/bench/worker.toml"));
    let program = bench::program();
    let manifest = Arc::new(Manifest::parse(&text, &program.contract.names()).unwrap());
    for month in MONTHS {
        let (mut now, to) = (at(month.from), at(month.to));
        clock.set(now);
        // New ones in each month: a worker that was away for half a year catches up otherwise.
        let forget = database::Query::new("DELETE FROM mw_tick");
        ground.site.app.db.execute(forget).await.unwrap();
        let one = scheduler(&ground, &manifest, &clock).await;
        let two = scheduler(&ground, &manifest, &clock).await;
        while now <= to {
            clock.set(now);
            tokio::join!(one.look(), two.look());
            now = if now == to { now.after(step) } else { now.after(step).min(to) };
        }
        let hourly = ticks(&ground, "hourly", &month).await;
        let nightly = ticks(&ground, "nightly", &month).await;
        assert_eq!((hourly.len(), nightly.len()), (month.hours, NIGHTS), "{}", month.name);
        assert!(nightly.contains(&at(month.changed)), "{nightly:?}");
        tell(
            &format!("two schedulers, Berlin, {}", month.name),
            &format!("{} hourly and {NIGHTS} nightly ticks, one task each", month.hours),
        );
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A scheduler with a store of its own, on the clock of the test.
async fn scheduler(ground: &Ground, manifest: &Arc<Manifest>, clock: &Arc<TestClock>) -> Scheduler {
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
    let mut app = ground.site.app.clone();
    let store = PostgresStore::open(app.db.clone(), Arc::clone(&clock)).await.unwrap();
    (app.manifest, app.store, app.clock) = (Arc::clone(manifest), Arc::new(store), clock);
    Scheduler::new(&app).unwrap()
}

/// The instants at which a schedule ticked in a month; each has exactly one task.
async fn ticks(ground: &Ground, schedule: &str, month: &Month) -> Vec<Timestamp> {
    let query = "SELECT nominal_at FROM mw_tick
                  WHERE schedule = $1 AND task IS NOT NULL ORDER BY nominal_at";
    let query = database::Query::new(query).bind(schedule.to_owned());
    let rows = ground.site.app.db.all(query).await.unwrap();
    let ticks: Vec<Timestamp> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    let mut filter = TaskFilter {
        label: Some(format!("schedule:{schedule}")),
        from: Some(at(month.from)),
        to: Some(at(month.to).after(Span::from_seconds(1))),
        limit: PAGE,
        ..TaskFilter::default()
    };
    let mut tasks = 0;
    loop {
        let page = ground.site.app.store.search(filter.clone()).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before_row = Some(last.row);
        tasks += page.len();
    }
    assert_eq!(tasks, ticks.len(), "{schedule} in {}", month.name);
    ticks
}
