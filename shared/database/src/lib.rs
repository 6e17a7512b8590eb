//! The domain database: one [`Db`] and one [`Tx`] over every engine.
//!
//! Models keep one SQL text per query; `$1`, `$2` ... are its arguments on every engine. SQLite is
//! the embedded default: one file in WAL mode, one writer connection per process, a few readers.
//! PostgreSQL is reached through a pool of connections, directly or through a pooler in transaction
//! mode.
//! **Invariant:** no driver type appears in a signature except where a caller hands over a
//! connection of its own ([`Tx::sqlite`], [`Tx::postgres`]).

mod address;
mod deferred;
mod error;
mod listener;
mod migration;
mod pooler;
mod postgres;
mod query;
mod sqlite;
mod value;

use std::path::Path;

pub use error::DbError;
pub use listener::Listener;
pub use migration::{Migration, PostgresSql, SchemaRange, SchemaStatus};
pub use postgres::PostgresSettings;
pub use postgres::PostgresTx;

use postgres::{Manner, PostgresDb, PostgresTransaction};
pub use query::{Query, value_rows};
use sqlite::{SqliteDb, SqliteTransaction};
pub use sqlx::{PgConnection, SqliteConnection};
pub use value::{Column, Row, Value};
use values::Timestamp;

/// A boxed future of this crate's results, as final write steps return it.
pub type DbFuture<'a, T> = futures_util::future::BoxFuture<'a, Result<T, DbError>>;

/// How much a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The commit survives a power failure once it is acknowledged.
    Full,
    /// The commit survives the death of the process; a power failure may undo it together with
    /// everything after it. For what is worthless then anyway, such as a lease.
    Relaxed,
}

/// A handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
}

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(SqliteDb),
    Postgres(PostgresDb),
}

/// Which engine a database or a transaction is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// The embedded default.
    Sqlite,
    /// A server.
    Postgres,
}

impl Db {
    /// Opens a SQLite file, and makes it if it is missing (its folder must exist).
    ///
    /// # Errors
    /// [`DbError::NotADatabase`], [`DbError::ReadOnly`], [`DbError::Unreachable`] and the like,
    /// each naming the file.
    pub async fn open_sqlite(path: &Path) -> Result<Self, DbError> {
        Ok(Self { engine: Engine::Sqlite(SqliteDb::open(path, true).await?) })
    }

    /// Opens a SQLite file that must exist already.
    ///
    /// # Errors
    /// As [`Db::open_sqlite`]; [`DbError::Unreachable`] if there is no such file.
    pub async fn open_existing_sqlite(path: &Path) -> Result<Self, DbError> {
        Ok(Self { engine: Engine::Sqlite(SqliteDb::open(path, false).await?) })
    }

    /// Connects to PostgreSQL, 15 or later, and finds out whether a pooler stands in between.
    ///
    /// # Errors
    /// [`DbError::Url`], [`DbError::Denied`], [`DbError::Unreachable`] and the like.
    pub async fn open_postgres(settings: &PostgresSettings) -> Result<Self, DbError> {
        Ok(Self { engine: Engine::Postgres(PostgresDb::open(settings).await?) })
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        match &self.engine {
            Engine::Sqlite(_) => EngineKind::Sqlite,
            Engine::Postgres(_) => EngineKind::Postgres,
        }
    }

