//! Measures the store: `cargo bench -p tasks`.
//!
//! Full cycles (enqueue, lease, settle) a second on a fresh file with full durability, and the time
//! from asking for one task to having it leased by a worker that waits.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use database::Db;
use envelope::{Algorithm, Proof, RawJson, Stamp};
use tasks::{
    AttemptReport, JobLimits, LeaseRequest, LeasedTask, NewTask, Settle, Settlement, SqliteStore,
    TaskStore, WorkerRecord, random_bytes,
};
use values::{Clock, JobName, Source, Span, TaskId, Timestamp};

/// Tasks of a batch.
const BATCH: usize = 1_000;
/// Batches of a round.
const BATCHES: usize = 60;
/// Rounds, each on a fresh file; the median is shown.
const ROUNDS: usize = 3;
/// Tasks whose latency is taken.
const SINGLES: usize = 2_000;
/// Tasks that wait while counts and rows are compared.
const COUNTED: usize = 1_000_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.after(Span::from_std(since))
    }
}

fn task(job: &JobName, source: &Source) -> NewTask {
    let now = WallClock.now();
    let stamp = Stamp {
        task_id: TaskId::new(now, random_bytes()),
        issued_at: now,
        not_after: now.after(Span::from_days(1)),
        run_at: None,
        priority: 1,
        max_attempts: 5,
        unique_key: None,
    };
    let payload = serde_json::json!({ "accountId": "acct_01jd0c4x5ve4zrh1k5yq4q8g7m", "n": 7 });
    NewTask {
        stamp,
        job: job.clone(),
        source: source.clone(),
        configuration: RawJson::empty_object(),
        payload: RawJson::from_value(&payload).expect("an object of text and numbers"),
        proof: Some(Proof {
            key_id: "2026-10".to_owned(),
            algorithm: Algorithm::Mac,
            bytes: vec![7; 32],
        }),
        host: None,
        timeout: None,
        labels: Vec::new(),
        unique_for: None,
        parent: None,
        tick: None,
        max_waiting: None,
    }
}

async fn open(folder: &Path) -> Outcome<(Arc<SqliteStore>, LeaseRequest)> {
    let db = Db::open_sqlite(&folder.join("main.db")).await?;
    let store = Arc::new(SqliteStore::open(db, Arc::new(WallClock)).await?);
    let worker = WorkerRecord {
        name: "bench".to_owned(),
        host: "here".to_owned(),
        pid: std::process::id(),
        version: "0".to_owned(),
        release: "0".to_owned(),
    };
    let request = LeaseRequest {
        worker: store.register(worker).await?,
        host: "here".to_owned(),
        jobs: Arc::from([JobLimits::none(name()?)]),
        sources: Arc::from([]),
        start: BATCH,
        hold: 0,
        above: None,
        wait: Span::ZERO,
    };
    Ok((store, request))
}

fn name() -> Outcome<JobName> {
    Ok("bench/no_op".parse()?)
}

fn completed(leased: &LeasedTask) -> Settlement {
    Settlement {
        row: leased.row,
        token: leased.token,
        settle: Settle::Completed { result: None, write: None, follow_ups: Vec::new() },
        report: AttemptReport::default(),
    }
}

/// What a round took: enqueueing, leasing, settling.
async fn cycles(folder: &Path) -> Outcome<[Duration; 3]> {
    let (store, request) = open(folder).await?;
    let (job, source) = (name()?, "api".parse()?);
    let mut spent = [Duration::ZERO; 3];
    for _ in 0..BATCHES {
        let batch = (0..BATCH).map(|_| task(&job, &source)).collect();
        let begin = Instant::now();
        store.enqueue(batch).await?;
        let stored = Instant::now();
        let leased = store.lease(request.clone()).await?;
        let held = Instant::now();
        if leased.len() != BATCH {
            return Err(format!("leased {} of {BATCH}", leased.len()).into());
        }
        store.settle(leased.iter().map(completed).collect()).await?;
        spent[0] += stored - begin;
        spent[1] += held - stored;
        spent[2] += held.elapsed();
    }
    Ok(spent)
}

/// Full cycles with enqueueing and working beside each other, so that commits are shared.
async fn overlapped(folder: &Path) -> Outcome<Duration> {
    let (store, request) = open(folder).await?;
    let request = LeaseRequest { wait: Span::from_seconds(5), ..request };
    let (job, source) = (name()?, "api".parse()?);
    let begin = Instant::now();
    let producer = Arc::clone(&store);
    let producing = tokio::spawn(async move {
        for _ in 0..BATCHES {
            let batch = (0..BATCH).map(|_| task(&job, &source)).collect();
            producer.enqueue(batch).await.map_err(|error| error.to_string())?;
        }
        Ok::<(), String>(())
    });
    let mut done = 0;
    while done < BATCH * BATCHES {
        let leased = store.lease(request.clone()).await?;
        done += leased.len();
        store.settle(leased.iter().map(completed).collect()).await?;
    }
    producing.await??;
    Ok(begin.elapsed())
}

