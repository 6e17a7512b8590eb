//! Recordings of live streams become stored objects with a row in the catalogue.

mod announce_recording;
mod archive_recording;
mod delete_recording;
mod names;
mod reconcile_recordings;
mod settings;

pub(crate) use announce_recording::AnnounceRecording;
pub(crate) use archive_recording::ArchiveRecording;
pub use archive_recording::{ArchivalFinding, ArchivalNeeds};
pub(crate) use delete_recording::DeleteRecording;
pub(crate) use reconcile_recordings::ReconcileRecordings;
