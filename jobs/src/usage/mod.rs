//! Usage of accounts.

mod roll_up_usage;

pub(crate) use roll_up_usage::RollUpUsage;
