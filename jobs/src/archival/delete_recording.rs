//! `archival/delete_recording`: deletes a recording's object, then marks its row.
//!
//! The row stays: the months before keep their figures, and the name is never given again.

use contract::archival::{ArchivalConfiguration, DeleteRecording as Payload};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::recordings;
use serde_json::{Value, json};
use values::RecordingId;

use super::settings::Settings;

/// The key under which it is written down that a recording's deletion has begun.
pub(super) fn deletion_of(id: RecordingId) -> String {
    format!("archival/delete_recording/{id}")
}

/// Deletes one recording.
pub(crate) struct DeleteRecording {
    db: Db,
    settings: Settings,
}

impl Job for DeleteRecording {
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
        let id = payload.recording_id;
        let recording = super::named(&self.db, id).await?;
        if recording.deleted_at.is_some() {
            return Ok(Outcome::completed(json!({ "skipped": "already_deleted" })));
        }
        if recording.catalogued_at.is_none() {
            // Its upload may be under way: deleted now, the object would come back.
            return Err(JobError::retryable(format!("recording {id} is still being archived")));
        }
        let store = self.settings.open_store(&config).await?;
        // Written down before the object goes: until the row is marked, it is not missing.
        let begun = async |_| Ok::<_, JobError>(json!("begun"));
        let _: Value = cx.effects().once(&deletion_of(id), begun, async |_| Ok(None)).await?;
        for key in
            [Some(&recording.object_key), recording.poster_key.as_ref()].into_iter().flatten()
        {
            cx.progress(0.5, "deleting");
            cx.check_cancelled()?;
            store.delete(key).await?;
        }
        let now = cx.now();
        let result = json!({ "deleted": recording.object_key });
        Ok(Outcome::completed(result)
            .commit(move |tx| Box::pin(async move { recordings::delete(tx, id, now).await })))
    }
}
