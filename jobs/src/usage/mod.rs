//! Usage of accounts.

mod enforce_limits;
mod record_peer_events;
mod roll_up_usage;

pub(crate) use enforce_limits::EnforceLimits;
pub(crate) use record_peer_events::RecordPeerEvents;
pub(crate) use roll_up_usage::RollUpUsage;
