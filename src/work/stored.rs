//! A task as it is stored, held against what its source proved.

use admission::{Code, Rejection, Voucher};
use envelope::{Door, Envelope, EnvelopeError, Proof, RawJson, Stamp};
use tasks::{LeasedTask, Priority, StoredTask};
use values::Timestamp;

use super::attempt::{Prepared, prepare};
use crate::app::App;

/// What the row of a task says beside the task, where anyone who may write the database can alter it.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Its priority.
    pub priority: Priority,
    /// The attempt that is about to begin.
    pub attempt: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
}

impl From<&LeasedTask> for Standing {
    fn from(leased: &LeasedTask) -> Self {
        let LeasedTask { priority, attempt, max_attempts, .. } = *leased;
        Self { priority, attempt, max_attempts }
    }
}

/// Admits a stored task as every dispatch does, and prepares it to run.
///
/// # Errors
/// Why this release would hold or reject it.
pub fn admit_stored(
    app: &App,
    task: &StoredTask,
    standing: Standing,
    now: Timestamp,
) -> Result<Prepared, Rejection> {
    let (envelope, stamp, proof) = read_stored(app, task, standing)?;
    let proof = proof.as_ref();
    let voucher = Voucher::Proof { door: Door::Dispatch, now, stamp: &stamp, proof };
    prepare(app, &envelope, &voucher)
}

/// Reads a stored task back into what was proven.
fn read_stored(
    app: &App,
    task: &StoredTask,
    standing: Standing,
) -> Result<(Envelope, Stamp, Option<Proof>), Rejection> {
    let limits = admission::limits(&app.manifest);
    let broken = |error: EnvelopeError| admission::malformed(&task.job, &task.source, &error);
    let read = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| EnvelopeError::NotUtf8 { offset: error.valid_up_to() })?;
        RawJson::parse(text, &limits)
    };
    let bad_proof = |message: &str| {
        Rejection::new(Code::BadProof, &task.job, &task.source, "proof", message.to_owned())
    };
    let envelope = Envelope {
        configuration: read(&task.configuration).map_err(broken)?,
        job_name: task.job.clone(),
        source: task.source.clone(),
        job_payload: read(&task.payload).map_err(broken)?,
    };
    let stamp: Stamp = serde_json::from_str(&task.stamp)
        .map_err(|_| bad_proof("the stored stamp cannot be read; enqueue the task again"))?;
    if stamp.task_id != task.task_id {
        return Err(bad_proof("the stamp belongs to another task"));
    }
    check_row(standing, &stamp).map_err(bad_proof)?;
    let proof = task.proof.as_deref().map(str::parse).transpose();
    let proof = proof.map_err(|_| bad_proof("the stored proof cannot be read"))?;
    Ok((envelope, stamp, proof))
}

/// Holds the row that the task was leased by against what its source proved.
///
/// `tasks retry` grants one attempt more than were made, and starts a task before its time: so the
/// attempts may be raised to this one, and the earliest start is not compared.
fn check_row(row: Standing, stamp: &Stamp) -> Result<(), &'static str> {
    if row.priority != stamp.priority {
        return Err("the stored priority is not the one that was proven; enqueue the task again");
    }
    if row.max_attempts > stamp.max_attempts.max(row.attempt) {
        return Err("the stored row allows more attempts than were proven; enqueue the task again");
    }
    Ok(())
}
