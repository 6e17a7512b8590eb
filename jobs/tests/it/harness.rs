//! A workbench with all jobs on it, and what their tests have in common.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use database::{EngineKind, Query};
use job::FollowUp;
use models::{Account, BillingProvider, Project, Stream, accounts, projects, streams};
use serde_json::Value;
use testkit::{NOW, Workbench};
use values::{AccountId, ProjectId, StreamId, Timestamp};

/// A workbench whose folder has one for each of two log sources.
pub(crate) struct Harness(Workbench);

impl Deref for Harness {
    type Target = Workbench;

    fn deref(&self) -> &Workbench {
        &self.0
    }
}

impl DerefMut for Harness {
    fn deref_mut(&mut self) -> &mut Workbench {
        &mut self.0
    }
}

impl Harness {
    /// A harness whose worker.toml has a folder `cdn` of CloudFront logs and a folder `fml` of
    /// EdgeCast logs.
    pub(crate) async fn new(engine: EngineKind) -> Self {
        Self::with(engine, |folder| {
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
    pub(crate) async fn with(engine: EngineKind, lines: impl FnOnce(&Path) -> String) -> Self {
        let bench = Workbench::on(engine, contract::contract(), jobs::register, lines).await;
        for name in ["cdn", "fml"] {
            std::fs::create_dir(bench.folder().join(name)).unwrap();
        }
        models::SCHEMA.migrate(&bench.db, now()).await.unwrap();
        Self(bench)
    }

    /// The path of a log file.
    pub(crate) fn path(&self, source: &str, key: &str) -> PathBuf {
        self.folder().join(source).join(key)
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

    /// All rows that jobs write, as text, without what differs from attempt to attempt.
    pub(crate) async fn state(&self) -> String {
        let mut state = String::new();
        // Of ids: a JSON text holds no bytes on one engine, and the other shows them as digits.
        let (list, id) = match self.db.kind() {
            EngineKind::Sqlite => ("json_array", "hex("),
            EngineKind::Postgres => ("json_build_array", "("),
        };
        for (table, columns) in [
            (
                "log_file",
                "log_source, key, state, size_bytes, lines, bytes, error, line_counts, problems, \
                 completed_at",
            ),
            (
                "usage_hour u LEFT JOIN log_file f ON f.id = u.log_file_id",
                "f.key, id(u.stream_id), u.hour, u.kind, u.bytes, u.lines, u.seconds",
            ),
            ("usage_stream_month", "id(stream_id), month, kind, bytes, lines, seconds"),
            (
                "usage_account_month",
                "id(account_id), month, bandwidth_bytes, fms_bytes, hls_bytes, vod_bytes, lines",
            ),
            ("usage_dirty", "month, id(stream_id)"),
            ("log_marker", "log_source, listed_until_key, listed_until"),
        ] {
            let columns = columns.replace("id(", id);
            let sql = format!("SELECT CAST({list}({columns}) AS TEXT) FROM {table} ORDER BY 1");
            let query = Query::built(sql);
            let rows = self.db.all(query).await.unwrap();
            let rows: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
            state.extend([table, "\n  ", &rows.join("\n  "), "\n"]);
        }
        state
    }

    /// Bandwidth of all accounts over all months, in bytes.
    pub(crate) async fn billed_bytes(&self) -> i64 {
        self.number(
            "SELECT CAST(coalesce(sum(bandwidth_bytes), 0) AS BIGINT) FROM usage_account_month",
        )
        .await
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

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}
