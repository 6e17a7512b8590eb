//! Whether this machine can archive recordings.

use anyhow::{Result, anyhow};
use contract::ObjectStorage;
use jobs::ArchivalNeeds;
use manifest::Manifest;

use crate::cli::Invocation;
use crate::configuration::Sections;
use crate::storage::Location;

/// The job whose settings say what it needs.
const ARCHIVE_JOB: &str = "archival/archive_recording";
/// The section with the keys of the object storage.
const SECTION: &str = "objectStorage";

/// Looks at programs, folders and stores of `[domains.archival]`; nothing without one.
pub(super) async fn reach(
    invocation: &Invocation,
    manifest: &Manifest,
    sections: &Sections,
) -> Vec<(&'static str, Result<((), String)>)> {
    let row = manifest.jobs.iter().find(|(job, _)| job.as_str() == ARCHIVE_JOB);
    // What is wrong with the settings is told where the handlers are made.
    let needs = row.and_then(|(_, row)| ArchivalNeeds::read(&row.settings).ok().flatten());
    let Some(needs) = needs else { return Vec::new() };
    let keys = sections.get(SECTION).map(|section| {
        // The parser's own message may quote the value.
        serde_json::from_str::<ObjectStorage>(section.expose())
            .map_err(|_| anyhow!("the section `{SECTION}` is not accessKeyId and secretAccessKey"))
    });
    let keys = match keys.transpose() {
        Ok(keys) => keys,
        Err(error) => return vec![("recording store", Err(error))],
    };
    let settings = &invocation.settings;
    // Machines that share a server may have their recorders elsewhere.
    let shares = Location::of(settings).is_ok_and(|location| location.is_server());
    let has_recorder = !shares || settings.media_host_token.is_some();
    let found = Box::pin(needs.look(keys, settings.home_folder(), has_recorder)).await;
    let line = |found: Result<String, String>| match found {
        Ok(detail) => Ok(((), detail)),
        Err(problem) => Err(anyhow!(problem)),
    };
    found.into_iter().map(|(what, found)| (what, line(found))).collect()
}
