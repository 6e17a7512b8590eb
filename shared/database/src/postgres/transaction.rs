//! A transaction of the server, and what of it waits to be sent.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};

use super::{all, execute, simple};
use crate::deferred::{Deferred, undoes};
use crate::{DbError, Query, Row};

/// How long the end of a transaction may take before its outcome counts as unknown.
const END_LIMIT: Duration = Duration::from_secs(30);
/// How long a dropped transaction's rollback may take before its connection is closed instead.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(2);

/// Holds a connection from `BEGIN` to the end of the transaction.
#[derive(Debug)]
pub(crate) struct PostgresTransaction {
    connection: Option<PoolConnection<Postgres>>,
    pooled: bool,
    deferred: Deferred,
}

impl PostgresTransaction {
    /// Takes the connection; its transaction is yet to be begun.
    pub(super) fn new(connection: PoolConnection<Postgres>, pooled: bool) -> Self {
        Self { connection: Some(connection), pooled, deferred: Deferred::default() }
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("held until the transaction ends")
    }

    pub(crate) fn tx(&mut self) -> PostgresTx<'_> {
        PostgresTx {
            connection: self.connection.as_mut().expect("held until the transaction ends"),
            keeps_statements: !self.pooled,
            is_aborted: false,
            deferred: Some(&mut self.deferred),
        }
    }

    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        self.tx().flush().await?;
        // The server answers a failed transaction's COMMIT with a rollback that is no error; the
        // statement before it makes it one.
        let commit = simple(self.connection(), "SELECT 1; COMMIT");
        let done = tokio::time::timeout(END_LIMIT, commit).await;
        match done {
            Ok(Ok(())) => {
                self.connection = None;
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DbError::no_answer()),
        }
    }

    pub(crate) async fn rollback(mut self) -> Result<(), DbError> {
        simple(self.connection(), "ROLLBACK").await?;
        self.connection = None;
        Ok(())
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        // Others wait for its locks, so it ends at once; a server that does not answer ends it
        // when it sees the connection closed.
        runtime.spawn(async move {
            let rolled_back =
                tokio::time::timeout(ROLLBACK_LIMIT, simple(&mut connection, "ROLLBACK")).await;
            if !matches!(rolled_back, Ok(Ok(()))) {
                drop(connection.detach());
            }
        });
    }
}

/// A transaction on a connection of the server.
#[derive(Debug)]
pub struct PostgresTx<'c> {
    connection: &'c mut PgConnection,
    keeps_statements: bool,
    /// The latest statement failed: the next that succeeds can only be one that undoes it.
    is_aborted: bool,
    /// What waits for the next statement; `None` if a caller commits without asking us.
    deferred: Option<&'c mut Deferred>,
}

impl<'c> PostgresTx<'c> {
    /// Takes a connection whose transaction a caller has begun and ends.
    pub(crate) fn foreign(connection: &'c mut PgConnection, keeps_statements: bool) -> Self {
        Self { connection, keeps_statements, is_aborted: false, deferred: None }
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.is_aborted
    }

    pub(crate) async fn execute(&mut self, query: Query) -> Result<u64, DbError> {
        let query = self.with_deferred(query).await?;
        let done = execute(self.connection, self.keeps_statements, query).await;
        self.is_aborted = done.is_err();
        done
    }

    pub(crate) async fn all(&mut self, query: Query) -> Result<Vec<Row>, DbError> {
        let query = self.with_deferred(query).await?;
        let done = all(self.connection, self.keeps_statements, query).await;
        self.is_aborted = done.is_err();
        done
    }

    pub(crate) async fn batch(&mut self, sql: &'static str) -> Result<(), DbError> {
        if undoes(sql) {
            self.forget();
        }
        self.flush().await?;
        let done = simple(self.connection, sql).await;
        self.is_aborted = done.is_err();
        done
    }

    pub(crate) async fn defer(&mut self, query: Query) -> Result<(), DbError> {
        if !self.deferred.as_ref().is_some_and(|deferred| deferred.fits(&query)) {
            self.flush().await?;
        }
        match &mut self.deferred {
            Some(deferred) if deferred.fits(&query) => {
                deferred.push(query);
                Ok(())
            }
            _ => self.execute(query).await.map(|_| ()),
        }
    }

    pub(crate) async fn flush(&mut self) -> Result<(), DbError> {
        let Some(query) = self.deferred.as_mut().and_then(|deferred| deferred.take()) else {
            return Ok(());
        };
        let done = execute(self.connection, self.keeps_statements, query).await;
        self.is_aborted = done.is_err();
        done.map(|_| ())
    }

    fn forget(&mut self) {
        if let Some(deferred) = &mut self.deferred {
            deferred.clear();
        }
    }

    /// The statement with all that waits, which runs before it if it cannot run with it.
    async fn with_deferred(&mut self, query: Query) -> Result<Query, DbError> {
        if undoes(&query.sql) {
            self.forget();
        }
        match &mut self.deferred {
            Some(deferred) if deferred.fits(&query) => Ok(deferred.take_with(query)),
            _ => self.flush().await.map(|()| query),
        }
    }
}
