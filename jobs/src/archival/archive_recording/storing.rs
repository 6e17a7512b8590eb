//! The upload of what was made, and its row in the catalogue.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use job::JobError;
use models::recordings::{self, Archive, Recording, Remuxed, StoredObject};
use objects::{ObjectStore, Stored};
use tokio::fs;

use super::source::{self, Source};
use super::{Attempt, Part, made, media};

/// While an upload takes longer, its MP4 is made durable and recorded, so that nobody has to make it
/// again; to force each one to the disk would take longer than to make one again.
const KEPT_AFTER: Duration = Duration::from_secs(10);

impl Attempt<'_> {
    /// Stores MP4 and picture, then takes the recording into the catalogue; if any of it fails, the
    /// MP4 is kept for the next attempt.
    pub(super) async fn store(
        &self,
        archive: &mut Archive,
        source: &Source,
        recording: &Recording,
        remuxed: &Remuxed,
    ) -> Result<(), JobError> {
        let mp4 = source.place.scratch("mp4");
        let stored = self.store_made(archive, source, recording, (&mp4, remuxed)).await;
        if stored.is_err() {
            self.keep(archive, &mp4, remuxed).await;
        }
        stored
    }

    async fn store_made(
        &self,
        archive: &mut Archive,
        source: &Source,
        recording: &Recording,
        (mp4, remuxed): (&Path, &Remuxed),
    ) -> Result<(), JobError> {
        let store = self.settings.open_store(&self.config).await?;
        self.cx.progress(0.5, "storing");
        let (key, size_bytes) = (&recording.object_key, remuxed.size_bytes);
        let stored = self.upload(archive, &store, (key, mp4), remuxed).await?;
        // What is there already may come from an attempt that ended right behind its upload.
        if stored == Stored::Exists && !store.is_same_as_file(key, mp4).await? {
            return Err(JobError::permanent(format!(
                "another object is stored as `{key}` without a row in the catalogue; run \
                 archival/reconcile_recordings or move it away"
            )));
        }
        self.cx.progress(0.9, "taking a picture");
        let duration_ms = archive.duration_ms.unwrap_or(0);
        let poster_key = match self.picture(source, (key, mp4), duration_ms).await? {
            Some(picture) => {
                let poster_key = format!("{}.jpg", key.strip_suffix(".mp4").unwrap_or(key));
                store.put(&poster_key, picture).await?;
                Some(poster_key)
            }
            None => None,
        };
        self.cx.progress(0.95, "cataloguing");
        self.catalogue(&store, recording, StoredObject { size_bytes, poster_key }).await
    }

    /// Stores the MP4, and keeps it meanwhile if that takes long.
    async fn upload(
        &self,
        archive: &mut Archive,
        store: &ObjectStore,
        (key, mp4): (&str, &Path),
        remuxed: &Remuxed,
    ) -> Result<Stored, JobError> {
        let (sink, size) = (self.cx.clone(), remuxed.size_bytes);
        let mut put = pin!(store.put_file(key, mp4, move |sent| {
            let part = media::fraction(sent, size).mul_add(0.4, 0.5);
            sink.progress(part, format!("stored {sent} of {size} bytes"));
        }));
        if let Ok(stored) = tokio::time::timeout(KEPT_AFTER, &mut put).await {
            return Ok(stored?);
        }
        let (stored, ()) = tokio::join!(put, self.keep(archive, mp4, remuxed));
        Ok(stored?)
    }

    /// Records that the MP4 is made, once it is on disk; without that it is made again.
    async fn keep(&self, archive: &mut Archive, mp4: &Path, remuxed: &Remuxed) {
        if archive.remuxed.is_some() {
            return;
        }
        let kept = Archive { remuxed: Some(remuxed.clone()), ..archive.clone() };
        let noted = async {
            made::settle(mp4).await?;
            Ok::<_, JobError>(self.note(&kept).await?)
        };
        match noted.await {
            Ok(()) => *archive = kept,
            Err(error) => tracing::warn!(error = error.chain(), "an MP4 may be made again"),
        }
    }

    /// Takes a picture; a recording without one is still a recording.
    async fn picture(
        &self,
        source: &Source,
        (key, mp4): (&str, &Path),
        duration_ms: u64,
    ) -> Result<Option<Bytes>, JobError> {
        let jpg = Part(source.place.scratch_of_attempt("jpg"));
        if let Err(error) = media::poster(self.settings, mp4, duration_ms, &jpg.0).await {
            if error.is_of_machine() && self.cx.attempt() < self.cx.max_attempts() {
                return Err(error.into());
            }
            let error: &dyn std::error::Error = &error;
            tracing::warn!(key, error, "no picture could be taken");
            return Ok(None);
        }
        let body = fs::read(&jpg.0).await.map_err(|error| source::broken(&jpg.0, error))?;
        Ok(Some(Bytes::from(body)).filter(|body| !body.is_empty()))
    }

    /// Takes what is stored into the catalogue, or removes it if the recording was deleted meanwhile.
    async fn catalogue(
        &self,
        store: &ObjectStore,
        recording: &Recording,
        object: StoredObject,
    ) -> Result<(), JobError> {
        let (id, key, now) = (recording.id, &recording.object_key, self.cx.now());
        let mut transaction = self.db.begin().await?;
        let mut tx = transaction.tx();
        let is_kept = if recording.catalogued_at.is_none() {
            recordings::catalogue(&mut tx, id, &object, now).await?;
            true
        } else {
            tracing::warn!(recording_id = %id, key, "a missing object was stored again");
            recordings::restore(&mut tx, id, &object, now).await?
        };
        transaction.commit().await?;
        if !is_kept {
            for key in [Some(key), object.poster_key.as_ref()].into_iter().flatten() {
                store.delete(key).await?;
            }
        }
        Ok(())
    }
}
