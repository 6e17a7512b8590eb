//! Measures the store on a private PostgreSQL with full durability: `cargo bench -p tasks --bench
//! postgres`.
//!
//! Full cycles (enqueue, lease, settle) a second with producers and workers beside each other; the
//! time from asking for a task to having it leased in another process, idle and at 1,000 tasks a
//! second; and what a cycle costs the server.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use database::{Db, PostgresSettings, Query};
use envelope::{Algorithm, Proof, RawJson, Stamp};
use tasks::{
    AttemptReport, JobLimits, LeaseRequest, LeasedTask, NewTask, PostgresStore, SCHEMA,
    ServerClock, Settle, Settlement, TaskStore, WorkerRecord, random_bytes,
};
use testkit::{PostgresServer, Profile};
use values::{Clock as _, JobName, Secret, Source, Span, TaskId};

/// Tasks of a batch.
const BATCH: usize = 1_000;
/// Batches of a round, by all producers.
const BATCHES: usize = 150;
/// Producers and workers of a round.
const PRODUCERS: usize = 2;
const WORKERS: usize = 2;
/// Tasks whose latency is taken while nothing else happens.
const SINGLES: usize = 150;
/// Between them, so long that nobody expects the next one.
const BETWEEN_SINGLES: Duration = Duration::from_millis(131);
/// The steady flow: one task each millisecond, for this many.
const FLOW: usize = 10_000;
/// Connections of a process.
const CONNECTIONS: u32 = 10;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Process {
    db: Db,
    store: Arc<PostgresStore>,
    clock: Arc<ServerClock>,
}

/// Opens the store as a process of its own would.
async fn process(url: &str) -> Outcome<Process> {
    let usual = PostgresSettings::new(Secret::new(url.to_owned()));
    let settings = PostgresSettings { max_connections: CONNECTIONS, ..usual };
    let db = Db::open_postgres(&settings).await?;
    let clock = ServerClock::start(db.clone()).await?;
    SCHEMA.migrate(&db, clock.now()).await?;
    let store = Arc::new(PostgresStore::open(db.clone(), Arc::<ServerClock>::clone(&clock)).await?);
    Ok(Process { db, store, clock })
}

impl Process {
    fn task(&self, job: &JobName, source: &Source) -> NewTask {
        let now = self.clock.now();
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
        let proof =
            Proof { key_id: "2026-10".to_owned(), algorithm: Algorithm::Mac, bytes: vec![7; 32] };
        NewTask {
            stamp,
            job: job.clone(),
            source: source.clone(),
            configuration: RawJson::empty_object(),
            payload: RawJson::from_value(&payload).expect("an object of text and numbers"),
            proof: Some(proof),
            host: None,
            timeout: None,
            labels: Vec::new(),
            unique_for: None,
            parent: None,
            tick: None,
            max_waiting: None,
        }
    }

    async fn worker(&self, start: usize) -> Outcome<LeaseRequest> {
        let worker = WorkerRecord {
            name: "bench".to_owned(),
            host: "here".to_owned(),
            pid: std::process::id(),
            version: "0".to_owned(),
            release: "0".to_owned(),
        };
        Ok(LeaseRequest {
            worker: self.store.register(worker).await?,
            host: "here".to_owned(),
            jobs: Arc::from([JobLimits::none(name()?)]),
            sources: Arc::from([]),
            start,
            hold: 0,
            above: None,
            wait: Span::from_seconds(1),
        })
    }