    /// Whether sessions of the server are shared with others, so that none keeps anything.
    pub fn is_pooled(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(_) => false,
            Engine::Postgres(db) => db.is_pooled(),
        }
    }

    /// Opens a connection of its own that hears what is told by [`Db::notify`]; `None` on an engine
    /// or through a pooler that tells nobody, where callers poll.
    ///
    /// # Errors
    /// As for any connection, and [`DbError::Pooled`].
    pub async fn listen(&self, channel: &str) -> Result<Option<Listener>, DbError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(db) => match db.listening() {
                Some(options) => {
                    Listener::connect(options, db.is_pooled(), channel).await.map(Some)
                }
                None => Ok(None),
            },
        }
    }

    /// Whether [`Db::listen`] gives a listener.
    pub fn can_listen(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(_) => false,
            Engine::Postgres(db) => db.listening().is_some(),
        }
    }

    /// Tells every listener of a channel, in a transaction of its own that nothing waits for.
    ///
    /// The server takes one lock for all notifications of all databases until the commit, so
    /// callers bound how often they do this.
    pub async fn notify(&self, channel: &str) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(db) => db.notify(channel).await,
        }
    }

    /// The server's clock; `None` on SQLite, whose clock is this machine's.
    pub async fn server_time(&self) -> Result<Option<Timestamp>, DbError> {
        if self.kind() == EngineKind::Sqlite {
            return Ok(None);
        }
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        self.first(Query::new(now)).await?.map_or(Ok(None), |row| row.get(0).map(Some))
    }

    /// Begins a transaction that writes; waits for its turn among the writers.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        self.begin_with(Durability::Full).await
    }

    /// Begins a transaction that writes, whose commit waits for no more than `durability` asks.
    pub async fn begin_with(&self, durability: Durability) -> Result<Transaction, DbError> {
        self.begin_as(durability, Manner::Usual).await
    }

    /// Begins a transaction like [`Db::begin_with`] whose statements go by index, and by plans made
    /// once, whatever the statistics of the tables say.
    pub async fn begin_steady(&self, durability: Durability) -> Result<Transaction, DbError> {
        self.begin_as(durability, Manner::Steady).await
    }

    /// Begins a transaction like [`Db::begin_steady`] in which a server ends each statement that
    /// takes more than 9 s.
    pub async fn begin_steady_within_limit(
        &self,
        durability: Durability,
    ) -> Result<Transaction, DbError> {
        self.begin_as(durability, Manner::SteadyWithinLimit).await
    }

    async fn begin_as(
        &self,
        durability: Durability,
        manner: Manner,
    ) -> Result<Transaction, DbError> {
        let engine = match &self.engine {
            Engine::Sqlite(db) => Begun::Sqlite(db.begin(durability).await?),
            Engine::Postgres(db) => Begun::Postgres(db.begin(durability, manner).await?),
        };
        Ok(Transaction { engine })
    }

    /// Reads all rows of a query; on SQLite by a connection that cannot write.
    pub async fn all(&self, query: Query) -> Result<Vec<Row>, DbError> {
        match &self.engine {
            Engine::Sqlite(db) => db.all(query).await,
            Engine::Postgres(db) => db.all(query).await,
        }
    }

    /// Reads the first row of a query, if there is one.
    pub async fn first(&self, query: Query) -> Result<Option<Row>, DbError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// Runs one statement in a transaction of its own; returns the number of rows it changed.
    ///
    /// It is for short ones: a server directly reached has a minute. Whoever stops waiting does not
    /// know whether it has run.
    pub async fn execute(&self, query: Query) -> Result<u64, DbError> {
        match &self.engine {
            Engine::Sqlite(_) => {
                let mut transaction = self.begin().await?;
                let changed = transaction.tx().execute(query).await?;
                transaction.commit().await?;
                Ok(changed)
            }
            Engine::Postgres(db) => db.execute(query).await,
        }
    }

    /// Tells whether the database can be read *and* is still the file that was opened.
    pub async fn check(&self) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite(db) => db.check().await,
            Engine::Postgres(_) => self.all(Query::new("SELECT 1")).await.map(|_| ()),
        }
    }

    /// A number that differs from the one before if another connection has written since.
    ///
    /// Cheap enough to ask several times a second. Only for comparison with earlier answers.
    pub async fn change_counter(&self) -> Result<i64, DbError> {
        match &self.engine {
            Engine::Sqlite(db) => db.change_counter().await,
            Engine::Postgres(db) => Ok(db.change_counter()),
        }
    }

    /// Name and version of the engine, for reports.
    pub async fn engine(&self) -> Result<String, DbError> {
        match &self.engine {
            Engine::Sqlite(_) => {
                let row = self.first(Query::new("SELECT sqlite_version()")).await?;
                Ok(format!("SQLite {}", row.map_or(Ok(String::new()), |row| row.get::<String>(0))?))
            }
            Engine::Postgres(_) => {
                let row =
                    self.first(Query::new("SELECT current_setting('server_version')")).await?;
                let version = row.map_or(Ok(String::new()), |row| row.get::<String>(0))?;
                Ok(format!("PostgreSQL {version}"))
            }
        }
    }

    /// Closes every connection; what is still running fails with [`DbError::Closed`].
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(db) => db.close().await,
            Engine::Postgres(db) => db.close().await,
        }
    }
}

/// A transaction this crate began; dropped without commit it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    engine: Begun,
}

#[derive(Debug)]
enum Begun {
    Sqlite(SqliteTransaction),
    Postgres(PostgresTransaction),
}

impl Transaction {
    /// The handle that queries run on.
    pub fn tx(&mut self) -> Tx<'_> {
        match &mut self.engine {
            Begun::Sqlite(transaction) => Tx::Sqlite(transaction.connection()),
            Begun::Postgres(transaction) => Tx::Postgres(transaction.tx()),
        }
    }

    /// Commits; after an error nothing of the transaction is there.
    pub async fn commit(self) -> Result<(), DbError> {
        match self.engine {
            Begun::Sqlite(transaction) => transaction.commit().await,
            Begun::Postgres(transaction) => transaction.commit().await,
        }
    }

    /// Rolls back and waits until that is done.
    pub async fn rollback(self) -> Result<(), DbError> {
        match self.engine {
            Begun::Sqlite(transaction) => transaction.rollback().await,
            Begun::Postgres(transaction) => transaction.rollback().await,
        }
    }
}

