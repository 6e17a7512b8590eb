//! What may be asked: one payload type per job, with its name and the configuration it needs.
//!
//! No handler lives here, so an API that enqueues work depends on this crate and links no job.
//! A new job starts with its payload type in the module of its domain and a line in [`contract`].

pub mod accounts;
pub mod archival;
pub mod billing;
mod configuration;
mod descriptor;
pub mod emails;
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
            Descriptor::of::<accounts::LiftThrottle>(),
            Descriptor::of::<accounts::SyncMarketplaceDetails>(),
            Descriptor::of::<billing::ApplyGatewayEvent>(),
            Descriptor::of::<billing::CloseMonth>(),
            Descriptor::of::<billing::CollectOpenMonths>(),
            Descriptor::of::<billing::InvoiceAccount>(),
            Descriptor::of::<billing::IssueCreditNote>(),
            Descriptor::of::<billing::RecordFee>(),
            Descriptor::of::<billing::RecordPayment>(),
            Descriptor::of::<billing::RefundPayment>(),
            Descriptor::of::<billing::SendInvoice>(),
            Descriptor::of::<billing::WaiveMonth>(),
            Descriptor::of::<billing::WriteOffInvoice>(),
            Descriptor::of::<archival::AnnounceRecording>(),
            Descriptor::of::<archival::ArchiveRecording>(),
            Descriptor::of::<archival::DeleteRecording>(),
            Descriptor::of::<archival::ReconcileRecordings>(),
            Descriptor::of::<emails::ApplyBounce>(),
            Descriptor::of::<emails::CheckInNewAccounts>(),
            Descriptor::of::<emails::CollectWaiting>(),
            Descriptor::of::<emails::DeliverEmail>(),
            Descriptor::of::<emails::PasswordReset>(),
            Descriptor::of::<emails::RemindExpiringCards>(),
            Descriptor::of::<emails::ReportEvents>(),
            Descriptor::of::<emails::WelcomeAccount>(),
            Descriptor::of::<logs::DiscoverLogs>(),
            Descriptor::of::<logs::ProcessLog>(),
            Descriptor::of::<monitoring::CheckQueues>(),
            Descriptor::of::<monitoring::PruneHistory>(),
            Descriptor::of::<monitoring::ReportEnvironment>(),
            Descriptor::of::<usage::EnforceLimits>(),
            Descriptor::of::<usage::RecordPeerEvents>(),
            Descriptor::of::<usage::RollUpUsage>(),
        ])
    });
    &CONTRACT
}
