//! Every job of the worker, one file each: `jobs/src/DOMAIN/JOB.rs` handles `DOMAIN/JOB`.
//!
//! **Invariant:** modules stay private and job types `pub(crate)`, so that a job that is not
//! registered is dead code, which fails the build.

mod logs;
mod monitoring;
mod usage;

use job::RegistryBuilder;

/// Registers every job, in the order of their names.
pub fn register(jobs: &mut RegistryBuilder<'_>) {
    jobs.add::<logs::DiscoverLogs>();
    jobs.add::<logs::ProcessLog>();
    jobs.add::<monitoring::PruneHistory>();
    jobs.add::<monitoring::ReportEnvironment>();
    jobs.add::<usage::RollUpUsage>();
}