/// A transaction to run queries in: one of ours, or a caller's own.
#[derive(Debug)]
pub enum Tx<'c> {
    /// On SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// On PostgreSQL.
    Postgres(PostgresTx<'c>),
}

impl<'c> Tx<'c> {
    /// Takes a connection on which the caller has begun a transaction with `BEGIN IMMEDIATE`.
    pub fn sqlite(connection: &'c mut SqliteConnection) -> Self {
        Self::Sqlite(connection)
    }

    /// Takes a connection on which the caller has begun a transaction of any isolation level.
    ///
    /// Statements stay prepared on it if `keep_statements` says so, which a pooler in transaction
    /// mode does not allow.
    pub fn postgres(connection: &'c mut PgConnection, keep_statements: bool) -> Self {
        Self::Postgres(PostgresTx::foreign(connection, keep_statements))
    }

    /// Whether a statement has failed and was not undone, as [`Tx::savepoint`] does, so that the
    /// server runs nothing more in this transaction. SQLite goes on after such a failure.
    pub fn is_aborted(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(tx) => tx.is_aborted(),
        }
    }

    /// Which engine it runs on.
    pub fn kind(&self) -> EngineKind {
        match self {
            Self::Sqlite(_) => EngineKind::Sqlite,
            Self::Postgres(_) => EngineKind::Postgres,
        }
    }

    /// Runs a statement; returns the number of rows it changed.
    pub async fn execute(&mut self, query: Query) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(connection) => sqlite::execute(connection, query).await,
            Self::Postgres(tx) => tx.execute(query).await,
        }
    }

    /// Runs a statement whose answer nobody waits for: in one message to a server with the next one
    /// if neither names the table that the other writes to, else before it. So its text names every
    /// table that it touches: no view, function or trigger hides one.
    ///
    /// # Errors
    /// A server's come with a later statement of the transaction, its commit at the latest.
    pub async fn defer(&mut self, query: Query) -> Result<(), DbError> {
        match self {
            Self::Sqlite(connection) => sqlite::execute(connection, query).await.map(|_| ()),
            Self::Postgres(tx) => tx.defer(query).await,
        }
    }

    /// Runs what was deferred so far.
    pub async fn flush(&mut self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => tx.flush().await,
        }
    }

    /// Runs statements without arguments, one after the other, in one message to a server.
    pub async fn batch(&mut self, sql: &'static str) -> Result<(), DbError> {
        match self {
            Self::Sqlite(connection) => sqlite::batch(connection, sql).await,
            Self::Postgres(tx) => tx.batch(sql).await,
        }
    }

    /// Reads all rows of a query.
    pub async fn all(&mut self, query: Query) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(connection) => sqlite::all(connection, query).await,
            Self::Postgres(tx) => tx.all(query).await,
        }
    }

    /// Reads the first row of a query, if there is one.
    pub async fn first(&mut self, query: Query) -> Result<Option<Row>, DbError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// Waits until no other transaction holds the lock of this name, and holds it until this one
    /// ends. On SQLite there is nobody to wait for: whoever writes is alone.
    ///
    /// # Errors
    /// [`DbError::Busy`] if it is held for too long.
    pub async fn lock(&mut self, name: &'static str) -> Result<(), DbError> {
        if self.kind() == EngineKind::Postgres {
            let query = Query::new("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))");
            self.execute(query.bind(name)).await?;
        }
        Ok(())
    }

    /// Runs `write` so that its failure undoes only what it did, not the whole transaction.
    pub async fn savepoint<T, E, F>(&mut self, write: F) -> Result<Result<T, E>, DbError>
    where
        E: From<DbError>,
        F: for<'t, 'x> FnOnce(&'t mut Tx<'x>) -> futures_util::future::BoxFuture<'t, Result<T, E>>,
    {
        self.execute(Query::new("SAVEPOINT step")).await?;
        let mut outcome = write(self).await;
        if outcome.is_ok()
            && let Err(error) = self.flush().await
        {
            outcome = Err(error.into()); // of what it deferred
        }
        if outcome.is_err() {
            self.execute(Query::new("ROLLBACK TO step")).await?;
        }
        self.execute(Query::new("RELEASE step")).await?;
        Ok(outcome)
    }
}
