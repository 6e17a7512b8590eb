//! The decisions of a worker, as step functions: what happened and when goes in, what to do comes
//! out.
//!
//! Nothing here waits, reads a clock or draws a random number, so a simulation can run several
//! workers under a seed. Durations are measured in [`Moment`]s of the process's monotonic clock;
//! only the nominal times of schedules are instants of the wall, by the store's clock.

mod core;
mod heartbeat;
mod moment;
mod rescue;
mod schedule;

pub use crate::core::{
    Command, Core, Event, GIVE_UP, GIVE_UP_AFTER_DRAIN, LEASE_WAIT, Lease, SHORT_WAIT, STORE_PAUSE,
    Settings, Stop, Taken,
};
pub use crate::heartbeat::{BEAT, BEAT_LIMIT, CUT_OFF, LOST_GRACE, Pulse};
pub use crate::moment::Moment;
pub use crate::rescue::{LOOK_EVERY, LOOK_LIMIT, SILENCE, UNSEEN, Watch};
pub use crate::schedule::{Ticked, due_ticks, next_tick};

use values::Span;

/// How long a call of the store may take before it counts as failed; a lease request may wait for
/// tasks on top of it.
pub const CALL_LIMIT: Span = Span::from_seconds(15);
