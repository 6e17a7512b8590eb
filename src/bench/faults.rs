//! Kills workers at random moments and counts what became of their tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contract::Payload;
use database::{Db, EngineKind, Query};
use scheduling::{Producer, TaskOptions};
use serde::Serialize;
use tasks::{NewTask, TaskFilter, TaskState};

use super::process::{ended, program, quiet, terminate};
use super::{CountEffect, MANIFEST, NoOp, OCCUPIED, Scratch, WriteRow, open};
use crate::app::App;

/// Tasks that are enqueued in one transaction.
const BATCH: u64 = 900;
/// Time between two kills, at random between the two, milliseconds.
const KILL_AFTER_MS: (u64, u64) = (80, 700);
/// How often is looked whether the queue is empty.
const LOOK: Duration = Duration::from_millis(20);
/// The longest time until the queue must be empty.
const PATIENCE: Duration = Duration::from_mins(20);
/// How long the last workers may take to end.
const END: Duration = Duration::from_secs(30);
/// Tasks that each worker holds ahead.
const HOLDING: &str = "prefetch = 128";
/// The jobs of [`mixed`].
const MIXED: [&str; 3] = [NoOp::JOB, WriteRow::JOB, CountEffect::JOB];
/// Tasks read at a time.
const PAGE: u32 = 1_000;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct FaultOptions {
    /// Tasks, a third of each kind.
    pub tasks: u64,
    /// Workers at a time.
    pub workers: usize,
    /// Kills at the most; then the rest is worked undisturbed.
    pub kills: u64,
    /// Decides when who is killed.
    pub seed: u64,
}

/// What became of the tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultReport {
    /// Tasks enqueued.
    pub tasks: u64,
    /// Workers killed with SIGKILL.
    pub kills: u64,
    /// Tasks that completed.
    pub completed: u64,
    /// Tasks that are nowhere.
    pub lost: u64,
    /// Tasks that ended otherwise or are not done.
    pub other: u64,
    /// Attempts beyond the first of each task.
    pub repeated_attempts: u64,
    /// Effects that did not happen.
    pub effects_missing: u64,
    /// Effects that happened more than once.
    pub effects_doubled: u64,
    /// Final write steps that left no row.
    pub rows_missing: u64,
    /// Final write steps that left more than one row.
    pub rows_doubled: u64,
    /// What SQLite finds wrong with the file, or in how counts and rows differ; `ok` if nothing.
    pub integrity: String,
    /// The whole time.
    pub seconds: u64,
}

impl FaultReport {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        let wrong = self.lost
            + self.other
            + self.effects_missing
            + self.effects_doubled
            + self.rows_missing
            + self.rows_doubled;
        wrong == 0 && self.completed == self.tasks && self.integrity == "ok"
    }
}

/// Runs the tasks with workers that are killed again and again.
pub async fn faults(scratch: &Scratch, options: FaultOptions) -> Result<FaultReport> {
    let began = Instant::now();
    let app = open(scratch).await?;
    let effects = scratch.path().join("effects");
    let file = effects.display().to_string();
    let producer = app.producer("operator")?;
    enqueue(&producer, options.tasks, &file).await?;
    let kills = kill_until_empty(&app, scratch, options).await?;
    let mut report = audit(&app, &effects, 0..options.tasks).await?;
    report.kills = kills;
    report.seconds = began.elapsed().as_secs();
    Ok(report)
}

/// Prepares the task with a number: it does nothing, writes a row, or appends a line to `file`.
pub fn mixed(producer: &Producer, number: u64, file: &str) -> Result<NewTask> {
    let options = TaskOptions::default();
    Ok(match number % 3 {
        0 => producer.prepare(&NoOp { number }, options)?,
        1 => producer.prepare(&WriteRow { number }, options)?,
        _ => producer.prepare(&CountEffect { number, file: file.to_owned() }, options)?,
    })
}

