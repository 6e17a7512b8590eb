//! `logs/discover_logs`: lists the log sources and asks for every new file to be processed.
//!
//! Without `logSource` it asks for itself once per source, so that a source that cannot be reached
//! holds up no other. Keys of logs begin with host and distribution, so they do not follow time
//! and a listing always covers all keys; what a listing saves is the look at what is known:
//! * On S3, objects written more than [`OVERLAP`] before the newest one of the last listing are
//!   left out. S3 itself sets that time. Files in a folder keep the time of where they were copied
//!   from, so there every file is compared with the ledger.
//! * A listing that finds more than one attempt may ask for ends there, and a follow-up goes on
//!   behind its last key. Behind that key every object is compared with the ledger, so the listing
//!   may be interrupted for any time. The marker keeps the newest time of its first part until a
//!   new listing begins.

use contract::logs::{DiscoverLogs as Payload, LogConfiguration, ProcessLog};
use database::{Db, DbError};
use edge_logs::LogFormat;
use job::{Context, Job, JobError, Outcome, Services};
use models::ledger::{self, Discovered, LogMarker};
use objects::{ObjectInfo, ObjectStore, SKIPPED_NAMES_MAX};
use scheduling::{Scope, TaskOptions, Unique};
use serde::{Deserialize, Serialize};
use values::{LogFileId, Span, Timestamp};

use super::source::{LogSource, LogSources};

/// How far a listing looks back before the newest object of the last one.
const OVERLAP: Span = Span::from_hours(48);
/// Files that one attempt asks for at the most.
const FILES_PER_ATTEMPT: usize = 1_000;
/// How long after a file was asked for it is not asked for again, whatever became of it: a file that
/// fails for good stays unprocessed, and each listing would make another dead letter of it. This way
/// there are at most four a day.
const ASK_AGAIN_AFTER: Span = Span::from_hours(6);
/// Pages that one attempt lists at the most.
const PAGES_PER_ATTEMPT: usize = 100;

/// What the job takes from worker.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default)]
    log_sources: LogSources,
}

/// Lists the log sources.
pub(crate) struct DiscoverLogs {
    db: Db,
    settings: Settings,
}

/// What one attempt saw of a source.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    log_source: String,
    /// Objects listed.
    listed: u64,
    /// Things that cannot be objects, such as names that are not UTF-8.
    skipped: usize,
    /// Objects whose name tells no type of log.
    unknown_type: u64,
    /// Files asked for.
    found: usize,
    /// Whether a follow-up goes on with the listing.
    more: bool,
}

/// A listing in progress.
struct Listing<'a> {
    name: &'a str,
    source: &'a LogSource,
    /// Objects written before this are known.
    known_before: Timestamp,
    now: Timestamp,
    files: Vec<Discovered>,
    newest: Option<Timestamp>,
    goes_on_after: Option<String>,
    /// The first names that cannot be objects, escaped.
    skipped_names: Vec<String>,
    report: Report,
}

impl Job for DiscoverLogs {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: LogConfiguration,
    ) -> Result<Outcome, JobError> {
        let Some(name) = payload.log_source else { return Ok(self.ask_for_each_source()) };
        let source = self.settings.log_sources.find(&name)?;
        let store = source.open(&config).await?;
        let marker = ledger::marker(&self.db, &name).await?;
        let listing = self.list(cx, &name, source, &store, marker.as_ref()).await?;
        tracing::info!(
            log_source = name,
            listed = listing.report.listed,
            found = listing.report.found,
            more = listing.report.more,
            "log source listed"
        );
        listing.warn();
        Ok(outcome(listing, marker.as_ref()))
    }
}

impl DiscoverLogs {
    fn ask_for_each_source(&self) -> Outcome {
        let names: Vec<&str> = self.settings.log_sources.names().collect();
        let mut outcome = Outcome::completed(serde_json::json!({ "logSources": names }));
        for name in names {
            outcome = outcome.follow_up_with(&of_source(name), once_for(name, None));
        }
        outcome
    }

    async fn list<'a>(
        &self,
        cx: &Context,
        name: &'a str,
        source: &'a LogSource,
        store: &ObjectStore,
        marker: Option<&LogMarker>,
    ) -> Result<Listing<'a>, JobError> {
        let mut after = marker.and_then(|marker| marker.listed_until_key.clone());
        let is_new = after.is_none();
        let is_folder = source.location.as_folder().is_some();
        let known_before = marker.filter(|_| is_new && !is_folder);
        let mut listing = Listing {
            name,
            source,
            known_before: known_before.map_or(Timestamp::MIN, |m| m.listed_until.before(OVERLAP)),
            now: cx.now(),
            files: Vec::new(),
            newest: None,
            goes_on_after: None,
            skipped_names: Vec::new(),
            report: Report { log_source: name.to_owned(), ..Report::default() },
        };
        for _ in 0..PAGES_PER_ATTEMPT {
            cx.check_cancelled()?;
            let page = store.list_page(after.as_deref()).await?;
            listing.report.skipped += page.skipped;
            let room = SKIPPED_NAMES_MAX - listing.skipped_names.len();
            listing.skipped_names.extend(page.skipped_names.into_iter().take(room));
            listing.take(&self.db, &page.objects).await?;
            after = page.next;
            if after.is_none() || listing.goes_on_after.is_some() {
                break;
            }
        }
        if listing.goes_on_after.is_none() {
            listing.goes_on_after = after;
        }
        listing.report.found = listing.files.len();
        listing.report.more = listing.goes_on_after.is_some();
        Ok(listing)
    }
}

