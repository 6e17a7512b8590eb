//! `main-worker migrate`: brings the database to the version this program needs.

use std::path::Path;

use anyhow::{Context, Result};
use database::{Db, SchemaRange};
use job::EFFECTS;
use serde_json::json;

use super::{Exit, Invocation};
use crate::home::{DEFAULT_FOLDER, Home};

/// Every part of the schema, in the order they are migrated.
const PARTS: [&SchemaRange; 3] = [&tasks::SCHEMA, &EFFECTS, &models::SCHEMA];

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The embedded database is migrated by every start; this command shows where it stands.
Examples:
  main-worker migrate --dry-run
  main-worker migrate"
)]
pub(super) struct Arguments {
    /// Only show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    let folder = invocation.settings.home.as_deref().unwrap_or(Path::new(DEFAULT_FOLDER));
    let path = Home::at(folder).database_path();
    let before = versions(&path).await.map_err(|error| error.context(Exit::Settings))?;
    if !arguments.dry_run {
        invocation.open().await?;
    }
    let after = versions(&path).await.map_err(|error| error.context(Exit::Settings))?;
    let output = invocation.output;
    if output.is_json() {
        let parts: Vec<_> = PARTS
            .iter()
            .zip(before.iter().zip(&after))
            .map(|(part, (before, after))| {
                json!({ "part": part.component, "before": before, "now": after, "newest": newest(part) })
            })
            .collect();
        output.json(&json!({ "dryRun": arguments.dry_run, "schema": parts }));
        return Ok(Exit::Completed);
    }
    let rows: Vec<Vec<String>> = PARTS
        .iter()
        .zip(before.iter().zip(&after))
        .map(|(part, (before, after))| {
            let newest = newest(part);
            let told = match (*after == newest, before == after) {
                (true, true) => "up to date",
                (true, false) => "migrated",
                (false, _) => "would be migrated",
            };
            let name = part.component.to_owned();
            vec![name, before.to_string(), after.to_string(), newest.to_string(), told.to_owned()]
        })
        .collect();
    output.table(&["PART", "BEFORE", "NOW", "NEWEST", ""], &rows);
    Ok(Exit::Completed)
}

fn newest(part: &SchemaRange) -> i64 {
    part.migrations.last().map_or(0, |migration| migration.version)
}

/// The versions in the database; all 0 if there is none yet.
async fn versions(path: &Path) -> Result<[i64; 3]> {
    let mut found = [0; 3];
    if !path.exists() {
        return Ok(found);
    }
    let db = Db::open_existing_sqlite(path)
        .await
        .with_context(|| format!("cannot open the database {}", path.display()))?;
    for (found, part) in found.iter_mut().zip(PARTS) {
        *found = part.status(&db).await?.found;
    }
    db.close().await;
    Ok(found)
}
