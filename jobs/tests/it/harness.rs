//! Runs a job inline, through its real struct, on a database of its own.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use database::{Db, Query};
use job::{
    Context, ContextParts, EFFECTS, Effects, Facts, FollowUp, JobError, Outcome, OutcomeParts,
    ProgressSink, Registry, RegistryBuilder, Services,
};
use manifest::Manifest;
use models::{Account, BillingProvider, Project, Stream, accounts, projects, streams};
use scheduling::Scope;
use serde_json::Value;
use tasks::{Progress, SqliteStore, TaskStore};
use tokio_util::sync::CancellationToken;
use values::{AccountId, Clock, ProjectId, Secret, Source, StreamId, TaskId, Timestamp};

/// Follow-ups that one test works off at the most.
const FOLLOW_UPS_MAX: usize = 20_000;

/// The instant at which every test runs.
pub(crate) const NOW: &str = "2026-11-01T12:00:00Z";

/// A clock that stands where a test sets it; at first at [`NOW`].
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// Sets the clock.
    pub(crate) fn set(&self, at: Timestamp) {
        self.0.store(at.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A database, a registry and a folder for logs, deleted at the end.
pub(crate) struct Harness {
    pub(crate) db: Db,
    pub(crate) tasks: Arc<dyn TaskStore>,
    pub(crate) clock: Arc<TestClock>,
    registry: Registry,
    folder: tempfile::TempDir,
    sections: BTreeMap<String, Secret<String>>,
}

/// What stops an attempt, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// Nothing.
    Never,
    /// The process dies at the n-th report of progress.
    DiesAt(usize),
    /// The attempt is cancelled at the n-th report of progress.
    CancelledAt(usize),
}

/// A settled task.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) result: Value,
    pub(crate) follow_ups: Vec<FollowUp>,
}

impl Harness {
    /// A harness whose worker.toml has a folder `cdn` of CloudFront logs and a folder `fml` of
    /// EdgeCast logs.
    pub(crate) async fn new() -> Self {
        Self::with(|folder| {
            format!(
                "[domains.logs.log_sources]\n\
                 cdn = {{ format = \"cloudfront\", location = '{0}/cdn' }}\n\
                 fml = {{ format = \"edgecast\", location = '{0}/fml' }}\n",
                folder.display()
            )
        })
        .await
    }

