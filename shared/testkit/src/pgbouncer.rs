//! A connection pool in front of PostgreSQL: PgBouncer.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::account::Account;
use crate::ports::KeptPort;
use crate::postgres::sql;
use crate::programs;
use crate::server::Server;

const START_WITHIN: Duration = Duration::from_secs(30);
const CLIENTS_MAX: u32 = 1_000;
const CONFIGURATION: &str = "pgbouncer.ini";

/// How long a client keeps one of the pool's connections to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until it disconnects.
    Session,
    /// For one transaction: settings, prepared statements and listening do not last longer.
    Transaction,
}

/// A private PgBouncer that takes anybody's connections as `postgres`; ends when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
    port: KeptPort,
}

impl PgBouncer {
    /// Starts a pool of `pool_size` connections for each database of the server at `target`.
    ///
    /// Like a production pool for clients that set it, it ignores the start-up parameter
    /// `extra_float_digits`, and refuses others it does not know.
    ///
    /// # Errors
    /// When the program is not installed (says how to) or does not start (shows its log).
    pub async fn start(target: SocketAddr, mode: PoolMode, pool_size: u32) -> Result<Self> {
        let program = fs::canonicalize(programs::find("pgbouncer", "pgbouncer")?)?;
        let account = Account::unprivileged()?;
        let folder = TempDir::with_prefix("testkit-pgbouncer-")?;
        account.own(folder.path())?;
        let port = KeptPort::choose().context("no free port")?;
        let file = folder.path().join(CONFIGURATION);
        fs::write(&file, configuration(port.address, target, mode, pool_size))?;
        account.own(&file)?;
        let arguments = [CONFIGURATION.to_owned()];
        let folder = Arc::new(folder);
        let server = Server::start_as(account, "PgBouncer", &program, &arguments, &[], folder)?;
        let started = Self { server, port };
        let url = started.url("postgres");
        started.server.wait_until(START_WITHIN, async || sql::answers(&url).await).await?;
        Ok(started)
    }

    /// The address of a database through the pool: `postgres://postgres@127.0.0.1:PORT/NAME`.
    pub fn url(&self, database: &str) -> String {
        sql::url(self.address(), database)
    }

    /// The pool's address and port, for a [`Proxy`](crate::Proxy).
    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Ends the pool at once (SIGKILL): connections break and are refused from now on.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Stops the pool from running (SIGSTOP): connections are taken, nothing answers.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets a paused pool go on (SIGCONT).
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Everything the pool has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

fn configuration(own: SocketAddr, target: SocketAddr, mode: PoolMode, pool_size: u32) -> String {
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
    };
    format!(
        "[databases]\n\
         * = host={} port={} user=postgres\n\
         [pgbouncer]\n\
         listen_addr = {}\n\
         listen_port = {}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = {mode}\n\
         default_pool_size = {pool_size}\n\
         max_client_conn = {CLIENTS_MAX}\n\
         ignore_startup_parameters = extra_float_digits\n",
        target.ip(),
        target.port(),
        own.ip(),
        own.port(),
    )
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, PgConnection};

    use super::*;
    use crate::shared_postgres;

    /// The number of the server's process that a client is given.
    async fn backend(client: &mut PgConnection) -> i32 {
        let query = sqlx::query_scalar("SELECT pg_backend_pid()").persistent(false);
        query.fetch_one(client).await.unwrap()
    }

    async fn execute(client: &mut PgConnection, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(client).await.unwrap();
    }

    async fn backends_of_two(mode: PoolMode, pool_size: u32) -> [i32; 2] {
        let postgres = shared_postgres().await.unwrap();
        let database = postgres.fresh_database().await.unwrap();
        let pool = PgBouncer::start(postgres.address(), mode, pool_size).await.unwrap();
        let url = pool.url(database.name());
        let mut one = PgConnection::connect(&url).await.unwrap();
        let mut two = PgConnection::connect(&url).await.unwrap();
        execute(&mut one, "BEGIN; SELECT 1; COMMIT").await;
        let backends = [backend(&mut one).await, backend(&mut two).await];
        pool.kill();
        assert!(PgConnection::connect(&url).await.is_err());
        assert!(pool.log().contains("process up"), "{}", pool.log());
        backends
    }

    #[tokio::test]
    async fn lends_a_connection_for_a_transaction_or_a_session() {
        let [one, two] = backends_of_two(PoolMode::Transaction, 1).await;
        assert_eq!(one, two);
        let [one, two] = backends_of_two(PoolMode::Session, 2).await;
        assert_ne!(one, two);
    }
}
