//! A database for each test, copied from one that was migrated once.

use std::net::SocketAddr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};

use super::shared::{SharedPostgres, shared_postgres};
use super::sql;

/// A database of the shared server; dropped with its value, whoever is still connected.
#[derive(Debug)]
pub struct TestDatabase {
    server: SharedPostgres,
    name: String,
    url: String,
}

/// Makes a database for one test on the shared server, as `migrate` leaves one (some 15 ms).
///
/// The first test that asks for the template `name` (lower-case letters, digits and `_`) hands an
/// empty database to `migrate`, all others get a copy; tests that ask by one name give the same
/// `migrate`, which closes its connections.
///
/// # Errors
/// When the server does not start (see [`shared_postgres`]) or `migrate` fails.
pub async fn postgres_template(
    name: &str,
    migrate: impl AsyncFnOnce(String) -> Result<()>,
) -> Result<TestDatabase> {
    let server = shared_postgres().await?;
    let template = format!("template_{name}");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    ensure!(template.len() < 64 && name.chars().all(plain), "`{name}` is no name for a template");
    let url = server.url("postgres");
    let mut connection = PgConnection::connect(&url).await?;
    if !is_ready(&mut connection, &template).await? {
        // One test makes it, in whatever process; the others wait.
        lock(&mut connection, &template).await?;
        if !is_ready(&mut connection, &template).await? {
            sql::run(
                &url,
                format!("DROP DATABASE IF EXISTS {template}; CREATE DATABASE {template}"),
            )
            .await?;
            migrate(server.url(&template)).await.context("cannot migrate the template")?;
            sql::run(&url, finish(&template)).await?;
        }
    }
    connection.close().await?;
    TestDatabase::create(server, &template).await
}

impl SharedPostgres {
    /// Makes an empty database for one test.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn fresh_database(&self) -> Result<TestDatabase> {
        TestDatabase::create(self.clone(), "template1").await
    }
}

impl TestDatabase {
    async fn create(server: SharedPostgres, template: &str) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        // Process numbers come back within a long run, the time does not.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{now:x}_{number}", process::id());
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        sql::run(&server.url("postgres"), create).await?;
        let url = server.url(&name);
        Ok(Self { server, name, url })
    }

    /// The database's address: `postgres://postgres@127.0.0.1:PORT/NAME`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same database, reached through a [`Proxy`](crate::Proxy).
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        sql::url(proxy, &self.name)
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it lies on.
    pub fn server(&self) -> &SharedPostgres {
        &self.server
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let url = self.server.url("postgres");
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // The test's own runtime cannot be waited for here. What fails ends with the server.
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(sql::run(&url, statement))
        };
        std::thread::spawn(work).join().ok();
    }
}

async fn is_ready(connection: &mut PgConnection, template: &str) -> Result<bool> {
    let query = sqlx::query_scalar("SELECT datistemplate FROM pg_database WHERE datname = $1");
    Ok(query.bind(template).fetch_optional(connection).await?.unwrap_or(false))
}

/// Waits until nobody else makes the template; ends with the connection.
async fn lock(connection: &mut PgConnection, template: &str) -> Result<()> {
    let query = sqlx::query("SELECT pg_advisory_lock(hashtext($1))").bind(template);
    query.execute(connection).await?;
    Ok(())
}

/// Marks a migrated database as a template, which nobody can connect to and change.
fn finish(template: &str) -> String {
    format!(
        "ALTER DATABASE {template} ALLOW_CONNECTIONS false; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'; \
         ALTER DATABASE {template} IS_TEMPLATE true"
    )
}
