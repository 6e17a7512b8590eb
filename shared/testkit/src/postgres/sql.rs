//! The little SQL that it takes to look after a server.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

const ANSWER_WITHIN: Duration = Duration::from_mins(1);
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The address of a database as clients take it.
pub(crate) fn url(address: SocketAddr, database: &str) -> String {
    format!("postgres://postgres@{address}/{database}")
}

/// Runs statements, each in a transaction of its own, over a connection of their own.
pub(super) async fn run(url: &str, statements: impl Into<String>) -> Result<()> {
    let statements = statements.into();
    let work = async {
        let mut connection = PgConnection::connect(url).await?;
        // One at a time: a database cannot be made within a transaction.
        for statement in statements.split(';') {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        connection.close().await
    };
    let done = timeout(ANSWER_WITHIN, work).await;
    done.with_context(|| format!("`{statements}` took longer than {ANSWER_WITHIN:?}"))?
        .with_context(|| format!("`{statements}` failed"))
}

/// Whether the server takes a connection and answers a query.
pub(crate) async fn answers(url: &str) -> bool {
    matches!(timeout(FIRST_ANSWER_WITHIN, run(url, "SELECT 1")).await, Ok(Ok(())))
}
