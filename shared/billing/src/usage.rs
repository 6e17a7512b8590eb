//! What is metered, per account and month, and what a plan allows of it.

use serde::{Deserialize, Serialize};

use crate::BillingError;
use values::words;

words! {
    /// What is sold; an account holds any number of plans of each.
    Product, "a product":
    /// Live streams and recordings, metered in bytes.
    Broadcast = "broadcast",
    /// Rooms of several people, metered in their time.
    Peer = "peer",
}

words! {
    /// What is metered.
    Metric, "a metric":
    /// Bytes that viewers were sent.
    Bandwidth = "bandwidth",
    /// Bytes of recordings that are kept.
    Storage = "storage",
    /// Time that people spent in rooms.
    PeerTime = "peerMilliseconds",
}

impl Metric {
    /// The product whose plans limit it.
    pub const fn product(self) -> Product {
        match self {
            Self::Bandwidth | Self::Storage => Product::Broadcast,
            Self::PeerTime => Product::Peer,
        }
    }
}

/// A figure of each metric: what a month used, or what plans allow in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metered {
    /// Bytes sent to viewers.
    pub bandwidth_bytes: u64,
    /// Bytes of recordings kept.
    pub storage_bytes: u64,
    /// Milliseconds that people spent in rooms, summed over them.
    pub peer_milliseconds: u64,
}

/// What an account used in a month.
pub type Usage = Metered;
/// What an account may use in a month.
pub type Limits = Metered;

impl Metered {
    /// The largest figure that is believed: 2^60, about a quintillion bytes or 36 million years.
    pub const MAX: u64 = 1 << 60;

    /// Takes figures as a table gives them; a missing one is zero.
    ///
    /// # Errors
    /// [`BillingError::AbsurdUsage`] for a negative figure and for one above [`Metered::MAX`].
    pub fn from_figures(
        bandwidth_bytes: Option<i64>,
        storage_bytes: Option<i64>,
        peer_milliseconds: Option<i64>,
    ) -> Result<Self, BillingError> {
        let figure = |metric, found: Option<i64>| {
            let found = found.unwrap_or(0);
            match u64::try_from(found) {
                Ok(figure) if figure <= Self::MAX => Ok(figure),
                _ => Err(BillingError::AbsurdUsage { metric, found }),
            }
        };
        Ok(Self {
            bandwidth_bytes: figure(Metric::Bandwidth, bandwidth_bytes)?,
            storage_bytes: figure(Metric::Storage, storage_bytes)?,
            peer_milliseconds: figure(Metric::PeerTime, peer_milliseconds)?,
        })
    }

    /// The figure of one metric, in its own unit.
    pub const fn of(&self, metric: Metric) -> u64 {
        match metric {
            Metric::Bandwidth => self.bandwidth_bytes,
            Metric::Storage => self.storage_bytes,
            Metric::PeerTime => self.peer_milliseconds,
        }
    }

    /// Whether every figure is at most that of `limits`.
    pub fn within(&self, limits: &Self) -> bool {
        Metric::ALL.iter().all(|&metric| self.of(metric) <= limits.of(metric))
    }

    /// Whether every figure is strictly below that of `limits`.
    pub fn below(&self, limits: &Self) -> bool {
        Metric::ALL.iter().all(|&metric| self.of(metric) < limits.of(metric))
    }

    /// Whether the figures of one product are at most those of `limits`.
    pub(crate) fn product_within(&self, limits: &Self, product: Product) -> bool {
        let mut metrics = Metric::ALL.iter().filter(|metric| metric.product() == product);
        metrics.all(|&metric| self.of(metric) <= limits.of(metric))
    }

    /// Adds figure by figure; `None` if one does not fit.
    pub(crate) fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            bandwidth_bytes: self.bandwidth_bytes.checked_add(other.bandwidth_bytes)?,
            storage_bytes: self.storage_bytes.checked_add(other.storage_bytes)?,
            peer_milliseconds: self.peer_milliseconds.checked_add(other.peer_milliseconds)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_figures_nobody_can_have_used() {
        assert_eq!(Usage::from_figures(None, None, None), Ok(Usage::default()));
        let check = |found, metric, result: Result<Usage, BillingError>| {
            assert_eq!(result, Err(BillingError::AbsurdUsage { metric, found }));
        };
        check(-1, Metric::Bandwidth, Usage::from_figures(Some(-1), None, None));
        check(i64::MAX, Metric::Storage, Usage::from_figures(None, Some(i64::MAX), None));
        check(i64::MIN, Metric::PeerTime, Usage::from_figures(None, None, Some(i64::MIN)));
    }
}
