//! Every job of the worker, one file each: `jobs/src/DOMAIN/JOB.rs` handles `DOMAIN/JOB`.
//!
//! **Invariant:** modules stay private and job types `pub(crate)`, so that a job that is not
//! registered is dead code, which fails the build.

mod accounts;
mod archival;
mod billing;
mod catalogue;
mod emails;
mod logs;
mod monitoring;
mod usage;

pub use archival::{ArchivalFinding, ArchivalNeeds};
pub use emails::{MailPreview, MailTemplates, preview_mails};
use job::RegistryBuilder;

pub use billing::{
    Preview, PreviewRow, billing_needs, catalogue, no_run, open_gateway, preview_month,
};

/// Registers every job, in the order of their names.
pub fn register(jobs: &mut RegistryBuilder<'_>) {
    jobs.add::<accounts::LiftThrottle>();
    jobs.add::<accounts::SyncMarketplaceDetails>();
    jobs.add::<archival::AnnounceRecording>();
    jobs.add::<archival::ArchiveRecording>();
    jobs.add::<archival::DeleteRecording>();
    jobs.add::<archival::ReconcileRecordings>();
    jobs.add::<billing::ApplyGatewayEvent>();
    jobs.add::<billing::CloseMonth>();
    jobs.add::<billing::CollectOpenMonths>();
    jobs.add::<billing::InvoiceAccount>();
    jobs.add::<billing::IssueCreditNote>();
    jobs.add::<billing::RecordFee>();
    jobs.add::<billing::RecordPayment>();
    jobs.add::<billing::RefundPayment>();
    jobs.add::<billing::SendInvoice>();
    jobs.add::<billing::WaiveMonth>();
    jobs.add::<billing::WriteOffInvoice>();
    jobs.add::<emails::ApplyBounce>();
    jobs.add::<emails::CheckInNewAccounts>();
    jobs.add::<emails::CollectWaiting>();
    jobs.add::<emails::DeliverEmail>();
    jobs.add::<emails::PasswordReset>();
    jobs.add::<emails::RemindExpiringCards>();
    jobs.add::<emails::ReportEvents>();
    jobs.add::<emails::WelcomeAccount>();
    jobs.add::<logs::DiscoverLogs>();
    jobs.add::<logs::ProcessLog>();
    jobs.add::<monitoring::CheckQueues>();
    jobs.add::<monitoring::PruneHistory>();
    jobs.add::<monitoring::ReportEnvironment>();
    jobs.add::<usage::EnforceLimits>();
    jobs.add::<usage::RecordPeerEvents>();
    jobs.add::<usage::RollUpUsage>();
}
