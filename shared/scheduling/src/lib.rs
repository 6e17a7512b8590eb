//! The scheduling library: a typed payload in, a task id out.
//!
//! An API, a dashboard or the worker itself asks for work through a [`Producer`]. It adds only the
//! configuration the job declares, seals it to the worker, proves its source, lets admission
//! decide, and stores the task: alone, in bulk, or inside the caller's own transaction.
//!
//! **Invariant:** no handler is linked here; what a job does is none of a producer's business.

mod error;
mod options;
mod producer;

pub use error::EnqueueError;
pub use options::{Scope, TaskOptions, Unique};
pub use producer::{
    OnRejection, Producer, ProducerKeys, ProducerParts, RenewKeys, Stored, seen as rejection_seen,
};
