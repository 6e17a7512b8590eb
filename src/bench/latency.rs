//! From the acknowledged request to the start of its handler, one task at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use scheduling::TaskOptions;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::jobs::take_start;
use super::{NoteStart, Scratch, micros, open, percentile};
use crate::work::{WorkOptions, work};

/// Requests before the measured ones.
const WARM_UP: u64 = 50;
/// How long a handler may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks at whether it has started.
const LOOK: Duration = Duration::from_micros(200);
/// Pause before the next request, so that the worker waits as an idle one does.
const PAUSE: Duration = Duration::from_millis(2);

/// What was measured, microseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyReport {
    /// Requests.
    pub tasks: u64,
    /// Half of the handlers started so soon after the acknowledgement.
    pub start_p50_us: u64,
    /// 99 of 100 did.
    pub start_p99_us: u64,
    /// The slowest.
    pub start_max_us: u64,
    /// Half of the requests were durable and acknowledged after so long.
    pub enqueue_p50_us: u64,
    /// 99 of 100 were.
    pub enqueue_p99_us: u64,
}

/// Measures `tasks` single requests to a worker in the same process.
pub async fn latency(scratch: &Scratch, tasks: u64) -> Result<LatencyReport> {
    let app = open(scratch).await?;
    let producer = app.producer("operator")?;
    let stop = CancellationToken::new();
    let options = WorkOptions { stop: stop.clone(), ..WorkOptions::default() };
    let worker = tokio::spawn(work(app, options));
    let (mut starts, mut enqueues) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + tasks {
        let asked = Instant::now();
        producer.enqueue(&NoteStart { number }, TaskOptions::default()).await?;
        let acknowledged = Instant::now();
        let started = tokio::time::timeout(PATIENCE, started(number))
            .await
            .with_context(|| format!("task {number} did not start within {PATIENCE:?}"))?;
        if number >= WARM_UP {
            // A handler may start before the acknowledgement has come back.
            starts.push(micros(started.saturating_duration_since(acknowledged)));
            enqueues.push(micros(acknowledged - asked));
        }
        tokio::time::sleep(PAUSE).await;
    }
    stop.cancel();
    worker.await??;
    starts.sort_unstable();
    enqueues.sort_unstable();
    Ok(LatencyReport {
        tasks,
        start_p50_us: percentile(&starts, 50),
        start_p99_us: percentile(&starts, 99),
        start_max_us: percentile(&starts, 100),
        enqueue_p50_us: percentile(&enqueues, 50),
        enqueue_p99_us: percentile(&enqueues, 99),
    })
}

async fn started(number: u64) -> Instant {
    loop {
        if let Some(at) = take_start(number) {
            return at;
        }
        tokio::time::sleep(LOOK).await;
    }
}
