//! Customers' accounts.

mod lift_throttle;
mod sync_marketplace_details;

pub(crate) use lift_throttle::{LiftThrottle, lift};
pub(crate) use sync_marketplace_details::SyncMarketplaceDetails;
