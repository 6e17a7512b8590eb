//! What workbench and asking stand on: rules, a database and a task store in a folder of their own.

use std::path::Path;
use std::sync::Arc;

use contract::Contract;
use database::Db;
use manifest::Manifest;
use tasks::{SqliteStore, TaskStore};
use tempfile::TempDir;
use values::Clock;

use crate::TestClock;

/// A temporary folder with everything that stores tasks; deleted with the value.
pub(crate) struct Scratch {
    pub(crate) db: Db,
    pub(crate) tasks: Arc<dyn TaskStore>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) folder: TempDir,
}

impl Scratch {
    pub(crate) async fn new(
        contract: &Contract,
        worker_toml: impl FnOnce(&Path) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let text = with_all_rows(contract, &worker_toml(folder.path()));
        let manifest = Manifest::parse(&text, &contract.names())
            .unwrap_or_else(|problems| panic!("worker.toml of the test:\n{problems}\n\n{text}"));
        let clock = Arc::new(TestClock::default());
        let db = Db::open_sqlite(&folder.path().join("main.db")).await;
        let db = db.expect("a new database can be made");
        let store = SqliteStore::open(db.clone(), Arc::clone(&clock) as Arc<dyn Clock>).await;
        let tasks: Arc<dyn TaskStore> = Arc::new(store.expect("a new database takes its schema"));
        Self { db, tasks, clock, manifest: Arc::new(manifest), folder }
    }
}

/// Adds an empty row for every job that has none, so that a test names only what it is about.
fn with_all_rows(contract: &Contract, lines: &str) -> String {
    let mut text = String::new();
    for job in contract.names() {
        let row = format!("[jobs.\"{job}\"]\n");
        if !lines.contains(row.trim_end()) {
            text.push_str(&row);
        }
    }
    text + lines
}
