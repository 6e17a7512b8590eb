//! Where tasks and domain rows are: a SQLite file, or a PostgreSQL server.
//!
//! `DATABASE_URL` alone decides. A file is brought up to date by every start; a server only by
//! `main-worker migrate`, and its keys and its worker.toml must be given.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use database::{Db, DbError, EngineKind, PostgresSettings, Query, SchemaRange};
use job::EFFECTS;
use tasks::{PostgresStore, ServerClock, SqliteStore, StoreError, TaskStore};
use values::{Clock, Secret, Timestamp};

use crate::home::Home;
use crate::settings::{DATABASE_LISTEN_URL, DATABASE_MAX_CONNECTIONS, DATABASE_URL, Settings};
use crate::writable;

/// Every part of the schema, in the order they are migrated.
pub const PARTS: [&SchemaRange; 3] = [&tasks::SCHEMA, &EFFECTS, &models::SCHEMA];
/// The oldest PostgreSQL this program works with, as the server numbers itself.
const OLDEST_SERVER: i64 = 150_000;
/// Fewer connections than these would let the parts of one process wait for each other.
const LEAST_CONNECTIONS: u32 = 4;
/// The heartbeat writes one row at a time, and may look at something beside it.
const HEARTBEAT_CONNECTIONS: u32 = 2;
/// More than these are more than a server has.
const MOST_CONNECTIONS: u32 = 1_000;
/// The first pause between two tries to reach a server, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// A place for tasks and domain rows.
#[derive(Debug, Clone)]
pub enum Location {
    /// A SQLite file on this machine.
    File(PathBuf),
    /// A PostgreSQL server.
    Server(Box<PostgresSettings>),
}

/// What a place is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To work with it; a file is made and brought up to date.
    Work,
    /// To look at it as it is.
    Look,
}

/// An opened place.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The domain database.
    pub db: Db,
    /// The task store in it.
    pub store: Arc<dyn TaskStore>,
    /// The clock of the store: the server's, if there is one.
    pub clock: Arc<dyn Clock>,
}

impl Location {
    /// Reads the settings; the embedded database where they say nothing.
    ///
    /// # Errors
    /// What is wrong in which variable; no value is repeated.
    pub fn of(settings: &Settings) -> Result<Self> {
        let Some(url) = &settings.database_url else {
            return Ok(Self::File(Home::at(settings.home_folder()).database_path()));
        };
        Self::parse(url, settings)?.with_context(|| {
            format!(
                "{} is neither postgres://user:password@host:5432/database nor sqlite:PATH (small \
                 letters, no space around it); leave it out for the embedded database",
                DATABASE_URL.name
            )
        })
    }

