//! `archival/reconcile_recordings`: compares stored objects with the catalogue.
//!
//! Without `projectId` it asks for itself once per project. An object without a row gets one, with
//! now as the time of its cataloguing, so that no month of the past changes; a row without an object
//! is reported for a person to look at. Rows of deleted recordings are never touched.

use std::collections::HashSet;

use contract::archival::{ArchivalConfiguration, ReconcileRecordings as Payload};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::recordings::{self, Recording};
use models::{Project, projects, streams};
use objects::{ObjectError, ObjectInfo, ObjectStore};
use scheduling::{Scope, TaskOptions, Unique};
use serde::Serialize;
use serde_json::json;
use values::{ProjectId, RecordingId, Span};

use super::archive_recording::FOLDER;
use super::delete_recording::deletion_of;
use super::names;
use super::settings::{Settings, open};

/// Projects that one attempt asks for at the most.
const PROJECTS_PER_ATTEMPT: u32 = 500;
/// Rows that are read at a time.
const ROWS_PER_PAGE: u32 = 500;
/// Objects of one project at the most; their keys are held in memory.
const OBJECTS_MAX: usize = 1_000_000;
/// Keys that a report names at the most.
const REPORTED_MAX: usize = 100;
/// An object that is younger may belong to an upload that is not over.
const GRACE: Span = Span::from_hours(24);

/// Compares stored objects with the catalogue.
pub(crate) struct ReconcileRecordings {
    db: Db,
    settings: Settings,
}

/// What the comparison found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Recordings among the objects.
    listed: usize,
    /// Objects that got a row.
    adopted: usize,
    /// Objects without a row whose name tells no stream of the project.
    unknown: usize,
    /// Rows without an object.
    missing: usize,
    /// The first keys of those without a stream.
    unknown_keys: Vec<String>,
    /// The first keys of those without an object.
    missing_keys: Vec<String>,
}

impl Job for ReconcileRecordings {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: ArchivalConfiguration,
    ) -> Result<Outcome, JobError> {
        if self.settings.store.is_none() && payload.project_id.is_none() {
            // The schedule asks wherever the worker runs, also where nothing is archived.
            return Ok(Outcome::completed(json!({ "skipped": "no_store" })));
        }
        let Some(id) = payload.project_id else { return self.ask(payload.after).await };
        let project = projects::get(&self.db, id).await?;
        let project =
            project.ok_or_else(|| JobError::permanent(format!("there is no project {id}")))?;
        let store = self.settings.open_store(&config).await?;
        let mut report = Report::default();
        let stored = self.list(cx, &project, &config, &mut report).await?;
        self.find_missing(cx, &project, &store, &stored, &mut report).await?;
        if report.missing > 0 {
            let (missing, keys) = (report.missing, &report.missing_keys);
            tracing::error!(missing, ?keys, "recordings without an object; restore or delete them");
        }
        Ok(Outcome::completed(&report))
    }
}

impl ReconcileRecordings {
    /// Asks for each project, a part of them at a time.
    async fn ask(&self, after: Option<ProjectId>) -> Result<Outcome, JobError> {
        let page = projects::page(&self.db, after, PROJECTS_PER_ATTEMPT).await?;
        let mut outcome = Outcome::completed(json!({ "projects": page.len() }));
        let once = || TaskOptions {
            unique: Some(Unique { scope: Scope::Payload, period: None }),
            ..TaskOptions::default()
        };
        for project in &page {
            let payload = Payload { project_id: Some(project.id), after: None };
            outcome = outcome.follow_up_with(&payload, once());
        }
        let is_full = page.len() == PROJECTS_PER_ATTEMPT as usize;
        if let Some(last) = page.last().filter(|_| is_full) {
            let payload = Payload { project_id: None, after: Some(last.id) };
            outcome = outcome.follow_up_with(&payload, once());
        }
        Ok(outcome)
    }

