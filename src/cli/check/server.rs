//! What keeps a worker from working on a PostgreSQL server that answers.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use database::{Db, EngineKind, Query};
use values::Clock;

use crate::clock::SystemClock;
use crate::settings::{DATABASE_LISTEN_URL, DATABASE_URL};
use crate::storage::PARTS;

/// How long it may take until something is heard.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// Whether the server takes writes of this user.
pub(super) async fn takes_writes(db: &Db) -> Result<()> {
    if db.kind() == EngineKind::Sqlite {
        return Ok(());
    }
    let query = Query::new(
        "SELECT pg_is_in_recovery()::text, current_setting('transaction_read_only'),
           current_user::text",
    );
    let row = db.first(query).await?.context("the server does not tell whether it is a standby")?;
    let [standby, read_only, user] = [row.get::<String>(0)?, row.get(1)?, row.get(2)?];
    ensure!(
        standby != "true",
        "the server is a standby, which takes no writes; {} must lead to the primary",
        DATABASE_URL.name
    );
    ensure!(
        read_only != "on",
        "default_transaction_read_only is on; turn it off for the database, or: ALTER ROLE {user} SET \
         default_transaction_read_only = off"
    );
    Ok(())
}

/// Whether notifications arrive, if they are to.
pub(super) async fn hears(db: &Db) -> Result<()> {
    let name = if db.is_pooled() { DATABASE_LISTEN_URL.name } else { DATABASE_URL.name };
    let channel = format!("mw_check_{}_{}", std::process::id(), SystemClock.now().as_micros());
    let listener = db.listen(&channel).await;
    let listener = listener.with_context(|| format!("cannot listen through {name}"))?;
    let Some(mut listener) = listener else { return Ok(()) };
    db.notify(&channel).await?;
    let is_heard = listener.wait(HEARD_WITHIN).await?;
    listener.close().await;
    ensure!(
        is_heard,
        "nobody hears through {name} what is told through {}: it must lead to the same database of \
         the same server, past every pooler",
        DATABASE_URL.name
    );
    Ok(())
}

/// Whether every table is there, and this user may read and write it.
pub(super) async fn has_rights(db: &Db) -> Result<()> {
    if db.kind() == EngineKind::Sqlite {
        return Ok(());
    }
    let names: Vec<String> = PARTS.iter().flat_map(|part| part.relations()).collect();
    let query = Query::new(
        "WITH relation AS (
           SELECT name, c.oid, c.relkind = 'S' AS is_sequence FROM unnest($1::text[]) name
             LEFT JOIN pg_class c ON c.oid = to_regclass(quote_ident(name))),
         lacking AS (
           SELECT name, oid, CASE WHEN is_sequence THEN
             (SELECT 'USAGE' WHERE NOT has_sequence_privilege(oid, 'USAGE')) ELSE
             (SELECT string_agg(r, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) r
               WHERE NOT has_table_privilege(oid, r)) END AS rights FROM relation)
         SELECT coalesce(rights, ''), string_agg(name, ', ' ORDER BY name), current_user::text
           FROM lacking WHERE oid IS NULL OR rights IS NOT NULL GROUP BY rights ORDER BY rights",
    );
    let rows = db.all(query.bind(names)).await?;
    let mut faults = Vec::new();
    for row in &rows {
        let [rights, names, user] = [row.get::<String>(0)?, row.get(1)?, row.get(2)?];
        let kind = if rights == "USAGE" { "SEQUENCE " } else { "" };
        faults.push(if rights.is_empty() {
            format!("not there, or not to be seen by the user {user}: {names}; restore a backup")
        } else {
            format!(
                "GRANT {rights} ON {kind}{names} TO {user}; docs/operations.md lists all it needs"
            )
        });
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}
