//! The work loop: leases tasks, runs attempts, settles them, and ends without losing any.

mod attempt;
mod chores;
pub mod core;
mod heartbeat;
mod http;
mod scheduler;
mod shell;
mod stored;

pub use attempt::{Ended, Prepared, Ran, prepare, prepare_follow_ups, run_attempt, run_handler};
pub use scheduler::{due_ticks, next_tick};
pub use shell::{WorkEnd, WorkOptions, work};
