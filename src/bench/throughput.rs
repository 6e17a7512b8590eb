//! Tasks per second over the whole path: proof, admission, store, lease, admission again, handler,
//! durable settlement.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use scheduling::{Producer, TaskOptions};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{NoOp, Scratch, open, per_second};
use crate::app::App;
use crate::work::{WorkOptions, work};

/// Tasks that are enqueued in one transaction.
const BATCH: u64 = 1_000;
/// How often is looked whether all is done.
const LOOK: Duration = Duration::from_millis(10);
/// The longest time a measurement may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// What was measured; tasks per second.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThroughputReport {
    /// Tasks of each measurement.
    pub tasks: u64,
    /// Attempts at once.
    pub concurrency: u32,
    /// Enqueueing in batches, nothing else going on.
    pub enqueue_per_second: u64,
    /// Working a full queue until it is empty.
    pub drain_per_second: u64,
    /// Enqueueing and working at the same time, from the first request to the last settlement.
    pub full_cycle_per_second: u64,
}

/// Measures with `tasks` tasks that do nothing.
pub async fn throughput(
    scratch: &Scratch,
    tasks: u64,
    concurrency: u32,
) -> Result<ThroughputReport> {
    let app = open(scratch).await?;
    let producer = app.producer("operator")?;
    let began = Instant::now();
    enqueue(&producer, tasks).await?;
    let enqueueing = began.elapsed();
    let began = Instant::now();
    let options =
        WorkOptions { concurrency: Some(concurrency), until_empty: true, ..WorkOptions::default() };
    let end = work(app.clone(), options).await?;
    let draining = began.elapsed();
    ensure!(end.completed == tasks, "{} of {tasks} tasks completed", end.completed);
    let cycling = full_cycle(&app, &producer, tasks, concurrency).await?;
    Ok(ThroughputReport {
        tasks,
        concurrency,
        enqueue_per_second: per_second(tasks, enqueueing),
        drain_per_second: per_second(tasks, draining),
        full_cycle_per_second: per_second(tasks, cycling),
    })
}

async fn full_cycle(
    app: &App,
    producer: &Producer,
    tasks: u64,
    concurrency: u32,
) -> Result<Duration> {
    let stop = CancellationToken::new();
    let options = WorkOptions {
        concurrency: Some(concurrency),
        stop: stop.clone(),
        ..WorkOptions::default()
    };
    let worker = tokio::spawn(work(app.clone(), options));
    let began = Instant::now();
    enqueue(producer, tasks).await?;
    tokio::time::timeout(PATIENCE, drained(app))
        .await
        .context("the queue does not become empty")??;
    let cycling = began.elapsed();
    stop.cancel();
    let end = worker.await??;
    ensure!(end.completed == tasks, "{} of {tasks} tasks completed", end.completed);
    Ok(cycling)
}

async fn enqueue(producer: &Producer, tasks: u64) -> Result<()> {
    let mut next = 0;
    while next < tasks {
        let until = tasks.min(next + BATCH);
        let batch: Vec<NoOp> = (next..until).map(|number| NoOp { number }).collect();
        producer.enqueue_many(&batch, &TaskOptions::default()).await?;
        next = until;
    }
    Ok(())
}

/// Waits until no task waits or runs.
async fn drained(app: &App) -> Result<()> {
    while app.store.depths().await?.iter().any(|depth| depth.count > 0) {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
