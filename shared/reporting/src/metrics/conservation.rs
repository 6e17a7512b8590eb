//! Whether every task is accounted for: the last comparison of counts and rows.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use values::Timestamp;

use crate::metrics::UNKNOWN_NAME;
use crate::metrics::labels::JobLabels;
use crate::metrics::queue::gauges;

/// The last comparison, summed by job.
#[derive(Debug)]
pub(crate) struct Comparison {
    jobs: HashSet<Arc<str>>,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    at: Timestamp,
    differences: BTreeMap<Arc<str>, u64>,
}

impl Comparison {
    pub(crate) fn new(jobs: Vec<Arc<str>>) -> Self {
        Self { jobs: jobs.into_iter().collect(), last: Mutex::default() }
    }

    pub(crate) fn set<'r>(&self, at: Timestamp, rows: impl Iterator<Item = (&'r str, u64)>) {
        let unknown: Arc<str> = UNKNOWN_NAME.into();
        let mut differences = BTreeMap::new();
        for (job, tasks) in rows {
            let name = self.jobs.get(job).unwrap_or(&unknown);
            let sum: &mut u64 = differences.entry(Arc::clone(name)).or_default();
            *sum = sum.saturating_add(tasks);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Last { at, differences });
    }
}

impl Collector for Comparison {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Last { at, differences }) = &*last else { return Ok(()) };
        let series = differences
            .iter()
            .map(|(job, tasks)| (JobLabels { job_name: Arc::clone(job) }, ConstGauge::new(*tasks)));
        let help = "Tasks by which counts and rows differ; 0 is right";
        gauges(&mut encoder, "conservation_difference_tasks", help, series)?;
        let name = "conservation_success_timestamp_seconds";
        let help = "When counts and rows were last compared.";
        let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(at.as_micros() / 1_000_000).encode(family)
    }
}
