//! Upgrades beside workers that go on.

use database::{EngineKind, Migration, PostgresSql, SchemaRange};
use main_worker::bench::{NoOp, Sleep, WriteRow};
use tasks::TaskState;

use super::{ended, runs};
use crate::site::Site;

const WIDE: &str = "[sources.operator]\njobs = [\"*\"]";
const NARROW: &str = "[sources.operator]\njobs = [\"bench/no_op\", \"bench/sleep\"]";
/// What a next release might add.
const STEP: &[&str] = &["ALTER TABLE mw_task ADD COLUMN region TEXT"];

/// The schema of the next release, which the present one goes on working with.
fn next_release() -> SchemaRange {
    let newest = tasks::SCHEMA.newest();
    let step = Migration {
        version: newest + 1,
        name: "regions",
        works_from: newest,
        sqlite: STEP,
        postgres: PostgresSql::Own(STEP),
    };
    let migrations: Vec<_> = tasks::SCHEMA.migrations.iter().copied().chain([step]).collect();
    SchemaRange { migrations: migrations.leak(), ..tasks::SCHEMA }
}

async fn pain_14_an_upgrade_needs_every_worker_stopped(engine: EngineKind) {
    let site = Site::on(engine).await;
    let narrow = site.manifest("narrow.toml", WIDE, NARROW);
    let old = site.worker_with(&[], &[("MAIN_WORKER_MANIFEST", &narrow)]);
    let running = site.enqueue(&Sleep { millis: 1_500 }).await;
    site.until(running, runs).await;
    let held = site.enqueue(&WriteRow { number: 1 }).await;
    site.until(held, |detail| detail.summary.held.is_some()).await;

    let now = site.app.clock.now();
    let done = next_release().migrate(&site.app.db, now).await.unwrap();
    assert_eq!(done.found, tasks::SCHEMA.newest() + 1);
    // What ran goes on and is settled; what comes is taken, by the old release alone.
    let asked = site.enqueue(&NoOp { number: 2 }).await;
    for task in [running, asked] {
        let summary = site.until(task, ended).await.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
    // The new release starts beside it and runs what the old one does not accept.
    assert_eq!(site.task(held).await.summary.state, TaskState::Available);
    let _new = site.worker(&[]);
    let summary = site.until(held, ended).await.summary;
    assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    let log = old.log();
    assert!(!log.contains("\"error\""), "{log}");
}

testkit::on_each_engine!(pain_14_an_upgrade_needs_every_worker_stopped);
