//! From the request to the start of its handler.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use scheduling::TaskOptions;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use values::{Clock, Timestamp};

use super::jobs::{Started, take_start};
use super::process::program;
use super::{NoteStart, Scratch, micros, open, percentile};
use crate::app::App;
use crate::clock::SystemClock;
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
    /// Half of the handlers started so soon after the request was made.
    pub whole_p50_us: u64,
    /// 99 of 100 did.
    pub whole_p99_us: u64,
    /// The slowest.
    pub whole_max_us: u64,
}

/// Times of the measured requests, microseconds.
#[derive(Debug, Default)]
struct Times {
    starts: Vec<u64>,
    enqueues: Vec<u64>,
    wholes: Vec<u64>,
}

impl Times {
    fn report(mut self) -> LatencyReport {
        let Self { starts, enqueues, wholes } = &mut self;
        for times in [&mut *starts, &mut *enqueues, &mut *wholes] {
            times.sort_unstable();
        }
        LatencyReport {
            tasks: starts.len() as u64,
            start_p50_us: percentile(starts, 50),
            start_p99_us: percentile(starts, 99),
            start_max_us: percentile(starts, 100),
            enqueue_p50_us: percentile(enqueues, 50),
            enqueue_p99_us: percentile(enqueues, 99),
            whole_p50_us: percentile(wholes, 50),
            whole_p99_us: percentile(wholes, 99),
            whole_max_us: percentile(wholes, 100),
        }
    }
}

/// Measures `tasks` single requests to a worker in the same process, one after the other.
pub async fn latency(scratch: &Scratch, tasks: u64) -> Result<LatencyReport> {
    let app = open(scratch).await?;
    let producer = app.producer("operator")?;
    let worker = Worker::start(app);
    let mut times = Times::default();
    for number in 0..WARM_UP + tasks {
        let asked = Instant::now();
        producer.enqueue(&NoteStart { number }, TaskOptions::default()).await?;
        let acknowledged = Instant::now();
        let started = started(number).await?.here;
        if number >= WARM_UP {
            // A handler may start before the acknowledgement has come back.
            times.starts.push(micros(started.saturating_duration_since(acknowledged)));
            times.enqueues.push(micros(acknowledged - asked));
            times.wholes.push(micros(started.saturating_duration_since(asked)));
        }
        tokio::time::sleep(PAUSE).await;
    }
    worker.end().await?;
    Ok(times.report())
}

/// Measures `tasks` single requests of another process, `rate` of them per second whatever becomes
/// of the ones before.
pub async fn latency_at(scratch: &Scratch, tasks: u64, rate: u32) -> Result<LatencyReport> {
    let worker = Worker::start(open(scratch).await?);
    let (tasks, rate) = ((WARM_UP + tasks).to_string(), rate.to_string());
    let mut command = program(scratch, &["bench", "producer", "--tasks", &tasks, "--rate", &rate]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let producer = command.spawn()?;
    let output = tokio::task::spawn_blocking(|| producer.wait_with_output()).await??;
    ensure!(output.status.success(), "the producer ended with {}", output.status);
    let asked: Vec<Asked> = serde_json::from_slice(&output.stdout)?;
    let mut times = Times::default();
    let micros = |from: Timestamp, to: Timestamp| u64::try_from(to.since(from).as_micros());
    for Asked { number, at, acknowledged } in asked {
        let started = started(number).await?.clock;
        if number >= WARM_UP {
            times.starts.push(micros(acknowledged, started).unwrap_or(0));
            times.enqueues.push(micros(at, acknowledged).unwrap_or(0));
            times.wholes.push(micros(at, started).unwrap_or(0));
        }
    }
    worker.end().await?;
    Ok(times.report())
}

/// A request of a producer in a process of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    number: u64,
    at: Timestamp,
    acknowledged: Timestamp,
}

/// Makes requests at a rate, and prints when; [`latency_at`] starts it.
pub async fn produce(app: App, tasks: u64, rate: u32, mut out: impl Write) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let producer = app.producer("operator")?;
    let mut asking = JoinSet::new();
    for number in 0..tasks {
        ticks.tick().await;
        let producer = producer.clone();
        asking.spawn(async move {
            let at = SystemClock.now();
            producer.enqueue(&NoteStart { number }, TaskOptions::default()).await?;
            anyhow::Ok(Asked { number, at, acknowledged: SystemClock.now() })
        });
    }
    let asked: Vec<Asked> = asking.join_all().await.into_iter().collect::<Result<_>>()?;
    out.write_all(&serde_json::to_vec(&asked)?)?;
    Ok(())
}

/// A worker in this process.
struct Worker {
    stop: CancellationToken,
    working: tokio::task::JoinHandle<Result<crate::work::WorkEnd>>,
}

impl Worker {
    fn start(app: App) -> Self {
        let stop = CancellationToken::new();
        let options = WorkOptions { stop: stop.clone(), ..WorkOptions::default() };
        Self { stop, working: tokio::spawn(work(app, options)) }
    }

    async fn end(self) -> Result<()> {
        self.stop.cancel();
        self.working.await??;
        Ok(())
    }
}

async fn started(number: u64) -> Result<Started> {
    let noted = async {
        loop {
            if let Some(started) = take_start(number) {
                return started;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, noted)
        .await
        .with_context(|| format!("task {number} did not start within {PATIENCE:?}"))
}
