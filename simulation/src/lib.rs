//! The simulation: several workers, their store and everything that can go wrong, on simulated
//! time and from one seed.
//!
//! The decisions are the real ones, of the crates `work_loop`, `admission` and `manifest`; the
//! store is a model of what every engine promises. docs/simulation.md says how to read a failure.

mod check;
mod chores;
mod end;
mod execute;
mod faults;
mod handler;
mod history;
mod network;
mod people;
mod plan;
mod process;
mod random;
mod releases;
mod script;
mod shell;
mod store;
mod world;

pub use history::{History, Mark};
pub use plan::{Plan, Plant};

use world::World;

/// How a seed ended.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The steps that were taken, those of the quiet end included.
    pub steps: u64,
    /// What was violated first, if anything was.
    pub violation: Option<String>,
    /// What happened.
    pub history: History,
}

/// Runs a seed; one that fails is run again with the latest lines of its history written down.
pub fn run(seed: u64, plan: Plan) -> Report {
    let report = run_once(seed, plan, 0);
    if report.violation.is_some() { run_once(seed, plan, plan.lines) } else { report }
}

fn run_once(seed: u64, plan: Plan, kept: usize) -> Report {
    let mut world = World::new(seed, plan, kept);
    world.live();
    Report { seed, steps: world.steps, violation: world.checks.violation, history: world.history }
}

#[cfg(test)]
mod tests;
