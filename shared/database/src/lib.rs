//! The domain database: one [`Db`] and one [`Tx`] over every engine.
//!
//! Models keep one SQL text per query; `$1`, `$2` ... are its arguments on every engine. SQLite is
//! the embedded default: one file in WAL mode, one writer connection per process, a few readers.
//! **Invariant:** no driver type appears in a signature except where a caller hands over a
//! connection of its own ([`Tx::sqlite`]).

mod error;
mod migration;
mod query;
mod sqlite;
mod value;

use std::path::Path;

pub use error::DbError;
pub use migration::{Migration, SchemaRange, SchemaStatus};
pub use query::{Query, value_rows};
use sqlite::{SqliteDb, SqliteTransaction};
pub use sqlx::SqliteConnection;
pub use value::{Column, Row, Value};

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

    /// Begins a transaction that writes; waits for its turn among the writers.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        self.begin_with(Durability::Full).await
    }

    /// Begins a transaction that writes, whose commit waits for no more than `durability` asks.
    pub async fn begin_with(&self, durability: Durability) -> Result<Transaction, DbError> {
        match &self.engine {
            Engine::Sqlite(db) => {
                Ok(Transaction { engine: Begun::Sqlite(db.begin(durability).await?) })
            }
        }
    }

    /// Reads all rows of a query, on a connection that cannot write.
    pub async fn all(&self, query: Query) -> Result<Vec<Row>, DbError> {
        match &self.engine {
            Engine::Sqlite(db) => db.all(query).await,
        }
    }

    /// Reads the first row of a query, if there is one.
    pub async fn first(&self, query: Query) -> Result<Option<Row>, DbError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// Runs one statement in a transaction of its own; returns the number of rows it changed.
    pub async fn execute(&self, query: Query) -> Result<u64, DbError> {
        let mut transaction = self.begin().await?;
        let changed = transaction.tx().execute(query).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// Tells whether the database can be read *and* is still the file that was opened.
    pub async fn check(&self) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite(db) => db.check().await,
        }
    }

    /// A number that differs from the one before if another connection has written since.
    ///
    /// Cheap enough to ask several times a second. Only for comparison with earlier answers.
    pub async fn change_counter(&self) -> Result<i64, DbError> {
        match &self.engine {
            Engine::Sqlite(db) => db.change_counter().await,
        }
    }

    /// Name and version of the engine, for reports.
    pub async fn engine(&self) -> Result<String, DbError> {
        match &self.engine {
            Engine::Sqlite(_) => {
                let row = self.first(Query::new("SELECT sqlite_version()")).await?;
                Ok(format!("SQLite {}", row.map_or(Ok(String::new()), |row| row.get::<String>(0))?))
            }
        }
    }

    /// Closes every connection; what is still running fails with [`DbError::Closed`].
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(db) => db.close().await,
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
}

impl Transaction {
    /// The handle that queries run on.
    pub fn tx(&mut self) -> Tx<'_> {
        match &mut self.engine {
            Begun::Sqlite(transaction) => Tx::Sqlite(transaction.connection()),
        }
    }

    /// Commits; after an error nothing of the transaction is there.
    pub async fn commit(self) -> Result<(), DbError> {
        match self.engine {
            Begun::Sqlite(transaction) => transaction.commit().await,
        }
    }

    /// Rolls back and waits until that is done.
    pub async fn rollback(self) -> Result<(), DbError> {
        match self.engine {
            Begun::Sqlite(transaction) => transaction.rollback().await,
        }
    }
}

/// A transaction to run queries in: one of ours, or a caller's own.
#[derive(Debug)]
pub enum Tx<'c> {
    /// On SQLite.
    Sqlite(&'c mut SqliteConnection),
}

impl<'c> Tx<'c> {
    /// Takes a connection on which the caller has begun a transaction with `BEGIN IMMEDIATE`.
    pub fn sqlite(connection: &'c mut SqliteConnection) -> Self {
        Self::Sqlite(connection)
    }

    /// Runs a statement; returns the number of rows it changed.
    pub async fn execute(&mut self, query: Query) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(connection) => sqlite::execute(connection, query).await,
        }
    }

    /// Reads all rows of a query.
    pub async fn all(&mut self, query: Query) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(connection) => sqlite::all(connection, query).await,
        }
    }

    /// Reads the first row of a query, if there is one.
    pub async fn first(&mut self, query: Query) -> Result<Option<Row>, DbError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// Runs `write` so that its failure undoes only what it did, not the whole transaction.
    pub async fn savepoint<T, E, F>(&mut self, write: F) -> Result<Result<T, E>, DbError>
    where
        F: for<'t, 'x> FnOnce(&'t mut Tx<'x>) -> futures_util::future::BoxFuture<'t, Result<T, E>>,
    {
        self.execute(Query::new("SAVEPOINT step")).await?;
        let outcome = write(self).await;
        if outcome.is_err() {
            self.execute(Query::new("ROLLBACK TO step")).await?;
        }
        self.execute(Query::new("RELEASE step")).await?;
        Ok(outcome)
    }
}
