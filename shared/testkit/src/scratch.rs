//! What workbench and asking stand on: rules, a database, a task store and a folder of their own.

use std::path::Path;
use std::sync::Arc;

use contract::Contract;
use database::{Db, EngineKind};
use job::EFFECTS;
use manifest::Manifest;
use tasks::{PostgresStore, SqliteStore, TaskStore};
use tempfile::TempDir;
use values::Clock;

use crate::{TestClock, TestDb};

/// Everything that stores tasks; deleted with the value.
pub(crate) struct Scratch {
    pub(crate) db: Db,
    pub(crate) tasks: Arc<dyn TaskStore>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) keeper: Keeper,
}

/// Keeps the folder and, on a server, the database.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) folder: TempDir,
    _database: Option<TestDb>,
}

impl Scratch {
    pub(crate) async fn new(
        engine: EngineKind,
        contract: &Contract,
        worker_toml: impl FnOnce(&Path) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let text = with_all_rows(contract, &worker_toml(folder.path()));
        let manifest = Manifest::parse(&text, &contract.names())
            .unwrap_or_else(|problems| panic!("worker.toml of the test:\n{problems}\n\n{text}"));
        let clock = Arc::new(TestClock::default());
        let ticks = Arc::clone(&clock) as Arc<dyn Clock>;
        let (db, tasks, database): (Db, Arc<dyn TaskStore>, _) = match engine {
            EngineKind::Sqlite => {
                let db = Db::open_sqlite(&folder.path().join("main.db")).await;
                let db = db.expect("a new database can be made");
                let store = SqliteStore::open(db.clone(), ticks).await;
                let store = store.expect("a new database takes its schema");
                EFFECTS.migrate(&db, clock.now()).await.expect("a new database takes its schema");
                (db, Arc::new(store), None)
            }
            EngineKind::Postgres => {
                let database = TestDb::new(engine, "bench", &[tasks::SCHEMA, EFFECTS]).await;
                let db = database.db.clone();
                let store = PostgresStore::open(db.clone(), ticks).await;
                (db, Arc::new(store.expect("the database was migrated")), Some(database))
            }
        };
        let keeper = Keeper { folder, _database: database };
        Self { db, tasks, clock, manifest: Arc::new(manifest), keeper }
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
