//! Finding out whether a pooler such as PgBouncer stands between us and PostgreSQL.
//!
//! A pooler in transaction mode hands a server's session to whoever asks next, so what belongs to a
//! session (prepared statements, `LISTEN`, session locks) must not be used through it.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::DbError;

/// A setting of the session that only a server itself takes from a client's first message.
const MARK: &str = "main_worker.mark";

/// Whether a pooler keeps sessions of its own.
///
/// A server starts a session with the options its client sends. A pooler refuses them or leaves
/// them out, whatever its mode, because its sessions have begun before.
pub(crate) async fn detect(options: &PgConnectOptions) -> Result<bool, DbError> {
    let marked = options.clone().options([(MARK, "direct")]);
    let mut connection = match marked.connect().await {
        Ok(connection) => connection,
        Err(sqlx::Error::Database(_)) => {
            // Whoever lets us in without the mark only, is none; else its own refusal is told.
            options.connect().await?.close().await.ok();
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    };
    let row = sqlx::raw_sql("SELECT current_setting('main_worker.mark', true)");
    let row = row.fetch_one(&mut connection).await?;
    let found: Option<String> = row.try_get(0).unwrap_or_default();
    connection.close().await.ok();
    Ok(found.as_deref() != Some("direct"))
}