    /// A harness with these lines in worker.toml beside a row per job.
    pub(crate) async fn with(lines: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cdn", "fml"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let known: Vec<&str> =
            contract::contract().jobs().iter().map(|descriptor| descriptor.job.as_str()).collect();
        let lines = lines(folder.path());
        let mut text = String::new();
        for job in known.iter().filter(|job| !lines.contains(&format!("[jobs.\"{job}\"]"))) {
            text.extend(["[jobs.\"", job, "\"]\n"]);
        }
        let manifest = Manifest::parse(&(text + &lines), &known).unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(now().as_micros())));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let db = Db::open_sqlite(&folder.path().join("main.db")).await.unwrap();
        models::SCHEMA.migrate(&db, now()).await.unwrap();
        EFFECTS.migrate(&db, now()).await.unwrap();
        let tasks: Arc<dyn TaskStore> =
            Arc::new(SqliteStore::open(db.clone(), Arc::clone(&shared)).await.unwrap());
        let services = Services {
            db: db.clone(),
            tasks: Arc::clone(&tasks),
            manifest: Arc::new(manifest),
            clock: shared,
            facts: Arc::new(Facts {
                version: "0.0.0".to_owned(),
                worker: "Harness".to_owned(),
                settings: vec![("PORT".to_owned(), "8080".to_owned())],
                ..Facts::default()
            }),
        };
        let mut builder = RegistryBuilder::new(&services);
        jobs::register(&mut builder);
        let registry = builder.build(contract::contract()).unwrap();
        Self { db, tasks, clock, registry, folder, sections: BTreeMap::new() }
    }

    /// Gives every attempt a section of configuration.
    #[cfg(feature = "s3")]
    pub(crate) fn configure(&mut self, section: &str, value: &Value) {
        self.sections.insert(section.to_owned(), Secret::new(value.to_string()));
    }

    /// The path of a log file.
    pub(crate) fn path(&self, source: &str, key: &str) -> PathBuf {
        self.folder.path().join(source).join(key)
    }

    /// Writes a log file.
    pub(crate) fn put(&self, source: &str, key: &str, body: &[u8]) {
        let path = self.path(source, key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }

    /// Stores an account with a project that has these streams, all of instance `cines`.
    pub(crate) async fn customer(&self, number: u8, names: &[&str]) {
        let names: Vec<(&str, &str)> = names.iter().map(|name| (*name, "cines")).collect();
        self.customer_on(number, &names).await;
    }

    /// Stores an account with a project that has these streams: name and instance.
    pub(crate) async fn customer_on(&self, number: u8, names: &[(&str, &str)]) {
        let id = |kind: u8, at: usize| {
            let mut bytes = [0; 16];
            bytes[0] = kind;
            bytes[1] = number;
            bytes[8..].copy_from_slice(&at.to_be_bytes());
            bytes
        };
        let account = Account {
            id: AccountId::from_bytes(id(1, 0)),
            name: format!("Account {number}"),
            billing_email: None,
            billing_provider: BillingProvider::Cine,
            unthrottleable: false,
            throttled_at: None,
            throttled_reason: None,
            created_at: now(),
            updated_at: now(),
            deleted_at: None,
        };
        let project = Project {
            id: ProjectId::from_bytes(id(2, 0)),
            account_id: account.id,
            name: format!("Project {number}"),
            public_key: format!("key{number}"),
            created_at: now(),
            updated_at: now(),
            deleted_at: None,
        };
        let stream = |(at, (name, instance)): (usize, &(&str, &str))| Stream {
            id: StreamId::from_bytes(id(3, at)),
            project_id: Some(project.id),
            name: (*name).to_owned(),
            instance_name: (*instance).to_owned(),
            record: false,
            assigned_at: Some(now()),
            created_at: now(),
            updated_at: now(),
            deleted_at: None,
        };
        let rows: Vec<Stream> = names.iter().enumerate().map(stream).collect();
        let mut work = self.db.begin().await.unwrap();
        accounts::upsert_many(&mut work.tx(), &[account]).await.unwrap();
        projects::upsert_many(&mut work.tx(), &[project]).await.unwrap();
        streams::upsert_many(&mut work.tx(), &rows).await.unwrap();
        work.commit().await.unwrap();
    }

    /// Runs one attempt and keeps its outcome from being settled; `None` if it died.
    pub(crate) async fn attempt(
        &self,
        job: &str,
        payload: &Value,
        cut: Cut,
    ) -> Option<Result<Outcome, JobError>> {
        let cancellation = CancellationToken::new();
        let death = CancellationToken::new();
        let (token, knell) = (cancellation.clone(), death.clone());
        let reports = AtomicUsize::new(0);
        let progress: ProgressSink = Arc::new(move |_: Progress| {
            let number = reports.fetch_add(1, Ordering::Relaxed) + 1;
            match cut {
                Cut::DiesAt(at) if number == at => knell.cancel(),
                Cut::CancelledAt(at) if number == at => token.cancel(),
                Cut::Never | Cut::DiesAt(_) | Cut::CancelledAt(_) => (),
            }
        });
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let task_id = TaskId::from_bytes([9; 16]);
        let cx = Context::new(ContextParts {
            task_id,
            job: job.parse().unwrap(),
            source: "main_worker".parse::<Source>().unwrap(),
            attempt: 1,
            max_attempts: 3,
            clock: Arc::clone(&clock),
            cancellation,
            progress,
            effects: Effects::new(self.db.clone(), clock, task_id),
        });
        let job = self.registry.get(job).expect("a registered job");
        let mut sections = self.sections.clone();
        let declared = job.descriptor().sections;
        sections.retain(|name, _| declared.iter().any(|section| section.name == name));
        let payload = payload.to_string();
        tokio::select! {
            biased;
            () = death.cancelled() => None,
            ended = job.run(&cx, &payload, sections) => Some(ended),
        }
    }

    /// Stores an outcome as settlement does.
    pub(crate) async fn settle(&self, outcome: Outcome) -> Done {
        let OutcomeParts::Completed { result, write, follow_ups } = outcome.into_parts() else {
            panic!("no job of this crate snoozes");
        };
        if let Some(write) = write {
            let mut transaction = self.db.begin().await.unwrap();
            write(&mut transaction.tx()).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let result = serde_json::from_str(result.unwrap().as_str()).unwrap();
        Done { result, follow_ups: follow_ups.unwrap() }
    }

    /// Runs and settles one task.
    pub(crate) async fn run(&self, job: &str, payload: Value) -> Result<Done, JobError> {
        let outcome = self.attempt(job, &payload, Cut::Never).await.expect("nothing cuts it")?;
        Ok(self.settle(outcome).await)
    }

    /// Runs a task and all that follows from it, oldest first; returns how often each job ran.
    pub(crate) async fn run_all(&self, job: &str, payload: Value) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let mut waiting = VecDeque::from([(job.to_owned(), payload, None)]);
        for _ in 0..FOLLOW_UPS_MAX {
            let Some((job, payload, _)) = waiting.pop_front() else { return counts };
            let done = self.run(&job, payload).await.unwrap();
            *counts.entry(job).or_default() += 1;
            for follow_up in done.follow_ups {
                let key = unique_key(&follow_up);
                if key.is_none() || waiting.iter().all(|(_, _, other)| *other != key) {
                    let payload = payload_of(&follow_up);
                    waiting.push_back((follow_up.job.to_owned(), payload, key));
                }
            }
        }
        panic!("the follow-ups do not end");
    }

    /// All rows that jobs write, as text, without what differs from attempt to attempt.
    pub(crate) async fn state(&self) -> String {
        let mut state = String::new();
        for (table, columns) in [
            (
                "log_file",
                "log_source, key, state, size_bytes, lines, bytes, error, line_counts, problems, \
                 completed_at",
            ),
            (
                "usage_hour u LEFT JOIN log_file f ON f.id = u.log_file_id",
                "f.key, hex(u.stream_id), u.hour, u.kind, u.bytes, u.lines, u.seconds",
            ),
            ("usage_stream_month", "hex(stream_id), month, kind, bytes, lines, seconds"),
            (
                "usage_account_month",
                "hex(account_id), month, bandwidth_bytes, fms_bytes, hls_bytes, vod_bytes, lines",
            ),
            ("usage_dirty", "month, hex(stream_id)"),
            ("log_marker", "log_source, listed_until_key, listed_until"),
        ] {
            let query =
                Query::built(format!("SELECT json_array({columns}) FROM {table} ORDER BY 1"));
            let rows = self.db.all(query).await.unwrap();
            let rows: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
            state.extend([table, "\n  ", &rows.join("\n  "), "\n"]);
        }
        state
    }

    /// Bandwidth of all accounts over all months, in bytes.
    pub(crate) async fn billed_bytes(&self) -> i64 {
        self.number("SELECT coalesce(sum(bandwidth_bytes), 0) FROM usage_account_month").await
    }

    /// The one number that a query finds.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        self.db.first(Query::new(sql)).await.unwrap().unwrap().get(0).unwrap()
    }
}

/// The payload that a follow-up carries.
pub(crate) fn payload_of(follow_up: &FollowUp) -> Value {
    serde_json::from_str(follow_up.payload.as_str()).unwrap()
}

/// What makes two follow-ups the same.
fn unique_key(follow_up: &FollowUp) -> Option<String> {
    let what = match &follow_up.options.unique.as_ref()?.scope {
        Scope::Job | Scope::Source => String::new(),
        Scope::Payload => follow_up.payload.as_str().to_owned(),
        Scope::Key(text) => text.clone(),
    };
    Some(format!("{} {what}", follow_up.job))
}

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}
