//! The work loop: leases tasks, runs attempts, settles them, and ends without losing any.

mod attempt;
mod bounces;
mod chores;
mod connections;
mod gateway_events;
mod handlers;
mod heartbeat;
mod http;
mod moments;
pub(crate) mod publish;
mod record_done;
mod scheduler;
mod shell;
mod stored;
mod token;

pub use attempt::{Ended, Prepared, Ran, prepare, prepare_follow_ups, run_attempt, run_handler};
pub use scheduler::Scheduler;
pub use shell::{WorkEnd, WorkOptions, work};
pub use stored::{Standing, admit_stored};