/// Counts what became of the tasks of [`mixed`] with these numbers, whose file is `effects`.
pub async fn audit(
    app: &App,
    effects: &Path,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<FaultReport> {
    let numbers: BTreeSet<u64> = numbers.into_iter().collect();
    let mut report = FaultReport { tasks: numbers.len() as u64, ..FaultReport::default() };
    count_tasks(app, &mut report).await?;
    let happened = std::fs::read_to_string(effects).unwrap_or_default();
    let happened = happened.lines().map(|line| line.parse().unwrap_or(u64::MAX));
    let of_kind = |kind: u64| numbers.iter().copied().filter(move |number| number % 3 == kind);
    (report.effects_missing, report.effects_doubled) = missing_and_doubled(happened, of_kind(2));
    let rows = written_rows(&app.db).await?;
    (report.rows_missing, report.rows_doubled) = missing_and_doubled(rows.into_iter(), of_kind(1));
    report.integrity = integrity(app).await?;
    Ok(report)
}

async fn enqueue(producer: &Producer, tasks: u64, file: &str) -> Result<()> {
    let mut next = 0;
    while next < tasks {
        let numbers = next..tasks.min(next + BATCH);
        let batch: Result<_> =
            numbers.clone().map(|number| mixed(producer, number, file)).collect();
        producer.store().enqueue(batch?).await?;
        next = numbers.end;
    }
    Ok(())
}

/// The workers of a run; whatever happens, none outlives it.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Returns the number of workers that were killed.
async fn kill_until_empty(app: &App, scratch: &Scratch, options: FaultOptions) -> Result<u64> {
    // Workers that hold tasks ahead have more to lose.
    let manifest = scratch.path().join("holding.toml");
    std::fs::write(&manifest, MANIFEST.replace("prefetch = 0", HOLDING))?;
    let spawn = || -> Result<Child> {
        let mut command = program(scratch, &["bench", "worker"]);
        command.env(crate::settings::MANIFEST.name, &manifest);
        Ok(quiet(command).spawn()?)
    };
    let mut workers = Workers(Vec::new());
    for _ in 0..options.workers.max(1) {
        workers.0.push(spawn()?);
    }
    let mut chance = Chance(options.seed);
    let mut kills = 0;
    let began = Instant::now();
    let mut kill_at = Instant::now() + chance.pause();
    while app.store.depths().await?.iter().any(|depth| depth.count > 0) {
        if began.elapsed() > PATIENCE {
            bail!("the queue is not empty after {PATIENCE:?}");
        }
        if kills < options.kills && kill_at <= Instant::now() {
            let victim = usize::try_from(chance.next())? % workers.0.len();
            workers.0[victim].kill()?;
            workers.0[victim].wait()?;
            workers.0[victim] = spawn()?;
            kills += 1;
            kill_at = Instant::now() + chance.pause();
        }
        tokio::time::sleep(LOOK).await;
    }
    for child in &mut workers.0 {
        terminate(child);
        if !ended(child, END) {
            bail!("a worker did not end within {END:?} of SIGTERM");
        }
    }
    Ok(kills)
}

async fn count_tasks(app: &App, report: &mut FaultReport) -> Result<()> {
    let mut before_row = None;
    let mut seen = 0;
    loop {
        let filter = TaskFilter { before_row, limit: PAGE, ..TaskFilter::default() };
        let page = app.store.search(filter).await?;
        let Some(last) = page.last() else { break };
        before_row = Some(last.row);
        for task in &page {
            let is_mixed = MIXED.contains(&task.job_name.as_str());
            seen += u64::from(is_mixed);
            if task.state == TaskState::Completed {
                report.completed += u64::from(is_mixed);
            } else {
                report.other += 1;
            }
            report.repeated_attempts += u64::from(task.attempt.saturating_sub(1));
        }
    }
    report.lost = report.tasks.saturating_sub(seen);
    Ok(())
}

async fn integrity(app: &App) -> Result<String> {
    if !app.store.conservation().await?.holds() {
        return Ok("counts and rows differ".to_owned());
    }
    if app.db.kind() == EngineKind::Postgres {
        return Ok("ok".to_owned());
    }
    let row = app.db.first(Query::new("PRAGMA integrity_check")).await?;
    Ok(row.context("SQLite says nothing")?.get(0)?)
}

async fn written_rows(db: &Db) -> Result<Vec<u64>> {
    let rows = db
        .all(
            Query::new("SELECT number FROM bench_row WHERE number < $1")
                .bind(OCCUPIED.cast_signed()),
        )
        .await?;
    rows.iter().map(|row| Ok(u64::try_from(row.get::<i64>(0)?)?)).collect()
}

/// Of the numbers that are `wanted`: how many were not seen, and how many sights were one too
/// many. A number that nobody wanted is one too many as well.
fn missing_and_doubled(
    seen: impl Iterator<Item = u64>,
    wanted: impl Iterator<Item = u64>,
) -> (u64, u64) {
    let mut counts: BTreeMap<u64, u64> = wanted.map(|number| (number, 0)).collect();
    let mut doubled = 0;
    for number in seen {
        match counts.get_mut(&number) {
            Some(count) if *count == 0 => *count = 1,
            _ => doubled += 1,
        }
    }
    let missing = counts.values().filter(|count| **count == 0).count();
    (u64::try_from(missing).unwrap_or(u64::MAX), doubled)
}

/// The generator "splitmix64".
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pause(&mut self) -> Duration {
        let (least, most) = KILL_AFTER_MS;
        Duration::from_millis(least + self.next() % (most - least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_missing_and_what_is_too_much() {
        let check = |seen: &[u64], expected: (u64, u64)| {
            let found = missing_and_doubled(seen.iter().copied(), [1, 4, 7].into_iter());
            assert_eq!(found, expected, "{seen:?}");
        };
        check(&[1, 4, 7], (0, 0));
        check(&[1, 4], (1, 0));
        check(&[7, 1, 4, 4, 4], (0, 2));
        check(&[1, 4, 7, 2], (0, 1));
        check(&[], (3, 0));
    }
}
