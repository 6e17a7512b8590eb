//! Bytes of recordings that count for a month.

use values::{Month, Timestamp};

use crate::BillingError;

/// What is known of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRecording {
    /// Its size in bytes; an unknown one counts as zero.
    pub size_bytes: Option<u64>,
    /// When it was put into the catalogue.
    pub made_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// When its project was deleted, which deletes it then. A deleted stream keeps its recordings.
    pub project_deleted_at: Option<Timestamp>,
}

impl StoredRecording {
    /// When it stopped being stored, by its own deletion or its project's.
    pub fn gone_at(&self) -> Option<Timestamp> {
        match (self.deleted_at, self.project_deleted_at) {
            (Some(own), Some(project)) => Some(own.min(project)),
            (own, project) => own.or(project),
        }
    }

    /// Whether it counts for a month: made in it or before, and not deleted in it or before.
    ///
    /// It counts with its full size; what is deleted within a month is free in that month, and a
    /// deletion never changes a month that is over.
    pub fn counts_in(&self, month: Month) -> bool {
        self.made_at < month.end() && self.gone_at().is_none_or(|at| at >= month.end())
    }
}

/// The bytes an account is billed for in a month.
///
/// # Errors
/// [`BillingError::TooLarge`] beyond 64 bits.
pub fn stored_bytes(
    month: Month,
    recordings: impl IntoIterator<Item = StoredRecording>,
) -> Result<u64, BillingError> {
    sum(recordings.into_iter().filter(|recording| recording.counts_in(month)))
}

/// The bytes that are not deleted, whatever the month.
///
/// # Errors
/// [`BillingError::TooLarge`] beyond 64 bits.
pub fn bytes_stored_now(
    recordings: impl IntoIterator<Item = StoredRecording>,
) -> Result<u64, BillingError> {
    sum(recordings.into_iter().filter(|recording| recording.gone_at().is_none()))
}

fn sum(recordings: impl Iterator<Item = StoredRecording>) -> Result<u64, BillingError> {
    let mut sizes = recordings.map(|recording| recording.size_bytes.unwrap_or(0));
    let sum = sizes.try_fold(0_u64, u64::checked_add);
    sum.ok_or(BillingError::TooLarge { what: "the recordings' sizes" })
}
