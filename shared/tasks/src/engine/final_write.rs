//! Final write steps: code of a job inside the transaction that settles its task.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use database::{DbError, Tx};
use futures_util::FutureExt as _;

use crate::FinalWrite;

/// How long a final write step may take.
const FINAL_WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Whether nothing else of the transaction can be stored either.
pub(crate) fn concerns_everyone(error: &DbError) -> bool {
    matches!(
        error,
        DbError::Full
            | DbError::Unreachable(_)
            | DbError::Closed
            | DbError::Standby
            | DbError::ReadOnly
            | DbError::NotADatabase
    )
}

/// Runs code of a job inside the writer: neither a panic nor a wait without end may stop it.
pub(crate) async fn run_write(tx: &mut Tx<'_>, write: FinalWrite) -> Result<(), DbError> {
    let step = async {
        write(tx).await?;
        // What it deferred fails with it, not with whoever comes next.
        if tx.is_aborted() { Ok(()) } else { tx.flush().await }
    };
    let step = AssertUnwindSafe(step).catch_unwind();
    match tokio::time::timeout(FINAL_WRITE_LIMIT, step).await {
        Ok(Ok(Ok(()))) if tx.is_aborted() => Err(DbError::Refused(
            "a statement of the final write step failed and the step went on; what may fail belongs \
             into a savepoint"
                .to_owned(),
        )),
        Ok(Ok(written)) => written,
        Ok(Err(panic)) => {
            let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
            let message = message.unwrap_or_else(|| "no message".to_owned());
            Err(DbError::Refused(format!("the final write step panicked: {message}")))
        }
        Err(_) => Err(DbError::Refused(format!(
            "the final write step took longer than {} s; it may only write to the database",
            FINAL_WRITE_LIMIT.as_secs()
        ))),
    }
}