/// From asking to being leased, and from the acknowledgement to being leased; microseconds.
async fn singles(folder: &Path) -> Outcome<(Vec<u128>, Vec<u128>)> {
    let (store, request) = open(folder).await?;
    let request = LeaseRequest { wait: Span::from_seconds(5), start: 1, ..request };
    let (job, source) = (name()?, "api".parse()?);
    let (mut asked, mut stored) = (Vec::new(), Vec::new());
    for _ in 0..SINGLES {
        let worker = Arc::clone(&store);
        let request = request.clone();
        let leasing = tokio::spawn(async move {
            let leased = worker.lease(request).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((Instant::now(), leased))
        });
        tokio::time::sleep(Duration::from_micros(200)).await;
        let begin = Instant::now();
        store.enqueue(vec![task(&job, &source)]).await?;
        let acknowledged = Instant::now();
        let (at, leased) = leasing.await??;
        asked.push((at - begin).as_micros());
        stored.push(at.saturating_duration_since(acknowledged).as_micros());
        store.settle(leased.iter().map(completed).collect()).await?;
    }
    asked.sort_unstable();
    stored.sort_unstable();
    Ok((asked, stored))
}

/// Compares counts and rows of many waiting tasks: how long that takes, and the time of single
/// enqueues without it and beside it, microseconds.
async fn books(folder: &Path) -> Outcome<(Duration, Vec<u128>, Vec<u128>)> {
    let (store, _) = open(folder).await?;
    let (job, source) = (name()?, "api".parse()?);
    for _ in 0..COUNTED / BATCH {
        store.enqueue((0..BATCH).map(|_| task(&job, &source)).collect()).await?;
    }
    let single = async || -> Outcome<u128> {
        let begin = Instant::now();
        store.enqueue(vec![task(&job, &source)]).await?;
        Ok(begin.elapsed().as_micros())
    };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..SINGLES {
        alone.push(single().await?);
    }
    let reader = Arc::clone(&store);
    let comparing = tokio::spawn(async move {
        let begin = Instant::now();
        let found = reader.conservation().await.map_err(|error| error.to_string())?;
        let took = begin.elapsed();
        if found.holds() { Ok(took) } else { Err("a task is missing".to_owned()) }
    });
    while !comparing.is_finished() {
        beside.push(single().await?);
    }
    let took = comparing.await??;
    alone.sort_unstable();
    beside.sort_unstable();
    Ok((took, alone, beside))
}

fn rate(time: Duration) -> u64 {
    let tasks = u32::try_from(BATCH * BATCHES).expect("a constant");
    let rate = f64::from(tasks) / time.as_secs_f64();
    format!("{rate:.0}").parse().unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "a bench is there to print")]
fn show(name: &str, value: u128, unit: &str) {
    println!("{name:<44} {value:>10} {unit}");
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(cycles(tempfile::tempdir()?.path()).await?);
    }
    rounds.sort_by_key(|round| round.iter().sum::<Duration>());
    let median = rounds[ROUNDS / 2];
    show("full cycle, batches of 1000", rate(median.iter().sum()).into(), "tasks/s");
    for (name, time) in ["  enqueue", "  lease", "  settle"].into_iter().zip(median) {
        show(name, rate(time).into(), "tasks/s");
    }
    let time = overlapped(tempfile::tempdir()?.path()).await?;
    show("full cycle, producer and worker overlapped", rate(time).into(), "tasks/s");
    let (asked, stored) = singles(tempfile::tempdir()?.path()).await?;
    for (name, sample) in [("enqueue asked to leased", asked), ("acknowledged to leased", stored)] {
        show(&format!("{name}, p50"), sample[sample.len() / 2], "us");
        show(&format!("{name}, p99"), sample[sample.len() * 99 / 100], "us");
    }
    let (took, alone, beside) = books(tempfile::tempdir()?.path()).await?;
    show("counts and rows of 1,000,000 compared", took.as_millis(), "ms");
    for (name, sample) in [("enqueue meanwhile", beside), ("enqueue otherwise", alone)] {
        show(&format!("{name}, p50"), sample[sample.len() / 2], "us");
        show(&format!("{name}, p99"), sample[sample.len() * 99 / 100], "us");
    }
    Ok(())
}