    /// Reads a URL; `None` if it is of another kind.
    fn parse(url: &Secret<String>, settings: &Settings) -> Result<Option<Self>> {
        let text = url.expose();
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            ensure!(!path.is_empty(), "sqlite: is followed by the path of a file");
            return Ok(Some(Self::File(path.into())));
        }
        if !is_server(url) {
            return Ok(None);
        }
        let mut server = PostgresSettings::new(url.clone());
        if let Some(text) = &settings.database_max_connections {
            let limits = LEAST_CONNECTIONS..=MOST_CONNECTIONS;
            let number = text.parse().ok().filter(|number| limits.contains(number));
            server.max_connections = number.with_context(|| {
                let name = DATABASE_MAX_CONNECTIONS.name;
                format!(
                    "{name} is `{text}`; write a number of {LEAST_CONNECTIONS} to {MOST_CONNECTIONS}"
                )
            })?;
        }
        server.listen_url.clone_from(&settings.database_listen_url);
        for (name, url) in
            [(DATABASE_URL.name, Some(url)), (DATABASE_LISTEN_URL.name, server.listen_url.as_ref())]
        {
            let shown = url.map(|url| PostgresSettings::new(url.clone()).shown()).transpose();
            shown.with_context(|| format!("{name} cannot be used"))?;
        }
        Ok(Some(Self::Server(Box::new(server))))
    }

    /// Whether it is a server, for which keys and worker.toml must be given.
    pub fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Where it is, without user and password.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Server(server) => server.shown().unwrap_or_default(),
        }
    }

    /// Parameters of a server's URL that have no effect, by name.
    pub fn ignored(&self) -> Vec<String> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Server(server) => server.ignored().unwrap_or_default(),
        }
    }

    /// Opens the folder of the keys; makes them only beside a file.
    ///
    /// # Errors
    /// As [`Home::open`] and [`Home::given`].
    pub fn home(&self, folder: &Path, now: Timestamp) -> Result<Home> {
        match self {
            Self::File(database) => Home::open(folder, database, now),
            Self::Server(_) => Home::given(folder),
        }
    }

    /// Connects, and makes sure that the server is one this program works with.
    ///
    /// # Errors
    /// What is wrong and what to do about it; a [`DbError`] is among the causes where time may
    /// mend it.
    pub async fn connect(&self, access: Access) -> Result<Db> {
        let opened = match (self, access) {
            (Self::File(path), Access::Work) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let opened = Db::open_sqlite(path).await.map_err(anyhow::Error::from);
                opened.map_err(|error| writable::explain(folder.unwrap_or(Path::new(".")), error))
            }
            (Self::File(path), Access::Look) => {
                Db::open_existing_sqlite(path).await.map_err(Into::into)
            }
            (Self::Server(server), _) => connect(server).await,
        };
        opened.with_context(|| format!("cannot open the database {}", self.shown()))
    }

    /// Opens the task store, and brings a file up to date if it is to be worked with.
    ///
    /// # Errors
    /// As [`Location::connect`], and a schema that is not the one this program needs.
    pub async fn open(&self, access: Access, clock: &Arc<dyn Clock>) -> Result<Storage> {
        let db = self.connect(access).await?;
        if self.is_server() || access == Access::Look {
            for part in PARTS {
                part.require(&db).await?;
            }
        } else {
            for part in PARTS {
                part.migrate(&db, clock.now()).await?;
            }
        }
        let clock: Arc<dyn Clock> = match self {
            Self::File(_) => Arc::clone(clock),
            Self::Server(_) => ServerClock::start(db.clone()).await?,
        };
        let store = store(&db, &clock).await?;
        Ok(Storage { db, store, clock })
    }

    /// Opens the task store once more, with connections of its own, for the thread it is called
    /// on; `clock` is that of the first, and `first` the database it is in.
    pub async fn open_again(
        &self,
        first: &Db,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<dyn TaskStore>, DbError> {
        let db = match self {
            Self::File(path) => Db::open_existing_sqlite(path).await?,
            Self::Server(server) => {
                let mut server = server.clone();
                server.max_connections = HEARTBEAT_CONNECTIONS;
                server.pooled = Some(first.is_pooled());
                Db::open_postgres(&server).await?
            }
        };
        store(&db, clock).await
    }

    /// Whether tasks were stored here, which the keys of another host have proven.
    ///
    /// # Errors
    /// As [`Location::connect`].
    pub async fn has_tasks(&self) -> Result<bool> {
        let db = self.connect(Access::Look).await?;
        let is_new = tasks::SCHEMA.status(&db).await?.found == 0;
        let any = Query::new("SELECT 1 FROM mw_envelope LIMIT 1");
        let found = !is_new && db.first(any).await?.is_some();
        db.close().await;
        Ok(found)
    }

    /// Waits until a server answers, for at most `patience`; a file is not waited for.
    ///
    /// # Errors
    /// As [`Location::connect`]: at once what time does not mend, and the last one in the end.
    pub async fn wait(&self, patience: Duration) -> Result<()> {
        let (began, mut pause) = (Instant::now(), PAUSES.0);
        while self.is_server() {
            let error = match self.connect(Access::Look).await {
                Ok(db) => {
                    db.close().await;
                    break;
                }
                Err(error) => error,
            };
            if !may_pass(&error) || began.elapsed() + pause > patience {
                return Err(error);
            }
            tracing::warn!(
                error = format!("{error:#}"),
                seconds = began.elapsed().as_secs(),
                patience_seconds = patience.as_secs(),
                "waiting for the database"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(())
    }
}

/// Engine and version, how a server is reached, and how new tasks are noticed.
pub async fn describe(db: &Db) -> Result<String, DbError> {
    let engine = db.engine().await?;
    if db.kind() == EngineKind::Sqlite {
        return Ok(engine);
    }
    let reached = if db.is_pooled() { "through a pooler" } else { "direct connections" };
    let told = if db.can_listen() { "told by LISTEN" } else { "found by polling" };
    Ok(format!("{engine}, {reached}, new tasks are {told}"))
}

/// What of a server's settings breaks the promise that a task that was taken is on disk, each with
/// what to change.
pub async fn weaknesses(db: &Db) -> Result<Vec<String>, DbError> {
    if db.kind() == EngineKind::Sqlite {
        return Ok(Vec::new());
    }
    let settings = ["fsync", "full_page_writes", "synchronous_commit"].map(str::to_owned);
    let query = Query::new(
        "SELECT name::text FROM unnest($1::text[]) name WHERE current_setting(name) = 'off'",
    );
    let rows = db.all(query.bind(settings.to_vec())).await?;
    let names = rows.iter().map(|row| row.get::<String>(0)).collect::<Result<Vec<_>, _>>()?;
    let told = names.into_iter().map(|name| {
        format!("{name} is off: a crash may lose tasks that were taken; set {name} = on")
    });
    Ok(told.collect())
}

/// Whether an error of the database, or of the tasks in it, may pass by itself.
pub fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(DbError::is_transient)
            || cause.downcast_ref().is_some_and(StoreError::is_transient)
    })
}

