//! Measures the promises on the machine it runs on, with jobs of its own in a temporary home, and
//! in a schema of its own where `DATABASE_URL` names a server.
//!
//! The jobs are never part of the company's registry: they belong to a program of their own, which
//! shares everything else.

mod faults;
mod jobs;
mod latency;
mod month_end;
mod process;
mod publish;
mod scratch;
mod throughput;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use contract::{Contract, Descriptor};
use database::{Db, Query};
use reporting::Scrubber;
use values::Clock;

pub use faults::{FaultOptions, FaultReport, audit, faults, mixed};
pub use jobs::{
    BENCH_TABLES, Compute, CountEffect, Fail, Fill, NoOp, NoteStart, OCCUPIED, Occupy, Panic,
    Sleep, WriteRow,
};
pub use latency::{LatencyReport, latency, latency_at, produce};
pub use month_end::{MonthEndReport, month_end};
pub use process::{IdleReport, StartReport, idle, start};
pub use publish::{PublishReport, publish_checks};
pub use scratch::Scratch;
pub use throughput::{ThroughputReport, throughput};
pub use usage::{RollUpReport, roll_up_after_a_file};

use crate::app::{App, Program};
use crate::clock::SystemClock;

/// Rules of the measuring program.
const MANIFEST: &str = include_str!("worker.toml");

/// The measuring program.
pub fn program() -> Program {
    let jobs = vec![
        Descriptor::of::<Compute>(),
        Descriptor::of::<CountEffect>(),
        Descriptor::of::<Fail>(),
        Descriptor::of::<Fill>(),
        Descriptor::of::<NoOp>(),
        Descriptor::of::<NoteStart>(),
        Descriptor::of::<Occupy>(),
        Descriptor::of::<Panic>(),
        Descriptor::of::<Sleep>(),
        Descriptor::of::<WriteRow>(),
    ];
    Program {
        contract: Arc::new(Contract::new(jobs)),
        register: jobs::register,
        manifest: Some(MANIFEST),
    }
}

/// Opens the measuring program in a scratch, with its tables.
pub async fn open(scratch: &Scratch) -> Result<App> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let app = App::open(scratch.settings(), &program(), clock, Scrubber::new()).await?;
    BENCH_TABLES.migrate(&app.db, SystemClock.now()).await?;
    Ok(app)
}

/// Things per second.
fn per_second(count: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000_000) / micros
}

/// The value below which `percent` of the sorted values lie, by nearest rank.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Runs a statement that takes as long as it takes: only a transaction sets no limit.
async fn write(db: &Db, query: Query) -> Result<()> {
    let mut work = db.begin().await?;
    work.tx().execute(query).await?;
    Ok(work.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_fits_the_jobs() {
        let program = program();
        let names = program.contract.names();
        manifest::Manifest::parse(MANIFEST, &names).unwrap();
        let ours = contract::contract();
        assert!(names.iter().all(|name| ours.get(name).is_none()));
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99)), (100, 198));
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (7, 0));
    }
}
