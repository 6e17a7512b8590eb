//! The fifteen pains that users of job runners write about: each has a test here that fails if it
//! comes back.
//!
//! docs/reliability.md says what is promised; the bad day of servers and networks is in `soak`.

mod changes;
mod crashes;
mod durability;
mod growth;
mod leaks;
mod limits;
mod long;
mod schedules;
mod silence;

use std::time::{Duration, Instant};

use database::{Db, PostgresSettings, Query};
use tasks::{TaskDetail, TaskState};
use testkit::PostgresServer;
use values::Secret;

use crate::cli_shell::Shell;
use crate::site::{PATIENCE, Site, Worker, migrate};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// An attempt of the task has begun and goes on.
fn runs(detail: &TaskDetail) -> bool {
    detail.summary.state == TaskState::Running && detail.summary.started_at.is_some()
}

fn ended(detail: &TaskDetail) -> bool {
    detail.summary.state.is_final()
}

/// A site in a new database of a server.
async fn site_of(server: &PostgresServer) -> Site {
    let url = server.fresh_database().await.unwrap();
    migrate(url.clone()).await.unwrap();
    Site::at(&url).await
}

/// A shell with the keys and the database of a site, and the company's manifest.
fn shell_of(site: &Site) -> Shell {
    let mut shell = Shell::with_manifest("");
    shell.set("DATABASE_URL", &site.url());
    shell.set("MAIN_WORKER_HOME", site.folder.path().join("home").to_str().unwrap());
    shell
}

async fn open(url: &str) -> Db {
    Db::open_postgres(&PostgresSettings::new(Secret::new(url.to_owned()))).await.unwrap()
}

/// The numbers in the first column.
async fn numbers(db: &Db, sql: &'static str) -> Vec<i64> {
    let rows = db.all(Query::new(sql)).await.unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

/// Kills a worker and takes its tasks over at once, as others do after eight seconds of silence.
async fn crash(site: &Site, worker: Worker) -> tasks::Rescued {
    worker.kill();
    let silent = site.app.store.beats().await.unwrap();
    site.app.store.rescue(silent).await.unwrap()
}

/// Waits until it is so; says what was waited for otherwise.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
