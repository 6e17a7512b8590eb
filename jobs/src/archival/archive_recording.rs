//! `archival/archive_recording`: a recorded file becomes a stored MP4 with a row in the catalogue.
//!
//! Each step that is done is recorded with the task, and an attempt resumes at the first that is
//! not: keep or delete, decided once; look into the file; make the MP4; reserve a name; picture;
//! upload; catalogue. The file itself is removed after that, and only if the store holds what the
//! catalogue says and nobody wrote to the file since.

mod check;
mod child;
mod made;
mod media;
mod source;
mod storing;
mod workplace;

use std::path::PathBuf;

use contract::archival::{AnnounceRecording, ArchivalConfiguration, ArchiveRecording as Payload};
use database::{Db, DbError};
use job::{Context, Job, JobError, Outcome, Services};
use models::recordings::{self, Archive, ArchiveState, Recording, Remuxed, Wanted};
use models::{Project, Stream, projects, streams};
use objects::ObjectError;
use serde_json::json;
use tokio::fs;
use values::RecordingId;

use super::names;
use super::settings::Settings;
pub use check::{ArchivalFinding, ArchivalNeeds};
use child::ChildError;
use source::Source;
use workplace::Workplace;

/// The folder of the store that recordings are in: a viewer's address is made of the same parts.
pub(super) const FOLDER: &str = "cines";

/// Archives one recorded file.
pub(crate) struct ArchiveRecording {
    db: Db,
    settings: Settings,
}

impl Job for ArchiveRecording {
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
        let attempt = Attempt { cx, db: &self.db, settings: &self.settings, payload, config };
        tokio::select! {
            biased;
            // Dropped in the middle of a step, it ends the programs it has started.
            () = cx.cancelled() => Err(JobError::Cancelled),
            ended = attempt.run() => ended.map_err(source::or_later),
        }
    }
}

