//! What a handler is written against.
//!
//! A [`Job`] takes a payload and its configuration and returns an [`Outcome`] or a [`JobError`].
//! It never holds a transaction open: what it wants written goes into the outcome, and settlement
//! writes it together with the outcome and the follow-up tasks. What it does to the outside world
//! goes through [`Effects`], which happen once however often the attempt is repeated.

mod context;
mod effects;
mod error;
mod outcome;
mod registry;
mod services;

use std::future::Future;

pub use context::{AlertSink, Context, ContextParts, ProgressSink};
pub use effects::{EFFECTS, EffectEnd, Effects, IdempotencyKey};
pub use error::JobError;
pub use outcome::{FollowUp, Outcome, OutcomeParts};
pub use registry::{ErasedJob, Registry, RegistryBuilder, RegistryProblems};
use serde::Deserialize;
use serde::de::DeserializeOwned;
pub use services::{Facts, Services};

/// The configuration of a job: what its payload type names.
pub type ConfigOf<J> = <<J as Job>::Payload as contract::Payload>::Config;

/// A named unit of work.
pub trait Job: Send + Sync + Sized + 'static {
    /// What `jobPayload` decodes into; carries the `jobName` and the configuration the job needs.
    type Payload: contract::Payload;
    /// What the row's `settings` decode into; [`NoSettings`] when it has none.
    type Settings: DeserializeOwned;

    /// Takes the few services this job needs. Called once, at start-up.
    fn new(services: &Services, settings: Self::Settings) -> Self;

    /// Runs one attempt. It may follow an interrupted one, so it is idempotent.
    fn run(
        &self,
        cx: &Context,
        payload: Self::Payload,
        config: ConfigOf<Self>,
    ) -> impl Future<Output = Result<Outcome, JobError>> + Send;
}

/// The settings of a job that has none.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}
