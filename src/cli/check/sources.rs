//! Whether each log source answers: one page of its list, within a bound.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use contract::ObjectStorage;
use manifest::Manifest;
use objects::{Credentials, Location, ObjectStore};
use serde_json::Value;

use crate::configuration::Sections;

/// How long one source may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The job whose settings name the log sources, and where.
const LOG_JOB: &str = "logs/discover_logs";
const LOG_SOURCES: &str = "log_sources";
/// The section with the keys of the object storage.
const SECTION: &str = "objectStorage";

/// Asks each source for one page, one after the other.
pub(super) async fn reach(
    manifest: &Manifest,
    sections: &Sections,
) -> BTreeMap<String, Result<((), String)>> {
    let row = manifest.jobs.iter().find(|(job, _)| job.as_str() == LOG_JOB);
    let sources = row.and_then(|(_, row)| row.settings.get(LOG_SOURCES)).and_then(Value::as_object);
    let mut found = BTreeMap::new();
    for (name, source) in sources.into_iter().flatten() {
        let listed = match tokio::time::timeout(PATIENCE, list(source, sections)).await {
            Ok(listed) => listed,
            Err(_) => Err(anyhow!(
                "no answer within {} s; check the location, the network and the keys",
                PATIENCE.as_secs()
            )),
        };
        found.insert(name.clone(), listed);
    }
    found
}

async fn list(source: &Value, sections: &Sections) -> Result<((), String)> {
    let text = source.get("location").and_then(Value::as_str);
    let location: Location = text.context("it has no `location`")?.parse()?;
    let credentials = match sections.get(SECTION) {
        // The parser's own message may quote the value.
        Some(section) => {
            Some(serde_json::from_str::<ObjectStorage>(section.expose()).map_err(|_| {
                anyhow!("the section `{SECTION}` is not accessKeyId and secretAccessKey")
            })?)
        }
        None => None,
    };
    let credentials = credentials.map(|keys| {
        let ObjectStorage { access_key_id, secret_access_key, session_token } = keys;
        Credentials { access_key_id, secret_access_key, session_token }
    });
    let store = ObjectStore::open(&location, credentials.as_ref()).await?;
    let page = store.list_page(None).await?;
    let more = if page.next.is_some() { " or more" } else { "" };
    Ok(((), format!("{}: {}{more} files", store.place(), page.objects.len())))
}
