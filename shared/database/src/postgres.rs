//! PostgreSQL: a pool of connections, directly or through a pooler such as PgBouncer.

mod transaction;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Postgres};
use values::Secret;

pub(crate) use transaction::PostgresTransaction;
pub use transaction::PostgresTx;

use crate::{DbError, Durability, Query, Row, Value, address, pooler};

/// How long to wait for a connection of the pool, or for the server to accept a new one.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// How long finding out may take why there was none.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// How long a statement outside of a transaction may take.
const ALONE_LIMIT: Duration = Duration::from_mins(1);
/// An unused connection is closed after this time.
const IDLE: Duration = Duration::from_mins(5);
/// A connection is replaced after this time, so that a switched-over server is noticed.
const LIFETIME: Duration = Duration::from_mins(30);
/// A connection that was unused for this time is asked whether it still answers.
const CHECK_AFTER: Duration = Duration::from_secs(1);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 200;
/// What holds in every transaction: no lock is waited for without end, and limits that somebody set
/// for people end neither a statement nor a transaction. Who waits for it has limits of his own.
macro_rules! limits {
    ($set:literal) => {
        concat!(
            $set,
            " lock_timeout = '10s'; ",
            $set,
            " statement_timeout = 0; ",
            $set,
            " idle_in_transaction_session_timeout = 0"
        )
    };
}
/// What a connection of our own is told first; nor does anybody's limit end it while it waits.
///
/// A statement alone is isolated as one in a transaction of ours, whatever is usual on the server.
const FIRST: &str = concat!(
    limits!("SET"),
    "; SET idle_session_timeout = 0; SET default_transaction_isolation = 'read committed'"
);

/// How the statements of a transaction run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As the server thinks best, without a limit.
    Usual,
    /// By index and by plans made once, so that no statistics, however wrong, make a statement read
    /// a whole table. Its locks end soon after its process has stopped without ending.
    Steady,
    /// The same, and the server ends a statement before we would hang up.
    SteadyWithinLimit,
}

/// How a transaction begins; on a connection that a pooler shares with others it says everything
/// itself. What is relaxed may be undone by a crash of the server.
fn beginning(durability: Durability, manner: Manner, pooled: bool) -> &'static str {
    macro_rules! begin {
        ($($more:expr),*) => {
            if pooled {
                concat!("BEGIN ISOLATION LEVEL READ COMMITTED; ", limits!("SET LOCAL") $(, $more)*)
            } else {
                concat!("BEGIN ISOLATION LEVEL READ COMMITTED" $(, $more)*)
            }
        };
    }
    macro_rules! steady {
        () => {
            "; SET LOCAL idle_in_transaction_session_timeout = '20s'; \
             SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
             SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
             SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off"
        };
    }
    macro_rules! limited {
        () => {
            "; SET LOCAL statement_timeout = '9s'"
        };
    }
    macro_rules! relaxed {
        () => {
            "; SET LOCAL synchronous_commit = off"
        };
    }
    match (durability, manner) {
        (Durability::Full, Manner::Usual) => begin!(),
        (Durability::Relaxed, Manner::Usual) => begin!(relaxed!()),
        (Durability::Full, Manner::Steady) => begin!(steady!()),
        (Durability::Relaxed, Manner::Steady) => begin!(steady!(), relaxed!()),
        (Durability::Full, Manner::SteadyWithinLimit) => begin!(steady!(), limited!()),
        (Durability::Relaxed, Manner::SteadyWithinLimit) => {
            begin!(steady!(), limited!(), relaxed!())
        }
    }
}

/// Where a PostgreSQL database is and how it is used.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database?sslmode=...`.
    pub url: Secret<String>,
    /// Connections of this process at the most.
    pub max_connections: u32,
    /// What `application_name` says in `pg_stat_activity`.
    pub application_name: String,
    /// The same database without a pooler in between, for [`crate::Db::listen`]; only of use if
    /// `url` leads through one.
    pub listen_url: Option<Secret<String>>,
    /// Whether a pooler stands in between, if that is known; found out otherwise.
    pub pooled: Option<bool>,
}