impl Listing<'_> {
    /// Tells of what was left out, which nobody would miss otherwise.
    fn warn(&self) {
        let (log_source, count) = (self.name, self.report.unknown_type);
        if count > 0 {
            tracing::warn!(log_source, count, "files of an unknown type of log left out");
        }
        let count = self.report.skipped;
        if count > 0 {
            let names = self.skipped_names.join(", ");
            tracing::warn!(
                log_source,
                count,
                names,
                "not regular files with readable names, left out; rename or replace them"
            );
        }
    }

    /// Takes the objects of a page up to the one that makes the attempt full.
    async fn take(&mut self, db: &Db, objects: &[ObjectInfo]) -> Result<(), DbError> {
        let is_candidate = |object: &&ObjectInfo| {
            object.modified_at >= self.known_before
                && LogFormat::detect(self.source.format, &object.key).is_ok()
        };
        let keys: Vec<String> =
            objects.iter().filter(is_candidate).map(|object| object.key.clone()).collect();
        let keys = ledger::unprocessed(db, self.name, &keys).await?;
        let mut keys = keys.into_iter().peekable();
        for object in objects {
            self.report.listed += 1;
            self.newest = self.newest.max(Some(object.modified_at));
            if LogFormat::detect(self.source.format, &object.key).is_err() {
                self.report.unknown_type += 1;
            }
            if let Some(key) = keys.next_if(|key| *key == object.key) {
                self.files.push(Discovered {
                    id: LogFileId::new(self.now, tasks::random_bytes()),
                    log_source: self.name.to_owned(),
                    key,
                    size_bytes: object.size_bytes,
                });
                if self.files.len() == FILES_PER_ATTEMPT {
                    self.goes_on_after = Some(object.key.clone());
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Where the next listing begins; `None` for a source without any object so far.
fn next_marker(listing: &Listing<'_>, before: Option<&LogMarker>) -> Option<LogMarker> {
    // A clock that runs ahead somewhere must not hide what is written after it is set right.
    let newest = listing.newest.map(|newest| newest.min(listing.now));
    let listed_until = match before {
        // The later parts of a listing saw nothing of what came behind their back.
        Some(LogMarker { log_source: _, listed_until_key: Some(_), listed_until }) => {
            Some(*listed_until)
        }
        Some(LogMarker { log_source: _, listed_until_key: None, listed_until }) => {
            newest.max(Some(*listed_until))
        }
        None => newest,
    };
    Some(LogMarker {
        log_source: listing.name.to_owned(),
        listed_until_key: listing.goes_on_after.clone(),
        listed_until: listed_until?,
    })
}

fn outcome(mut listing: Listing<'_>, before: Option<&LogMarker>) -> Outcome {
    let (marker, now) = (next_marker(&listing, before), listing.now);
    let files = std::mem::take(&mut listing.files);
    let mut outcome = Outcome::completed(&listing.report);
    for file in &files {
        let payload =
            ProcessLog { log_source: file.log_source.clone(), key: file.key.clone(), again: false };
        let once = once_for(listing.name, Some(ASK_AGAIN_AFTER));
        outcome = outcome.follow_up_with(&payload, once);
    }
    if listing.report.more {
        outcome = outcome.follow_up_with(&of_source(listing.name), once_for(listing.name, None));
    }
    outcome.commit(move |tx| {
        Box::pin(async move {
            ledger::record_discovered(tx, &files, now).await?;
            match marker {
                Some(marker) => ledger::set_marker(tx, &marker, now).await,
                None => Ok(()),
            }
        })
    })
}

fn of_source(name: &str) -> Payload {
    Payload { log_source: Some(name.to_owned()) }
}

/// One such task at a time, and one per period if there is one; found by the name of its source.
fn once_for(name: &str, period: Option<Span>) -> TaskOptions {
    TaskOptions {
        labels: vec![name.to_owned()],
        unique: Some(Unique { scope: Scope::Payload, period }),
        ..TaskOptions::default()
    }
}

#[cfg(test)]
mod tests;