    /// What the server has done so far: bytes of its log, commits, dead rows.
    async fn costs(&self) -> Outcome<[i64; 3]> {
        let sql = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint,
             (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
             (SELECT sum(n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables)";
        tokio::time::sleep(Duration::from_secs(1)).await;
        let row = self.db.first(Query::new(sql)).await?.ok_or("no costs")?;
        Ok([row.get(0)?, row.get(1)?, row.get(2)?])
    }
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

/// Full cycles with producers and workers beside each other in one process.
async fn cycles(process: &Arc<Process>) -> Outcome<Duration> {
    let (job, source): (JobName, Source) = (name()?, "api".parse()?);
    let done = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let mut running = Vec::new();
    for _ in 0..PRODUCERS {
        let (process, job, source) = (Arc::clone(process), job.clone(), source.clone());
        running.push(tokio::spawn(async move {
            for _ in 0..BATCHES / PRODUCERS {
                let batch = (0..BATCH).map(|_| process.task(&job, &source)).collect();
                process.store.enqueue(batch).await?;
            }
            Outcome::Ok(())
        }));
    }
    for _ in 0..WORKERS {
        let (process, done) = (Arc::clone(process), Arc::clone(&done));
        let request = process.worker(BATCH).await?;
        running.push(tokio::spawn(async move {
            while done.load(Ordering::SeqCst) < BATCH * BATCHES {
                let leased = process.store.lease(request.clone()).await?;
                process.store.settle(leased.iter().map(completed).collect()).await?;
                done.fetch_add(leased.len(), Ordering::SeqCst);
            }
            Outcome::Ok(())
        }));
    }
    for task in running {
        task.await??;
    }
    Ok(begin.elapsed())
}

/// From asking in one process to the acknowledgement, and to being leased in another; microseconds,
/// sorted.
async fn latencies(
    (asking, working): (&Arc<Process>, &Arc<Process>),
    count: usize,
    between: Duration,
) -> Outcome<[Vec<u64>; 2]> {
    let (job, source): (JobName, Source) = (name()?, "api".parse()?);
    let request = working.worker(100).await?;
    let (store, began) = (Arc::clone(&working.store), Instant::now());
    let worker = tokio::spawn(async move {
        let mut leased_at = Vec::with_capacity(count);
        while leased_at.len() < count {
            let leased = store.lease(request.clone()).await?;
            let at = began.elapsed();
            leased_at.extend(leased.iter().map(|lease| (lease.task.task_id, at)));
            let (store, batch) = (Arc::clone(&store), leased.iter().map(completed).collect());
            tokio::spawn(async move { store.settle(batch).await });
        }
        Outcome::Ok(leased_at)
    });
    let mut asked_at = std::collections::HashMap::with_capacity(count);
    let mut ticks = tokio::time::interval(between);
    let mut asking_for = Vec::with_capacity(count);
    for _ in 0..count {
        ticks.tick().await;
        let task = asking.task(&job, &source);
        asked_at.insert(task.stamp.task_id, began.elapsed());
        let store = Arc::clone(&asking.store);
        asking_for.push(tokio::spawn(async move {
            let asked = Instant::now();
            store.enqueue(vec![task]).await.map(|_| asked.elapsed())
        }));
    }
    let mut stored = Vec::with_capacity(count);
    for asked in asking_for {
        stored.push(u64::try_from(asked.await??.as_micros())?);
    }
    stored.sort_unstable();
    let leased_at = worker.await??;
    let micros =
        |id: &TaskId, at: Duration| u64::try_from(at.saturating_sub(asked_at[id]).as_micros());
    let mut sample: Vec<u64> =
        leased_at.iter().map(|(id, at)| micros(id, *at)).collect::<Result<_, _>>()?;
    sample.sort_unstable();
    Ok([stored, sample])
}

/// How long the server takes to answer and to commit, sorted; what nobody can be faster than.
async fn answers(process: &Process) -> Outcome<[Vec<u64>; 2]> {
    process.db.execute(Query::new("CREATE TABLE bench (n BIGINT)")).await?;
    let (mut read, mut written) = (Vec::new(), Vec::new());
    for _ in 0..SINGLES {
        let begin = Instant::now();
        process.db.all(Query::new("SELECT 1")).await?;
        read.push(u64::try_from(begin.elapsed().as_micros())?);
        let begin = Instant::now();
        process.db.execute(Query::new("INSERT INTO bench (n) VALUES (1)")).await?;
        written.push(u64::try_from(begin.elapsed().as_micros())?);
    }
    read.sort_unstable();
    written.sort_unstable();
    Ok([read, written])
}

#[expect(clippy::print_stdout, reason = "a bench is there to print")]
fn show(name: &str, value: f64, unit: &str) {
    println!("{name:<46} {value:>10.1} {unit}");
}

/// What is timed of a task.
const STEPS: [&str; 2] = ["acknowledged", "leased in another process"];

fn show_latencies(when: &str, names: [&str; 2], samples: &[Vec<u64>]) {
    for (name, sample) in names.into_iter().zip(samples) {
        for percent in [50, 99] {
            let micros = sample[sample.len() * percent / 100];
            let millis = Duration::from_micros(micros).as_secs_f64() * 1e3;
            show(&format!("{when}, {name}, p{percent}"), millis, "ms");
        }
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let server = PostgresServer::start(Profile::Durable).await?;
    let url = server.fresh_database().await?;
    let (one, other) = (Arc::new(process(&url).await?), Arc::new(process(&url).await?));
    let before = one.costs().await?;
    let tasks = u32::try_from(BATCH * BATCHES)?;
    let time = cycles(&one).await?;
    show("full cycle", f64::from(tasks) / time.as_secs_f64(), "tasks/s");
    let after = one.costs().await?;
    let costs = ["  log of the server", "  commits", "  dead rows"].into_iter().zip(["B", "", ""]);
    for (at, (name, unit)) in costs.enumerate() {
        let cost = i32::try_from(after[at] - before[at])?;
        show(name, f64::from(cost) / f64::from(tasks), &format!("{unit}/task"));
    }
    let [read, written] = answers(&one).await?;
    show_latencies("server", ["a question", "a commit"], &[read, written]);
    let idle = latencies((&one, &other), SINGLES, BETWEEN_SINGLES).await?;
    show_latencies("idle", STEPS, &idle);
    let flow = latencies((&one, &other), FLOW, Duration::from_millis(1)).await?;
    show_latencies("1000 tasks/s", STEPS, &flow);
    Ok(())
}
