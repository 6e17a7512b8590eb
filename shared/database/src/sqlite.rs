//! SQLite: one writer connection and a few read-only ones over one file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{DbError, Durability, Query, Row, Value};

/// How long a statement waits for the write lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Read connections at the most, opened when first needed.
const MAX_READERS: u32 = 4;
/// An unused read connection is closed after this time.
const READER_IDLE: Duration = Duration::from_mins(1);
/// Page cache of a connection, KiB (negative as SQLite wants it).
const CACHE_KIB: &str = "-4096";
/// The write-ahead log is folded into the file when it has grown to so many pages of 4 KiB.
const CHECKPOINT_PAGES: &str = "4000";
/// What the write-ahead log is cut back to, bytes.
const WAL_LIMIT_BYTES: &str = "67108864";
/// Rows that travel from the connection's thread in one go.
const ROW_BUFFER: usize = 1024;
/// Prepared statements kept per connection.
const STATEMENTS: usize = 200;

#[derive(Debug, Clone)]
pub(crate) struct SqliteDb {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    identity: (u64, u64),
    writer: Arc<Mutex<Writer>>,
    readers: SqlitePool,
    /// Stays open so that `data_version` compares with what this very connection saw before.
    watcher: Mutex<Option<SqliteConnection>>,
    options: SqliteConnectOptions,
}

/// The one connection that writes.
#[derive(Debug)]
struct Writer {
    connection: SqliteConnection,
    durability: Durability,
    /// A transaction was begun and neither committed nor rolled back.
    begun: bool,
}

impl SqliteDb {
    pub(crate) async fn open(path: &Path, create: bool) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("cache_size", CACHE_KIB)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", WAL_LIMIT_BYTES)
            .pragma("temp_store", "memory")
            .disable_statement_logging()
            .row_buffer_size(ROW_BUFFER)
            .statement_cache_capacity(STATEMENTS);
        let connection = options.connect().await?;
        let identity = identity(path).ok_or_else(|| DbError::moved(path))?;
        let reading = options.clone().create_if_missing(false).pragma("query_only", "on");
        let readers = SqlitePoolOptions::new()
            .max_connections(MAX_READERS)
            .idle_timeout(READER_IDLE)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_lazy_with(reading.clone());
        let writer = Writer { connection, durability: Durability::Full, begun: false };
        let shared = Shared {
            path: path.to_owned(),
            identity,
            writer: Arc::new(Mutex::new(writer)),
            readers,
            watcher: Mutex::new(None),
            options: reading,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) async fn begin(&self, durability: Durability) -> Result<SqliteTransaction, DbError> {
        self.check_identity()?;
        let mut writer = Arc::clone(&self.shared.writer).lock_owned().await;
        if writer.begun {
            // A transaction was dropped where no task could be spawned to roll it back.
            writer.connection.execute("ROLLBACK").await.ok();
            writer.begun = false;
        }
        if writer.durability != durability {
            let pragma = match durability {
                Durability::Full => "PRAGMA synchronous = FULL",
                Durability::Relaxed => "PRAGMA synchronous = NORMAL",
            };
            writer.connection.execute(pragma).await?;
            writer.durability = durability;
        }
        // Set before the statement is sent: whoever is dropped while waiting may have begun.
        writer.begun = true;
        match writer.connection.execute("BEGIN IMMEDIATE").await {
            Ok(_) => Ok(SqliteTransaction { writer: Some(writer) }),
            Err(error) => {
                writer.begun = false;
                Err(error.into())
            }
        }
    }

    pub(crate) async fn all(&self, query: Query) -> Result<Vec<Row>, DbError> {
        let mut connection = self.shared.readers.acquire().await?;
        all(&mut connection, query).await
    }

    pub(crate) async fn check(&self) -> Result<(), DbError> {
        self.check_identity()?;
        self.all(Query::new("SELECT count(*) FROM sqlite_schema")).await.map(|_| ())
    }

    /// SQLite goes on with a file that has lost its name; whoever restarts would find none.
    fn check_identity(&self) -> Result<(), DbError> {
        let found = identity(&self.shared.path);
        if found == Some(self.shared.identity) {
            Ok(())
        } else {
            Err(DbError::moved(&self.shared.path))
        }
    }

    pub(crate) async fn change_counter(&self) -> Result<i64, DbError> {
        self.check_identity()?;
        let mut watcher = self.shared.watcher.lock().await;
        if watcher.is_none() {
            *watcher = Some(self.shared.options.connect().await?);
        }
        let connection = watcher.as_mut().expect("opened above");
        let rows = all(connection, Query::new("PRAGMA data_version")).await?;
        rows.first().map_or(Ok(0), |row| row.get(0))
    }

    pub(crate) async fn close(&self) {
        self.shared.readers.close().await;
        if let Some(watcher) = self.shared.watcher.lock().await.take() {
            watcher.close().await.ok();
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file: Metadata| (file.dev(), file.ino()))
}

/// Holds the writer from `BEGIN` to the end of the transaction.
#[derive(Debug)]
pub(crate) struct SqliteTransaction {
    writer: Option<OwnedMutexGuard<Writer>>,
}

impl SqliteTransaction {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        let writer = self.writer.as_mut().expect("held until the transaction ends");
        &mut writer.connection
    }

    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        self.connection().execute("COMMIT").await?;
        self.finish();
        Ok(())
    }

    pub(crate) async fn rollback(mut self) -> Result<(), DbError> {
        self.connection().execute("ROLLBACK").await?;
        self.finish();
        Ok(())
    }

    fn finish(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            writer.begun = false;
        }
    }
}

impl Drop for SqliteTransaction {
    fn drop(&mut self) {
        let Some(mut writer) = self.writer.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        // Other processes wait for the lock, so it is given back at once.
        runtime.spawn(async move {
            writer.connection.execute("ROLLBACK").await.ok();
            writer.begun = false;
        });
    }
}

pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    query: Query,
) -> Result<u64, DbError> {
    let (sql, arguments) = bind(query);
    let done =
        sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql), arguments).execute(connection).await?;
    Ok(done.rows_affected())
}

pub(crate) async fn batch(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<(), DbError> {
    connection.execute(sqlx::raw_sql(sql)).await?;
    Ok(())
}

pub(crate) async fn all(
    connection: &mut SqliteConnection,
    query: Query,
) -> Result<Vec<Row>, DbError> {
    let (sql, arguments) = bind(query);
    let rows =
        sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql), arguments).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

fn bind(query: Query) -> (std::borrow::Cow<'static, str>, SqliteArguments) {
    use sqlx::Arguments as _;

    let mut arguments = SqliteArguments::default();
    arguments.reserve(query.arguments.len(), 0);
    for value in query.arguments {
        let added = match value {
            Value::Int(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
            Value::Ints(list) => arguments.add(json(&list)),
            Value::Texts(list) => arguments.add(json(&list)),
            Value::Blobs(list) => {
                let list: Vec<Option<String>> =
                    list.into_iter().map(|bytes| bytes.map(|bytes| values::hex(&bytes))).collect();
                arguments.add(json(&list))
            }
        };
        added.expect("numbers, text and bytes always encode");
    }
    (query.sql, arguments)
}

/// A list as `json_each` reads it.
fn json<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("numbers and text are JSON")
}