struct Attempt<'a> {
    cx: &'a Context,
    db: &'a Db,
    settings: &'a Settings,
    payload: Payload,
    config: ArchivalConfiguration,
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Outcome, JobError> {
        let place = Workplace::enter(self.cx, self.settings, &self.payload).await?;
        // Read once no other attempt goes on: what one does to the file it has recorded before.
        let mut archive = self.begin().await?;
        if archive.state != ArchiveState::Working {
            return Ok(ended(&archive));
        }
        let source = match place {
            Some(place) => self.find(place).await?,
            None => None,
        };
        if let Some(recording) = self.recording(&archive).await?.filter(is_through)
            && (source.is_none() || self.stands(&recording).await?)
        {
            return self.finish(archive, &recording, source.as_ref()).await;
        }
        let Some(source) = source else { return self.without_file(archive).await };
        let (stream, project) = self.decide(&mut archive).await?;
        if archive.keep == Some(false) {
            self.cx.progress(0.9, "removing what is not to be kept");
            source.remove(self.settings, &self.config).await?;
            archive.state = ArchiveState::Dropped;
            return Ok(self.settled(archive));
        }
        let remuxed = match self.remux(&mut archive, &source).await {
            Err(Unusable::Broken(reason)) => return self.put_aside(archive, &source, reason).await,
            Err(Unusable::Failed(error)) => return Err(error),
            Ok(remuxed) => remuxed,
        };
        let recording = self.reserve(&mut archive, &source, (stream, project), &remuxed).await?;
        if !self.stands(&recording).await? {
            self.store(&mut archive, &source, &recording, &remuxed).await?;
            // The file stays unless catalogue and store agree by now.
            let stored = self.recording(&archive).await?;
            let stands = match &stored {
                Some(recording) => self.stands(recording).await?,
                None => false,
            };
            if !stands {
                let key = &recording.object_key;
                let message = format!("`{key}` is not in the store although it was just put there");
                return Err(JobError::retryable(message));
            }
        }
        self.finish(archive, &recording, Some(&source)).await
    }

    async fn begin(&self) -> Result<Archive, DbError> {
        let mut transaction = self.db.begin().await?;
        let name = source::name_of(&self.payload);
        let mut tx = transaction.tx();
        let archive = recordings::begin(&mut tx, &name, self.cx.task_id(), self.cx.now()).await?;
        transaction.commit().await?;
        Ok(archive)
    }

    async fn find(&self, place: Workplace) -> Result<Option<Source>, JobError> {
        Source::find(self.cx, self.settings, &self.config, &self.payload, place).await
    }

    /// Records the steps that are done.
    async fn note(&self, archive: &Archive) -> Result<(), DbError> {
        let mut transaction = self.db.begin().await?;
        recordings::note(&mut transaction.tx(), archive, self.cx.now()).await?;
        transaction.commit().await
    }

    async fn recording(&self, archive: &Archive) -> Result<Option<Recording>, DbError> {
        match archive.recording_id {
            Some(id) => recordings::get(self.db, id).await,
            None => Ok(None),
        }
    }

    /// Whether nothing is left to store: the object is where the catalogue says, or the recording was
    /// deleted since.
    async fn stands(&self, recording: &Recording) -> Result<bool, JobError> {
        let key = &recording.object_key;
        let size = match (recording.deleted_at, recording.catalogued_at) {
            (Some(_), _) => return Ok(true),
            (None, None) => return Ok(false),
            (None, Some(_)) => recording.size_bytes,
        };
        let store = self.settings.open_store(&self.config).await?;
        match store.head(key).await {
            Ok(object) if Some(object.size_bytes) == size => Ok(true),
            Ok(object) => Err(JobError::permanent(format!(
                "`{key}` has {} bytes in the store and {} in the catalogue; move the object away \
                 and retry the task, which stores it again",
                object.size_bytes,
                size.unwrap_or(0)
            ))),
            Err(ObjectError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The file is gone: fine if a task was through with it before, else somebody has to look.
    async fn without_file(&self, mut archive: Archive) -> Result<Outcome, JobError> {
        // An attempt ended between the last thing it did to the file and the record of it.
        if archive.reason.is_some() || archive.keep == Some(false) {
            let is_broken = archive.reason.is_some();
            archive.state =
                if is_broken { ArchiveState::Quarantined } else { ArchiveState::Dropped };
            return Ok(self.settled(archive));
        }
        match recordings::archived_before(self.db, &archive.source).await? {
            Some(state) => Ok(Outcome::completed(json!({ "skipped": format!("already_{state}") }))),
            None => Err(JobError::permanent(format!(
                "there is no such file or object, and it was never archived: {:?}",
                archive.source
            ))),
        }
    }

    /// Finds the stream and decides whether its recordings are kept, once per task.
    async fn decide(&self, archive: &mut Archive) -> Result<(Stream, Project), JobError> {
        self.cx.progress(0.0, "finding the stream");
        let stream = match archive.stream_id {
            Some(id) => streams::get(self.db, id).await?,
            None => self.find_stream().await?,
        };
        let stream = stream.ok_or_else(|| {
            JobError::permanent(format!(
                "no stream is known for {:?}; give its `streamName`",
                source::file_name(&self.payload)
            ))
        })?;
        let project = match stream.project_id {
            Some(id) => projects::get(self.db, id).await?,
            None => None,
        };
        let project = project.ok_or_else(|| {
            let name = &stream.name;
            JobError::permanent(format!("stream `{name}` was handed to no project yet"))
        })?;
        if archive.keep.is_none() {
            archive.stream_id = Some(stream.id);
            archive.keep = Some(stream.record);
            self.note(archive).await?;
        }
        Ok((stream, project))
    }

    async fn find_stream(&self) -> Result<Option<Stream>, DbError> {
        let names = match &self.payload.stream_name {
            Some(name) => vec![name.clone()],
            None => names::stream_names(source::file_name(&self.payload)),
        };
        let found = streams::find_by_names(self.db, &names).await?;
        let id = names.iter().find_map(|name| found.get(name)).map(|stream| stream.id);
        match id {
            Some(id) => streams::get(self.db, id).await,
            None => Ok(None),
        }
    }

    /// Looks into the file and makes an MP4 of it, unless earlier attempts did.
    async fn remux(&self, archive: &mut Archive, source: &Source) -> Result<Remuxed, Unusable> {
        let mp4 = source.place.scratch("mp4");
        if let Some(remuxed) = &archive.remuxed
            && fs::metadata(&mp4).await.is_ok_and(|made| made.len() == remuxed.size_bytes)
        {
            return Ok(remuxed.clone());
        }
        let max_bytes = self.settings.max_source_bytes;
        if source.size_bytes == 0 {
            return Err(Unusable::Broken("the file is empty".to_owned()));
        } else if source.size_bytes > max_bytes {
            return Err(Unusable::Failed(JobError::permanent(format!(
                "the file has more than {max_bytes} bytes; raise `max_source_bytes` if it should"
            ))));
        }
        self.cx.progress(0.0, "looking into the file");
        let held = media::probe(self.settings, source.path()).await?;
        if archive.duration_ms.is_none() {
            archive.duration_ms = Some(held.duration_ms);
            self.note(archive).await.map_err(JobError::from)?;
        }
        self.cx.progress(0.0, "making an MP4");
        if archive.remuxed.take().is_some() {
            // Its MP4 is gone.
            self.note(archive).await.map_err(JobError::from)?;
        }
        source.place.tidy().await?;
        let part = Part(source.place.scratch_of_attempt("mp4.part"));
        let file = (source.path(), source.size_bytes);
        let made =
            async { Ok::<_, Unusable>(media::remux(self.cx, self.settings, file, &part.0).await?) };
        let hashed =
            async { media::sha256(self.cx, source.path()).await.map_err(Unusable::Failed) };
        let ((), source_sha256) = tokio::try_join!(made, hashed)?;
        if !source.is_unchanged().await {
            archive.duration_ms = None;
            self.note(archive).await.map_err(JobError::from)?;
            return Err(Unusable::Failed(source::written_meanwhile()));
        }
        let made = made::verify(self.settings, file, &held, &part.0).await?;
        fs::rename(&part.0, &mp4).await.map_err(|error| source::broken(&mp4, error))?;
        let metadata = fs::metadata(&mp4).await.map_err(|error| source::broken(&mp4, error))?;
        // Exact, unlike what a recorder says; and nothing is wrong with the file any more.
        (archive.duration_ms, archive.reason) = (Some(made.duration_ms), None);
        Ok(Remuxed { size_bytes: metadata.len(), source_sha256 })
    }

    /// Gives the recording its row, before its object is stored.
    async fn reserve(
        &self,
        archive: &mut Archive,
        source: &Source,
        (stream, project): (Stream, Project),
        remuxed: &Remuxed,
    ) -> Result<Recording, JobError> {
        self.cx.progress(0.5, "reserving a name");
        let wanted = Wanted {
            id: RecordingId::new(self.cx.now(), tasks::random_bytes()),
            stream_id: stream.id,
            project_id: project.id,
            folder: format!("{FOLDER}/{}", project.public_key),
            stem: names::stem(&source.name),
            source_sha256: remuxed.source_sha256.clone(),
            duration_ms: archive.duration_ms,
            recorded_at: Some(source.written_at),
        };
        let mut transaction = self.db.begin().await?;
        let mut tx = transaction.tx();
        let recording = recordings::reserve(&mut tx, &wanted, self.cx.now()).await?;
        archive.recording_id = Some(recording.id);
        recordings::note(&mut tx, archive, self.cx.now()).await?;
        transaction.commit().await?;
        Ok(recording)
    }

    /// Removes the file once its recording is catalogued, and ends.
    async fn finish(
        &self,
        mut archive: Archive,
        recording: &Recording,
        source: Option<&Source>,
    ) -> Result<Outcome, JobError> {
        self.cx.progress(0.98, "cleaning up");
        if let Some(source) = source {
            // Before the file, which is what another attempt would find all this by.
            source::free(&source.place.scratch("mp4")).await?;
            source.place.tidy().await?;
            // The same path may hold the next recording by now, which has its own task.
            if recording.recorded_at == Some(source.written_at)
                || self.is_same_file(recording, source).await?
            {
                source.remove(self.settings, &self.config).await?;
            }
        }
        archive.state = ArchiveState::Archived;
        tracing::info!(
            recording_id = %recording.id,
            key = recording.object_key,
            "recording archived"
        );
        Ok(self.settled(archive))
    }

    /// Compares the file with the one that was archived, which had another time.
    async fn is_same_file(&self, recording: &Recording, source: &Source) -> Result<bool, JobError> {
        let Some(archived) = &recording.source_sha256 else { return Ok(false) };
        Ok(media::sha256(self.cx, source.path()).await? == *archived)
    }

    async fn put_aside(
        &self,
        mut archive: Archive,
        source: &Source,
        reason: String,
    ) -> Result<Outcome, JobError> {
        self.cx.progress(0.9, "putting the file aside");
        archive.reason = Some(reason.clone());
        self.note(&archive).await?;
        source.quarantine(self.cx, self.settings, &self.config, &reason).await?;
        tracing::warn!(file = ?source.name, reason, "file put into quarantine");
        archive.state = ArchiveState::Quarantined;
        Ok(self.settled(archive))
    }

    /// Ends the task with what its records say now.
    fn settled(&self, archive: Archive) -> Outcome {
        let now = self.cx.now();
        let outcome = ended(&archive);
        outcome.commit(move |tx| Box::pin(async move { recordings::note(tx, &archive, now).await }))
    }
}

/// A file that is removed unless it got another name, so that failures do not fill the disk.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Mostly renamed by now, or never made.
        std::fs::remove_file(&self.0).ok();
    }
}

/// Why no MP4 can be made of a file.
enum Unusable {
    /// The file is to be put aside.
    Broken(String),
    /// The attempt fails.
    Failed(JobError),
}

impl From<JobError> for Unusable {
    fn from(error: JobError) -> Self {
        Self::Failed(error)
    }
}

impl From<ChildError> for Unusable {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Refused { program: _, reason } => Self::Broken(reason),
            error => Self::Failed(error.into()),
        }
    }
}

/// Whether its object needs no upload: it is stored, or was deleted since.
fn is_through(recording: &Recording) -> bool {
    recording.catalogued_at.is_some() || recording.deleted_at.is_some()
}

/// What a task whose end is recorded returns, and what follows from it.
fn ended(archive: &Archive) -> Outcome {
    let result = json!({
        "state": archive.state,
        "recordingId": archive.recording_id,
        "reason": archive.reason,
    });
    let outcome = Outcome::completed(result);
    match (archive.state, archive.recording_id) {
        (ArchiveState::Archived, Some(recording_id)) => {
            outcome.follow_up(&AnnounceRecording { recording_id })
        }
        _ => outcome,
    }
}
