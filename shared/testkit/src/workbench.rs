//! Jobs on a bench: run inline, cut off at will, settled when the test says so.

mod attempt;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use contract::Contract;
use database::{Db, EngineKind};
use job::{Facts, Registry, RegistryBuilder, Services};
use serde_json::Value;
use tasks::TaskStore;
use values::{Clock, Secret};

use crate::TestClock;
use crate::scratch::{Keeper, Scratch};

pub use attempt::{Cut, Done};

/// Runs jobs inline: the real structs, made from worker.toml, on a database of their own.
///
/// There is no worker and no queue between a test and a job. The bench runs one attempt
/// ([`Workbench::attempt`]), cut off where the test wants it ([`Cut`]), and stores its outcome when
/// told to ([`Workbench::settle`]); [`Workbench::run`] does both, and [`Workbench::run_all`] what
/// follows from it too. Follow-ups are handed to the test rather than stored.
pub struct Workbench {
    /// The domain database; it holds the effect ledger and the task store's tables, and the test
    /// adds those of the domain.
    pub db: Db,
    /// The task store that jobs are given.
    pub tasks: Arc<dyn TaskStore>,
    /// The clock of database, task store and attempts.
    pub clock: Arc<TestClock>,
    registry: Registry,
    sections: BTreeMap<String, Secret<String>>,
    alerts: Arc<Mutex<Vec<(&'static str, String)>>>,
    keeper: Keeper,
}

impl Workbench {
    /// Makes a bench for the jobs that `register` adds.
    ///
    /// `worker_toml` holds what the test is about, such as `[jobs."a/b"]` with settings; jobs of
    /// the contract that it does not name get an empty row.
    ///
    /// # Panics
    /// If worker.toml, contract and registered jobs do not fit together; it says how.
    pub async fn new(
        contract: &Contract,
        register: impl FnOnce(&mut RegistryBuilder<'_>),
        worker_toml: &str,
    ) -> Self {
        Self::in_folder(contract, register, |_| worker_toml.to_owned()).await
    }

    /// Makes a bench whose worker.toml names files in the bench's own folder, which is given.
    ///
    /// # Panics
    /// As [`Workbench::new`].
    pub async fn in_folder(
        contract: &Contract,
        register: impl FnOnce(&mut RegistryBuilder<'_>),
        worker_toml: impl FnOnce(&Path) -> String,
    ) -> Self {
        Self::on(EngineKind::Sqlite, contract, register, worker_toml).await
    }

    /// Makes a bench on an engine of the test's choice; [`on_each_engine`](crate::on_each_engine)
    /// runs a test on both.
    ///
    /// # Panics
    /// As [`Workbench::new`], and if the server does not run.
    pub async fn on(
        engine: EngineKind,
        contract: &Contract,
        register: impl FnOnce(&mut RegistryBuilder<'_>),
        worker_toml: impl FnOnce(&Path) -> String,
    ) -> Self {
        let Scratch { db, tasks, clock, manifest, keeper } =
            Scratch::new(engine, contract, worker_toml).await;
        let facts = Facts {
            version: "0.0.0".to_owned(),
            worker: manifest.worker.name.clone(),
            home: keeper.folder.path().to_owned(),
            settings: vec![("PORT".to_owned(), "8080".to_owned())],
            ..Facts::default()
        };
        let services = Services {
            db: db.clone(),
            tasks: Arc::clone(&tasks),
            manifest,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            facts: Arc::new(facts),
        };
        let mut builder = RegistryBuilder::new(&services);
        register(&mut builder);
        let registry = builder.build(contract).unwrap_or_else(|problems| panic!("{problems}"));
        let (sections, alerts) = (BTreeMap::new(), Arc::default());
        Self { db, tasks, clock, registry, sections, alerts, keeper }
    }

    /// Takes what jobs wanted a person to hear of since the last call: codes and messages.
    pub fn take_alerts(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut *self.alerts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives every later attempt a section of configuration, if its job declares it.
    pub fn configure(&mut self, section: &str, value: &Value) {
        self.sections.insert(section.to_owned(), Secret::new(value.to_string()));
    }

    /// Takes a section of the configuration away.
    pub fn unconfigure(&mut self, section: &str) {
        self.sections.remove(section);
    }

    /// The bench's own folder; deleted with the bench.
    pub fn folder(&self) -> &Path {
        self.keeper.folder.path()
    }
}

impl fmt::Debug for Workbench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workbench").field("jobs", &self.registry).finish_non_exhaustive()
    }
}
