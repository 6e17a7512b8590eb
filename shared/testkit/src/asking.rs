//! For programs that ask for work: a producer on a store of its own, and what was asked for.

use std::fmt::{self, Debug};
use std::sync::Arc;

use contract::{Contract, Payload};
use database::{Db, EngineKind};
use envelope::{Algorithm, KeyRing, ProofKey, SealingKey, SigningKey};
use scheduling::{Producer, ProducerParts};
use tasks::{TaskDetail, TaskFilter, TaskStore};
use values::Source;

use crate::TestClock;
use crate::scratch::{Keeper, Scratch};

/// Tasks that an inbox looks through at the most.
const TASKS_MAX: u32 = 1_000;
/// What the keys of a test are called.
const KEY_ID: &str = "test";

/// Asks for work on behalf of one source, with keys made for the test and no worker to do it.
///
/// Everything a source meets is real: the allow-list, the check of the payload, the proof and its
/// check, the sealing of configuration. What passes here is admitted by a worker that has the same
/// worker.toml, these keys, and what the job takes from the worker's own configuration.
pub struct Asking {
    /// Asks for jobs.
    pub producer: Producer,
    /// What was asked for.
    pub inbox: Inbox,
    /// The database that holds the tasks, for tests that enqueue within their own transaction.
    pub db: Db,
    /// The clock of the store.
    pub clock: Arc<TestClock>,
    _keeper: Keeper,
}

impl Asking {
    /// Makes keys for the source and a store for its tasks.
    ///
    /// `worker_toml` holds what the source may ask for, such as `[sources.api]` with `jobs`; jobs
    /// of the contract that it does not name get an empty row.
    ///
    /// # Panics
    /// If `source` is no name of a source or worker.toml has a problem; it says which.
    pub async fn new(contract: &Contract, source: &str, worker_toml: &str) -> Self {
        Self::on(EngineKind::Sqlite, contract, source, worker_toml).await
    }

    /// The same on an engine of the test's choice.
    ///
    /// # Panics
    /// As [`Asking::new`], and if the server does not run.
    pub async fn on(
        engine: EngineKind,
        contract: &Contract,
        source: &str,
        worker_toml: &str,
    ) -> Self {
        let source: Source = source.parse().unwrap_or_else(|error| panic!("{error}"));
        let scratch = Scratch::new(engine, contract, |_| worker_toml.to_owned()).await;
        let Scratch { db, tasks, clock, manifest, keeper } = scratch;
        let secret = SigningKey::generate_secret().expect("the system supplies random bytes");
        let key = SigningKey::new(Algorithm::Ed25519, KEY_ID, source.clone(), &secret);
        let key = key.expect("32 random bytes are a key");
        let public = key.public_text().expect("an Ed25519 key has a public part");
        let check = ProofKey::ed25519(KEY_ID, source, &public).expect("a key reads what it prints");
        let keys = KeyRing::new(vec![check]).expect("one key takes no other's id");
        let sealing = SealingKey::generate(KEY_ID).expect("the system supplies random bytes");
        let producer = Producer::new(ProducerParts {
            store: Arc::clone(&tasks),
            manifest,
            contract: Arc::new(contract.clone()),
            key: Arc::new(key),
            keys: Some(Arc::new(keys)),
            sealing: Some(sealing.public().clone()),
            configuration: Arc::default(),
            on_rejection: None,
        });
        Self { producer, inbox: Inbox::new(tasks), db, clock, _keeper: keeper }
    }
}

impl Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("source", self.producer.source()).finish_non_exhaustive()
    }
}

/// What was asked for: every task of a store, whatever became of it.
///
/// A task enqueued within a transaction is in here once that commits.
#[derive(Debug, Clone)]
pub struct Inbox {
    store: Arc<dyn TaskStore>,
}

impl Inbox {
    /// Looks into a store, such as the one that a program under test has opened.
    pub fn new(store: Arc<dyn TaskStore>) -> Self {
        Self { store }
    }

    /// The payloads of all tasks of the job of `P`, oldest first.
    ///
    /// # Panics
    /// If one is not what its own type reads, or the store does not answer.
    pub async fn enqueued<P: Payload>(&self) -> Vec<P> {
        let mut payloads = Vec::new();
        for TaskDetail { task, .. } in self.tasks(Some(P::JOB)).await {
            let payload = serde_json::from_slice(&task.payload);
            payloads.push(
                payload.unwrap_or_else(|error| panic!("payload of {}: {error}", task.task_id)),
            );
        }
        payloads
    }

    /// Everything about all tasks of a job, or of all jobs, oldest first.
    ///
    /// # Panics
    /// If there are more than 1,000, or the store does not answer.
    pub async fn tasks(&self, job: Option<&str>) -> Vec<TaskDetail> {
        let filter =
            TaskFilter { job: job.map(str::to_owned), limit: TASKS_MAX, ..TaskFilter::default() };
        let found = self.store.search(filter).await.expect("the store answers");
        assert!(found.len() < TASKS_MAX as usize, "an inbox holds fewer than {TASKS_MAX} tasks");
        let mut tasks = Vec::with_capacity(found.len());
        for summary in found.iter().rev() {
            tasks.push(self.store.get(summary.task_id).await.expect("the store answers"));
        }
        tasks
    }

    /// Asserts that a task with this payload was asked for.
    ///
    /// # Panics
    /// If there is none; it shows what was asked for instead.
    pub async fn assert_enqueued<P: Payload + PartialEq + Debug>(&self, payload: &P) {
        let found = self.enqueued::<P>().await;
        assert!(
            found.contains(payload),
            "expected a task of {} with {payload:?}, found {found:?}",
            P::JOB
        );
    }

    /// Asserts that nothing at all was asked for.
    ///
    /// # Panics
    /// If something was; it shows what.
    pub async fn assert_nothing_enqueued(&self) {
        let tasks = self.tasks(None).await;
        let found: Vec<String> = tasks
            .iter()
            .map(|TaskDetail { task, .. }| {
                format!("{} {}", task.job, String::from_utf8_lossy(&task.payload))
            })
            .collect();
        assert!(found.is_empty(), "expected no task, found {found:?}");
    }
}
