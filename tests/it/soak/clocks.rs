//! The wall clock of one worker jumps an hour ahead, and back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use main_worker::bench::Sleep;
use scheduling::TaskOptions;
use tasks::{TaskFilter, TaskState};
use testkit::{PostgresServer, Profile};
use values::{Span, Timestamp};

use super::ground::{Ground, clean};
use super::load::Load;
use super::pauses::{GIVEN_UP, RESCUED};
use super::{size, tell};

/// A schedule that ticks every second, whatever happens.
const SCHEDULE: &str = "[schedules.second]
job = \"bench/fill\"
source = \"operator\"
cron = \"* * * * * *\"
missed = \"run_all\"
missed_limit = 1_000
payload = { bytes = 1 }

[jobs.\"bench/no_op\"]";
/// Where Debian's package puts the library that fakes a clock.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// A task that is asked for later starts no sooner, and hardly later.
const DELAY: Span = Span::from_seconds(3);
const HARDLY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn jumps_of_a_wall_clock_move_nothing() {
    let (times, seconds, per_second) = size((1, 2, 50), (10, 10, 300));
    let mut ground = Ground::new(PostgresServer::options(Profile::Fast)).await;
    let manifest = ground.site.manifest("seconds.toml", "[jobs.\"bench/no_op\"]", SCHEDULE);
    let shift = ground.site.folder.path().join("shift");
    set(&shift, 0);
    let library = library().display().to_string();
    let usual = ("MAIN_WORKER_MANIFEST", manifest.as_str());
    ground.hire(&[usual]);
    ground.hire(&[
        usual,
        ("LD_PRELOAD", &library),
        ("FAKETIME_TIMESTAMP_FILE", shift.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    let load = Load::start(&ground.site, per_second);
    let mut later = Vec::new();
    for _ in 0..times {
        for hours in [1, 0, -1, 0] {
            ground.occupy(seconds * 1_000 + 500).await;
            let options = TaskOptions { delay: Some(DELAY), ..TaskOptions::default() };
            later.push(ground.site.enqueue_with(&Sleep { millis: 1 }, options).await);
            set(&shift, hours);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }
    let (accepted, _) = load.end().await;
    for task in later {
        let done = ground.site.until(task, |detail| detail.summary.state.is_final()).await;
        let summary = done.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1));
        let late = summary.started_at.unwrap().since(summary.run_at).as_micros();
        assert!((0..i64::try_from(HARDLY.as_micros()).unwrap()).contains(&late), "{summary:?}");
    }
    let ticks = ticks(&ground).await;
    let found = clean(&ground.ends(&accepted).await);
    let logs = ground.logs();
    assert!(!logs.contains(RESCUED) && !logs.contains(GIVEN_UP), "{logs}");
    assert!(jumped(&ground.workers[1].log()), "the clock did not jump\n{logs}");
    tell(
        &format!("wall clock of one worker an hour ahead and back, {times} times"),
        &format!("{found}; none rescued, {ticks} ticks once each"),
    );
}

/// Every second between the first tick and the last one has its tick, and one task.
async fn ticks(ground: &Ground) -> usize {
    let query = "SELECT nominal_at FROM mw_tick WHERE task IS NOT NULL ORDER BY nominal_at";
    let rows = ground.site.app.db.all(database::Query::new(query)).await.unwrap();
    assert!(!rows.is_empty(), "{}", ground.logs());
    let seen: Vec<i64> =
        rows.iter().map(|row| row.get::<Timestamp>(0).unwrap().as_micros() / 1_000_000).collect();
    let every: Vec<i64> = (seen[0]..=seen[seen.len() - 1]).collect();
    assert_eq!(seen, every);
    let label = Some("schedule:second".to_owned());
    let filter = TaskFilter { label, limit: 1_000, ..TaskFilter::default() };
    let tasks = ground.site.app.store.search(filter).await.unwrap();
    let ids: BTreeSet<_> = tasks.iter().map(|task| task.task_id).collect();
    assert!(ids.len() >= seen.len(), "{} tasks for {} ticks", ids.len(), seen.len());
    seen.len()
}

/// Whether the lines of a log are half an hour apart somewhere.
fn jumped(log: &str) -> bool {
    let time = |line: &str| line.split('"').nth(3)?.parse::<Timestamp>().ok();
    let times: Vec<Timestamp> = log.lines().filter_map(time).collect();
    times.windows(2).any(|pair| pair[1].since(pair[0]) > Span::from_minutes(30))
}

/// Shifts the clock of whoever reads the file.
fn set(shift: &Path, hours: i64) {
    std::fs::write(shift, format!("{:+}\n", hours * 3_600)).unwrap();
}

fn library() -> PathBuf {
    let folders = std::fs::read_dir(LIBRARIES).unwrap();
    let mut found = folders.map(|folder| folder.unwrap().path().join(LIBRARY));
    found.find(|path| path.exists()).expect("run ci/services faketime")
}
