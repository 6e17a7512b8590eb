//! What may be asked: one payload type per job, with its name and the configuration it needs.
//!
//! No handler lives here, so an API that enqueues work depends on this crate and links no job.
//! A new job starts with its payload type in the module of its domain and a line in [`contract`].

mod configuration;
mod descriptor;
pub mod logs;
pub mod monitoring;
mod section;
pub mod usage;

use std::sync::LazyLock;

pub use configuration::{Configuration, NoConfiguration, ObjectStorage, Origin, Section};
pub use descriptor::{Contract, Descriptor, PayloadProblem};
use schemars::JsonSchema;
pub use section::{SectionCheck, SectionProblem};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What `jobPayload` of one job decodes into.
///
/// Implementors are `camelCase` and `deny_unknown_fields`, so that a misspelt field is refused.
pub trait Payload: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The `jobName`.
    const JOB: &'static str;
    /// What the job does, in one line.
    const DESCRIPTION: &'static str;
    /// The configuration sections the job needs.
    type Config: Configuration;

    /// A payload that would be accepted, for `main-worker jobs show`.
    fn example() -> Self;

    /// The only host that may run the task, if the payload names something local to it.
    fn host(&self) -> Option<&str> {
        None
    }
}

/// Every job of this system, sorted by name.
pub fn contract() -> &'static Contract {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
        Contract::new(vec![
            Descriptor::of::<logs::DiscoverLogs>(),
            Descriptor::of::<logs::ProcessLog>(),
            Descriptor::of::<monitoring::PruneHistory>(),
            Descriptor::of::<monitoring::ReportEnvironment>(),
            Descriptor::of::<usage::RollUpUsage>(),
        ])
    });
    &CONTRACT
}
