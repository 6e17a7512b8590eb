//! When every schedule was last looked at with nothing left to enqueue.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use values::Timestamp;

/// Absent until the first time: a worker without schedules shows nothing.
#[derive(Debug, Default)]
pub(crate) struct LookedAt {
    seconds: OnceLock<AtomicI64>,
}

impl LookedAt {
    pub(crate) fn set(&self, at: Timestamp) {
        let seconds = at.as_micros() / 1_000_000;
        self.seconds.get_or_init(AtomicI64::default).store(seconds, Ordering::Relaxed);
    }
}

impl Collector for LookedAt {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(seconds) = self.seconds.get() else { return Ok(()) };
        let name = "schedules_success_timestamp_seconds";
        let help = "When every schedule was looked at with nothing left to enqueue.";
        let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(seconds.load(Ordering::Relaxed)).encode(family)
    }
}
