//! Depth and age of the queue and of the outbox: set from outside as a whole, so that what has gone is gone.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use values::{JobName, Span};

use crate::metrics::UNKNOWN_NAME;
use crate::metrics::labels::{JobLabels, StateLabels};

/// How many tasks of a job are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// The job.
    pub job_name: JobName,
    /// The state, such as `available`.
    pub state: &'static str,
    /// How many tasks.
    pub tasks: u64,
    /// For how long the oldest of them has been due, in states in which tasks wait.
    pub oldest: Option<Span>,
}

/// The last snapshot, summed by label.
#[derive(Debug)]
pub(crate) struct Snapshot {
    jobs: HashSet<Arc<str>>,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    depth: BTreeMap<(Arc<str>, &'static str), u64>,
    oldest: BTreeMap<Arc<str>, Span>,
}

impl Snapshot {
    pub(crate) fn new(jobs: Vec<Arc<str>>) -> Self {
        Self { jobs: jobs.into_iter().collect(), sums: Mutex::default() }
    }

    pub(crate) fn set(&self, rows: Vec<QueueDepth>) {
        let mut sums = Sums::default();
        let unknown: Arc<str> = UNKNOWN_NAME.into();
        for QueueDepth { job_name, state, tasks, oldest } in rows {
            let name = self.jobs.get(job_name.as_str()).unwrap_or(&unknown);
            let depth = sums.depth.entry((Arc::clone(name), state)).or_default();
            *depth = depth.saturating_add(tasks);
            if let Some(age) = oldest {
                let oldest = sums.oldest.entry(Arc::clone(name)).or_default();
                *oldest = age.max(*oldest);
            }
        }
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner) = sums;
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let depth = sums.depth.iter().map(|((job, state), tasks)| {
            (StateLabels { job_name: Arc::clone(job), state }, ConstGauge::new(*tasks))
        });
        gauges(&mut encoder, "queue_depth", "Tasks in the queue", depth)?;
        let oldest = sums.oldest.iter().map(|(job, age)| {
            (JobLabels { job_name: Arc::clone(job) }, ConstGauge::new(age.as_seconds_f64()))
        });
        gauges(&mut encoder, "queue_oldest_seconds", "How long the oldest due task waits", oldest)
    }
}

/// How many mails are not sent yet, and how old the oldest is; absent until it was measured.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    last: Mutex<Option<(u64, Span)>>,
}

impl Outbox {
    pub(crate) fn set(&self, mails: u64, oldest: Span) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((mails, oldest));
    }
}

impl Collector for Outbox {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((mails, oldest)) = *last else { return Ok(()) };
        let help = "Mails that are not sent yet.";
        let family = encoder.encode_descriptor("outbox_depth", help, None, MetricType::Gauge)?;
        ConstGauge::new(mails).encode(family)?;
        let (name, help) = ("outbox_oldest_seconds", "How long the oldest unsent mail waits.");
        let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(oldest.as_seconds_f64()).encode(family)
    }
}

/// Writes one family of gauges, or nothing if it has no series.
pub(crate) fn gauges<L: EncodeLabelSet, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (L, M)>,
) -> fmt::Result {
    let mut series = series.peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let help = format!("{help}.");
    let mut family = encoder.encode_descriptor(name, &help, None, MetricType::Gauge)?;
    for (labels, gauge) in series {
        gauge.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