fn is_server(url: &Secret<String>) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme))
}

async fn connect(server: &PostgresSettings) -> Result<Db> {
    let db = Db::open_postgres(server).await.map_err(|error| match error {
        error @ DbError::Denied { message: _ } => anyhow!(error).context(format!(
            "user, password or database of {} are not right; mend it, or ask whoever looks after the server",
            DATABASE_URL.name
        )),
        error => error.into(),
    })?;
    let facts = Query::new(
        "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding')",
    );
    let row = db.first(facts).await?.context("the server does not tell its version")?;
    check_version(row.get(0)?)?;
    let encoding: String = row.get(1)?;
    ensure!(
        encoding == "UTF8",
        "the database is encoded as {encoding}, which cannot hold every text; make another: CREATE \
         DATABASE name ENCODING 'UTF8' TEMPLATE template0"
    );
    Ok(db)
}

fn check_version(number: i64) -> Result<()> {
    ensure!(
        number >= OLDEST_SERVER,
        "the server is PostgreSQL {}, and this program needs {} or later; upgrade it, or leave {} \
         out to use the embedded database",
        number / 10_000,
        OLDEST_SERVER / 10_000,
        DATABASE_URL.name
    );
    Ok(())
}

async fn store(db: &Db, clock: &Arc<dyn Clock>) -> Result<Arc<dyn TaskStore>, DbError> {
    Ok(match db.kind() {
        EngineKind::Sqlite => Arc::new(SqliteStore::over(db.clone(), Arc::clone(clock))),
        EngineKind::Postgres => Arc::new(PostgresStore::open(db.clone(), Arc::clone(clock)).await?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Location> {
        let database_url = Some(Secret::new(url.to_owned()));
        Location::of(&Settings { database_url, ..Settings::default() })
    }

    #[test]
    fn one_variable_says_where_and_nobody_repeats_it() {
        let shown = |url: &str| of(url).unwrap().shown();
        assert_eq!(Location::of(&Settings::default()).unwrap().shown(), ".main-worker/main.db");
        assert_eq!(shown("sqlite:here.db"), "here.db");
        assert_eq!(shown("sqlite:///srv/here.db"), "/srv/here.db");
        assert_eq!(shown("postgres://me:canary@db:5433/main"), "db:5433/main");
        assert_eq!(shown("postgresql://me:canary@db/main?sslmode=disable"), "db:5432/main");
        for url in ["mysql://me:canary@db/main", "canary", "sqlite:", "postgres://me:canary@db:x/"]
        {
            let error = format!("{:#}", of(url).unwrap_err());
            assert!(!error.contains("canary"), "{error}");
        }
        assert!(!format!("{:?}", of("postgres://me:canary@db/main")).contains("canary"));
    }

    #[test]
    fn refuses_an_old_server() {
        check_version(150_000).unwrap();
        let error = check_version(140_011).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 14") && error.contains("needs 15 or later"), "{error}");
    }
}