    /// Lists a project's recordings and adopts those without a row; returns all keys.
    async fn list(
        &self,
        cx: &Context,
        project: &Project,
        config: &ArchivalConfiguration,
        report: &mut Report,
    ) -> Result<HashSet<String>, JobError> {
        let folder = format!("{FOLDER}/{}", project.public_key);
        let location = self.settings.store()?.below(&folder).map_err(|error| {
            JobError::permanent(format!("the project's key makes no folder: {error}"))
        })?;
        let store = match open(&location, config).await {
            Ok(store) => store,
            // Nothing of this project was ever stored; that the store is there was seen before.
            Err(JobError::Retryable { after: None, cause })
                if matches!(cause.downcast_ref(), Some(ObjectError::NoPlace { .. })) =>
            {
                return Ok(HashSet::new());
            }
            Err(error) => return Err(error),
        };
        let (mut stored, mut after) = (HashSet::new(), None);
        loop {
            cx.progress(0.3, format!("{} objects listed", stored.len()));
            cx.check_cancelled()?;
            let page = store.list_page(after.as_deref()).await?;
            let is_recording = |object: &ObjectInfo| {
                object.key.strip_suffix(".mp4").is_some_and(|stem| !stem.contains('/'))
            };
            let objects: Vec<ObjectInfo> = page.objects.into_iter().filter(is_recording).collect();
            report.listed += objects.len();
            self.adopt(cx, project, &folder, &objects, report).await?;
            stored.extend(objects.into_iter().map(|object| format!("{folder}/{}", object.key)));
            if stored.len() > OBJECTS_MAX {
                return Err(JobError::permanent(format!(
                    "the project has more than {OBJECTS_MAX} recordings"
                )));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(stored),
            }
        }
    }

    /// Gives rows to objects that have none.
    async fn adopt(
        &self,
        cx: &Context,
        project: &Project,
        folder: &str,
        objects: &[ObjectInfo],
        report: &mut Report,
    ) -> Result<(), JobError> {
        let keys: Vec<String> =
            objects.iter().map(|object| format!("{folder}/{}", object.key)).collect();
        let known: HashSet<String> =
            recordings::known_keys(&self.db, &keys).await?.into_iter().collect();
        for (object, key) in objects.iter().zip(keys) {
            if known.contains(&key) || object.modified_at > cx.now().before(GRACE) {
                continue;
            }
            let names = names::stream_names(&object.key);
            let found = streams::find_by_names(&self.db, &names).await?;
            let ids: Vec<_> =
                names.iter().filter_map(|name| found.get(name)).map(|stream| stream.id).collect();
            let of_project = streams::find(&self.db, &ids).await?;
            let is_own = |id: &&values::StreamId| {
                of_project.iter().any(|s| s.id == **id && s.project_id == Some(project.id))
            };
            let Some(stream_id) = ids.iter().find(is_own).copied() else {
                report.unknown += 1;
                if report.unknown_keys.len() < REPORTED_MAX {
                    report.unknown_keys.push(key);
                }
                continue;
            };
            let recording = Recording {
                id: RecordingId::new(cx.now(), tasks::random_bytes()),
                stream_id,
                project_id: project.id,
                name: object.key.clone(),
                object_key: key,
                poster_key: None,
                source_sha256: None,
                size_bytes: Some(object.size_bytes),
                duration_ms: None,
                recorded_at: Some(object.modified_at),
                reserved_at: cx.now(),
                catalogued_at: Some(cx.now()),
                deleted_at: None,
            };
            let mut transaction = self.db.begin().await?;
            let adopted = recordings::adopt(&mut transaction.tx(), &recording).await?;
            transaction.commit().await?;
            report.adopted += usize::from(adopted);
        }
        Ok(())
    }

    /// Finds rows whose objects were not listed and are not there either.
    async fn find_missing(
        &self,
        cx: &Context,
        project: &Project,
        store: &ObjectStore,
        stored: &HashSet<String>,
        report: &mut Report,
    ) -> Result<(), JobError> {
        let mut after = String::new();
        loop {
            cx.progress(0.7, format!("looking for missing objects after `{after}`"));
            cx.check_cancelled()?;
            let rows = recordings::stored_page(&self.db, project.id, &after, ROWS_PER_PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after.clone_from(&last.object_key);
            for row in rows.iter().filter(|row| !stored.contains(&row.object_key)) {
                match store.head(&row.object_key).await {
                    Ok(_) => continue,
                    Err(ObjectError::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                if cx.effects().state(&deletion_of(row.id)).await?.is_some() {
                    // It goes because somebody asked for that.
                    continue;
                }
                report.missing += 1;
                if report.missing_keys.len() < REPORTED_MAX {
                    report.missing_keys.push(row.object_key.clone());
                }
            }
        }
    }
}
