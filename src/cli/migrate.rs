//! `main-worker migrate`: brings the database to the version this program needs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use database::{Db, DbError, EngineKind, Query, SchemaRange};
use serde_json::json;
use values::Clock;

use super::{Exit, Invocation, Output, exit};
use crate::clock::SystemClock;
use crate::storage::{Access, Location, PARTS};

/// How often a step is tried whose lock others hold; each try waits for two seconds.
const TRIES: u32 = 30;
/// Pause between two tries, in which others get on.
const PAUSE: Duration = Duration::from_millis(500);

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A SQLite file is migrated by every start; a PostgreSQL database only by this command, which may
run while workers of the release before go on.
Examples:
  main-worker migrate --dry-run
  main-worker migrate"
)]
pub(super) struct Arguments {
    /// Only show what would be done, with every statement; change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where one part of the schema stands, and what is to be done.
struct Part {
    range: &'static SchemaRange,
    before: i64,
    after: i64,
    /// What a step is called, and its statements.
    steps: Vec<(String, Vec<String>)>,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    let location = invocation.location()?;
    let failed = |error| exit::of_opening(location.is_server(), error);
    let mut parts = look(&location).await.map_err(failed)?;
    if !arguments.dry_run {
        if location.is_server() {
            migrate(&location).await.map_err(failed)?;
        } else {
            invocation.open().await?;
        }
        for (part, now) in parts.iter_mut().zip(look(&location).await.map_err(failed)?) {
            part.after = now.before;
        }
    }
    show(invocation.output, &parts, arguments.dry_run);
    Ok(Exit::Completed)
}

/// Reads where each part stands; a file that is not there yet stands nowhere.
async fn look(location: &Location) -> Result<Vec<Part>> {
    let is_missing = matches!(location, Location::File(path) if !path.exists());
    let db = if is_missing { None } else { Some(location.connect(Access::Look).await?) };
    let kind = if location.is_server() { EngineKind::Postgres } else { EngineKind::Sqlite };
    let mut parts: Vec<Part> = Vec::new();
    for range in PARTS {
        let before = match &db {
            Some(db) => range.status(db).await?.found,
            None => 0,
        };
        let steps = range.steps_after(before, kind).into_iter();
        let steps = steps.map(|(step, sql)| (format!("{} {}", step.version, step.name), sql));
        parts.push(Part { range, before, after: before, steps: steps.collect() });
    }
    if let Some(db) = db {
        if location.is_server() && parts.iter().any(|part| !part.steps.is_empty()) {
            may_create(&db).await?;
        }
        db.close().await;
    }
    Ok(parts)
}

/// Makes sure that there is a schema for tables, and that this user may make them there.
async fn may_create(db: &Db) -> Result<()> {
    let query = Query::new(
        "SELECT current_schema()::text, has_schema_privilege(current_schema(), 'CREATE')::text,
           current_user::text, current_setting('search_path')",
    );
    let row = db.first(query).await?.context("the server does not tell its schema")?;
    let (user, path) = (row.get::<String>(2)?, row.get::<String>(3)?);
    let schema: Option<String> = row.get(0)?;
    let schema = schema.with_context(|| {
        format!(
            "no schema of the search_path `{path}` is there; make one, or: ALTER ROLE {user} SET \
             search_path = public"
        )
    })?;
    ensure!(
        row.get::<String>(1)? == "true",
        "the user may not make tables; as the owner of the schema: GRANT CREATE ON SCHEMA {schema} \
         TO {user}"
    );
    Ok(())
}

async fn migrate(location: &Location) -> Result<()> {
    let db = location.connect(Access::Work).await?;
    for part in PARTS {
        let migrated = patiently(part, &db).await;
        migrated.with_context(|| format!("cannot migrate the part `{}`", part.component))?;
    }
    db.close().await;
    Ok(())
}

/// Tries again while others hold a lock that a step needs.
async fn patiently(part: &SchemaRange, db: &Db) -> Result<(), DbError> {
    for _ in 1..TRIES {
        match part.migrate(db, SystemClock.now()).await {
            Err(DbError::Busy) => tokio::time::sleep(PAUSE).await,
            ended => return ended.map(|_| ()),
        }
    }
    part.migrate(db, SystemClock.now()).await.map(|_| ())
}

fn show(output: Output, parts: &[Part], dry_run: bool) {
    if output.is_json() {
        let parts: Vec<_> = parts
            .iter()
            .map(|Part { range, before, after, steps }| {
                let statements: Vec<&String> =
                    steps.iter().filter(|_| dry_run).flat_map(|(_, sql)| sql).collect();
                json!({
                    "part": range.component, "before": before, "now": after,
                    "newest": range.newest(), "statements": statements,
                })
            })
            .collect();
        output.json(&json!({ "dryRun": dry_run, "schema": parts }));
        return;
    }
    let row = |Part { range, before, after, steps: _ }: &Part| {
        let newest = range.newest();
        let told = match (*after >= newest, before == after) {
            (true, true) => "up to date",
            (true, false) => "migrated",
            (false, _) => "would be migrated",
        };
        let name = range.component.to_owned();
        vec![name, before.to_string(), after.to_string(), newest.to_string(), told.to_owned()]
    };
    let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
    output.table(&["PART", "BEFORE", "NOW", "NEWEST", ""], &rows);
    if !dry_run {
        return;
    }
    for part in parts {
        for (name, statements) in &part.steps {
            output.line(&format!("\n-- {} {name}, in one transaction", part.range.component));
            for sql in statements {
                output.line(&format!("{sql};"));
            }
        }
    }
}
