//! A folder and a database that end with the measurement.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use database::Query;
use values::{Clock, Secret};

use super::BENCH_TABLES;
use crate::app::BUILT_IN_MANIFEST;
use crate::clock::SystemClock;
use crate::home::Home;
use crate::settings::{DATABASE_MAX_CONNECTIONS, DATABASE_URL, HOME, Settings};
use crate::storage::{Access, Location, PARTS};

/// A temporary folder and, on a server, a schema of its own beside the company's; both are removed
/// when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    schema: Option<Schema>,
    settings: Settings,
}

/// A schema of a server, and the way to its database.
#[derive(Debug)]
struct Schema {
    name: String,
    location: Location,
}

impl Scratch {
    /// Makes a folder inside `parent`, or where temporary files belong, and a schema if the
    /// environment names a server; nothing outside them is read or written.
    pub async fn new(parent: Option<&Path>, environment: &Settings) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let unique = u64::from_be_bytes(tasks::random_bytes());
        let path = parent.join(format!("main-worker-bench-{unique:016x}"));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| {
            format!("cannot make {}; name another folder with --folder", path.display())
        })?;
        std::fs::write(path.join("worker.toml"), BUILT_IN_MANIFEST)?;
        let settings = Settings { home: Some(path.join("home")), ..Settings::default() };
        let mut scratch = Self { path, schema: None, settings };
        let location = Location::of(environment)?;
        if let (Some(url), true) = (&environment.database_url, location.is_server()) {
            let name = format!("main_worker_bench_{unique:016x}");
            let limit = environment.database_max_connections.clone();
            scratch.settings.database_max_connections = limit;
            scratch.settings.database_url = Some(within(url, &name));
            scratch.make_schema(Schema { name, location }).await?;
        }
        Ok(scratch)
    }

    async fn make_schema(&mut self, schema: Schema) -> Result<()> {
        let db = schema.location.connect(Access::Work).await?;
        db.execute(Query::built(format!("CREATE SCHEMA {}", schema.name)))
            .await
            .context("cannot make a schema to measure in; let the role CREATE in this database")?;
        db.close().await;
        self.schema = Some(schema);
        Home::init_keys(&self.home(), None, false, SystemClock.now())?;
        let location = Location::of(&self.settings)?;
        let db = location.connect(Access::Work).await.context("measure without a pooler")?;
        for part in PARTS.into_iter().chain([&BENCH_TABLES]) {
            part.migrate(&db, SystemClock.now()).await?;
        }
        db.close().await;
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The home inside.
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// Settings of programs that run in it.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// Gives a command these settings, the folder, and no other environment.
    pub(super) fn surround(&self, command: &mut Command) {
        command.current_dir(&self.path).env_clear().env(HOME.name, self.home());
        let Settings { database_url, database_max_connections, .. } = &self.settings;
        if let Some(url) = database_url {
            command.env(DATABASE_URL.name, url.expose());
        }
        if let Some(limit) = database_max_connections {
            command.env(DATABASE_MAX_CONNECTIONS.name, limit);
        }
    }
}

/// The same database, where every name means a table of the schema.
fn within(url: &Secret<String>, schema: &str) -> Secret<String> {
    let url = url.expose();
    let joint = if url.contains('?') { '&' } else { '?' };
    Secret::new(format!("{url}{joint}options[search_path]={schema}"))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever clears temporary files.
        std::fs::remove_dir_all(&self.path).ok();
        let Some(Schema { name, location }) = self.schema.take() else { return };
        let remove = async move {
            let db = location.connect(Access::Work).await?;
            super::write(&db, Query::built(format!("DROP SCHEMA {name} CASCADE"))).await?;
            db.close().await;
            anyhow::Ok(())
        };
        // The runtime this is dropped in cannot be waited for.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(remove)
        });
        if !matches!(removed.join(), Ok(Ok(()))) {
            tracing::error!(
                "the schema main_worker_bench_... could not be removed; drop it by hand"
            );
        }
    }
}