impl PostgresSettings {
    /// Takes a URL, and the usual for all else.
    pub fn new(url: Secret<String>) -> Self {
        let application_name = "main-worker".to_owned();
        Self { url, max_connections: 10, application_name, listen_url: None, pooled: None }
    }

    /// Parameters of the URL that have no effect here, by name.
    ///
    /// # Errors
    /// [`DbError::Url`].
    pub fn ignored(&self) -> Result<Vec<String>, DbError> {
        Ok(address::split(&self.url)?.ignored)
    }

    /// Where it leads, for messages: no user, no password.
    ///
    /// # Errors
    /// [`DbError::Url`].
    pub fn shown(&self) -> Result<String, DbError> {
        let options = address::parse(&self.url)?;
        let socket = options.get_socket().map(|folder| folder.display().to_string());
        let host = socket.unwrap_or_else(|| options.get_host().to_owned());
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        Ok(format!("{host}:{}/{database}", options.get_port()))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct PostgresDb {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    listening: Option<PgConnectOptions>,
    pooled: bool,
    asked: AtomicI64,
}

impl PostgresDb {
    pub(crate) async fn open(settings: &PostgresSettings) -> Result<Self, DbError> {
        let options = connect_options(settings, &settings.url)?;
        let direct = settings.listen_url.as_ref();
        let direct = direct.map(|url| connect_options(settings, url)).transpose()?;
        let pooled = match settings.pooled {
            Some(pooled) => pooled,
            None => tokio::time::timeout(ACQUIRE_LIMIT, pooler::detect(&options))
                .await
                .map_err(|_| DbError::no_answer())??,
        };
        let options = options.statement_cache_capacity(if pooled { 0 } else { STATEMENTS });
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE_LIMIT)
            .idle_timeout(IDLE)
            .max_lifetime(LIFETIME)
            // Asking a connection before each use costs a round trip; one that was in use just now
            // is as likely to break during the next statement as before it.
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for >= CHECK_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move { if pooled { Ok(()) } else { greet(connection).await } })
            })
            .connect_lazy_with(options.clone());
        let listening = if pooled { direct } else { Some(options) };
        let asked = AtomicI64::new(0);
        Ok(Self { shared: Arc::new(Shared { pool, listening, pooled, asked }) })
    }

    /// Whether a pooler gives each transaction a connection of its own choice.
    pub(crate) fn is_pooled(&self) -> bool {
        self.shared.pooled
    }

    /// How to reach the server itself; `None` if only the way through a pooler is known.
    pub(crate) fn listening(&self) -> Option<&PgConnectOptions> {
        self.shared.listening.as_ref()
    }

    pub(crate) async fn begin(
        &self,
        durability: Durability,
        manner: Manner,
    ) -> Result<PostgresTransaction, DbError> {
        let connection = self.acquire().await?;
        let pooled = self.shared.pooled;
        let mut transaction = PostgresTransaction::new(connection, pooled);
        let beginning = beginning(durability, manner, pooled);
        simple(transaction.connection(), beginning).await?;
        Ok(transaction)
    }

    pub(crate) async fn all(&self, query: Query) -> Result<Vec<Row>, DbError> {
        self.alone(async |connection, keep| all(connection, keep, query).await).await
    }

    pub(crate) async fn execute(&self, query: Query) -> Result<u64, DbError> {
        self.alone(async |connection, keep| execute(connection, keep, query).await).await
    }

    /// Runs one statement that is a transaction of its own.
    async fn alone<T>(
        &self,
        run: impl AsyncFnOnce(&mut PgConnection, bool) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        if self.shared.pooled {
            // A pooler may serve the two halves of an unnamed statement by two servers.
            // What it reads of the settings must be the server's, so it sets none.
            let mut transaction = self.begin(Durability::Full, Manner::Usual).await?;
            let answer = run(transaction.connection(), false).await?;
            transaction.commit().await?;
            return Ok(answer);
        }
        let mut loan = Loan { connection: Some(self.acquire().await?) };
        let connection = loan.connection.as_mut().expect("lent just now");
        let answer = tokio::time::timeout(ALONE_LIMIT, run(connection, true)).await;
        let answer = answer.map_err(|_| DbError::no_answer())?;
        if !matches!(answer, Err(DbError::Unreachable(_))) {
            loan.connection = None;
        }
        answer
    }

    /// Takes a connection of the pool, or says why there is none.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, DbError> {
        let pool = &self.shared.pool;
        match pool.acquire().await {
            Ok(connection) => Ok(connection),
            // It waits as patiently for a server that is down or full as for its own connections.
            Err(sqlx::Error::PoolTimedOut)
                if pool.size() < pool.options().get_max_connections() =>
            {
                match tokio::time::timeout(PROBE_LIMIT, pool.connect_options().connect()).await {
                    Ok(Ok(_)) => Err(DbError::Busy),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(DbError::no_answer()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notifies in one message, which is one transaction.
    pub(crate) async fn notify(&self, channel: &str) -> Result<(), DbError> {
        let channel = channel.replace('"', "\"\"");
        let sql = format!("SET LOCAL synchronous_commit = off; NOTIFY \"{channel}\"");
        let mut connection = self.shared.pool.acquire().await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        Ok(())
    }

    /// There is no cheap way to know, so every answer says that others may have written.
    pub(crate) fn change_counter(&self) -> i64 {
        self.shared.asked.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn close(&self) {
        self.shared.pool.close().await;
    }
}

/// Closes a connection whose answer nobody waited for, rather than have the pool wait for it.
struct Loan {
    connection: Option<PoolConnection<Postgres>>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Frees a session of our own of limits that were set for people.
pub(crate) async fn greet(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(FIRST).execute(connection).await.map(|_| ())
}

fn connect_options(
    settings: &PostgresSettings,
    url: &Secret<String>,
) -> Result<PgConnectOptions, DbError> {
    let options = address::parse(url)?;
    // Start-up parameters that poolers refuse are left out.
    Ok(options
        .application_name(&settings.application_name)
        .extra_float_digits(None)
        .disable_statement_logging())
}

/// Runs statements without arguments in one message.
pub(crate) async fn simple(
    connection: &mut PgConnection,
    sql: &'static str,
) -> Result<(), DbError> {
    sqlx::raw_sql(sql).execute(connection).await?;
    Ok(())
}

pub(crate) async fn execute(
    connection: &mut PgConnection,
    keep: bool,
    query: Query,
) -> Result<u64, DbError> {
    let (sql, arguments) = bind(query);
    let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), arguments).persistent(keep);
    Ok(query.execute(connection).await?.rows_affected())
}

pub(crate) async fn all(
    connection: &mut PgConnection,
    keep: bool,
    query: Query,
) -> Result<Vec<Row>, DbError> {
    let (sql, arguments) = bind(query);
    let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), arguments).persistent(keep);
    let rows = query.fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

fn bind(query: Query) -> (Cow<'static, str>, PgArguments) {
    use sqlx::Arguments as _;

    let mut arguments = PgArguments::default();
    arguments.reserve(query.arguments.len(), 0);
    for value in query.arguments {
        let added = match value {
            Value::Int(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value.map(without_nul)),
            Value::Bytes(value) => arguments.add(value),
            Value::Ints(list) => arguments.add(list),
            Value::Texts(list) => {
                let list: Vec<_> = list.into_iter().map(|text| text.map(without_nul)).collect();
                arguments.add(list)
            }
            Value::Blobs(list) => arguments.add(list),
        };
        added.expect("numbers, text, bytes and their lists always encode");
    }
    (query.sql, arguments)
}

/// Text of the server holds no NUL. Whatever a log line or an error message carries, a statement
/// must not fail of it; keys are compared as they are stored.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}
