//! The services a job may take when it is made.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use database::Db;
use manifest::Manifest;
use serde::Serialize;
use tasks::TaskStore;
use values::Clock;

/// What the program knows of its surroundings; no secret among it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Version of the program.
    pub version: String,
    /// Name of the worker, from worker.toml.
    pub worker: String,
    /// The host's name.
    pub host: String,
    /// The environment's name, such as `production`; empty when none is given.
    pub environment: String,
    /// The worker's own folder; paths in settings are relative to it.
    pub home: PathBuf,
    /// Fingerprint of registry and manifest.
    pub release: String,
    /// Settings by name, secrets redacted.
    pub settings: Vec<(String, String)>,
}

/// The services a job may take when it is made; a job keeps only what it uses.
#[derive(Clone)]
pub struct Services {
    /// The domain database.
    pub db: Db,
    /// The task store.
    pub tasks: Arc<dyn TaskStore>,
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The clock, for what is not an attempt.
    pub clock: Arc<dyn Clock>,
    /// What the program knows of its surroundings.
    pub facts: Arc<Facts>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("facts", &self.facts).finish_non_exhaustive()
    }
}
