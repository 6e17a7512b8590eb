//! Recordings of live streams become stored objects with a row in the catalogue.

mod announce_recording;
mod archive_recording;
mod delete_recording;
mod names;
mod reconcile_recordings;
mod settings;

use database::Db;
use job::JobError;
use models::recordings::{self, Recording};
use values::RecordingId;

pub(crate) use announce_recording::AnnounceRecording;
pub(crate) use archive_recording::ArchiveRecording;
pub use archive_recording::{ArchivalFinding, ArchivalNeeds};
pub(crate) use delete_recording::DeleteRecording;
pub(crate) use reconcile_recordings::ReconcileRecordings;

/// Reads the recording that a task names.
async fn named(db: &Db, id: RecordingId) -> Result<Recording, JobError> {
    let recording = recordings::get(db, id).await?;
    recording.ok_or_else(|| JobError::permanent(format!("there is no recording {id}")))
}
