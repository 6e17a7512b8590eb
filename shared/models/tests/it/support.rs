//! A database of its own for each test, and rows to put into it.

use database::{Db, DbError, EngineKind, Transaction};
use models::{
    Account, BillingProvider, FileOutcome, FileTotals, Project, Stream, UsageRow, accounts, ledger,
    projects, streams,
};
use testkit::TestDb;
use values::{AccountId, LogFileId, Month, ProjectId, StreamId, Timestamp, UsageKind};

/// A migrated database that goes with it.
pub(crate) struct Store {
    pub(crate) db: Db,
    _database: TestDb,
}

impl Store {
    pub(crate) async fn new(engine: EngineKind) -> Self {
        let database = TestDb::new(engine, "models", &[models::SCHEMA]).await;
        Self { db: database.db.clone(), _database: database }
    }

    pub(crate) async fn begin(&self) -> Transaction {
        self.db.begin().await.unwrap()
    }

    /// Stores an account with one project and its streams.
    pub(crate) async fn customer(&self, number: u128, streams: std::ops::Range<u128>) {
        let mut work = self.begin().await;
        accounts::upsert_many(&mut work.tx(), &[account(number)]).await.unwrap();
        projects::upsert_many(&mut work.tx(), &[project(number, number)]).await.unwrap();
        let rows: Vec<Stream> = streams.map(|n| stream(n, Some(number))).collect();
        streams::upsert_many(&mut work.tx(), &rows).await.unwrap();
        work.commit().await.unwrap();
    }

    /// Begins and completes a file in one transaction each, as a job does.
    pub(crate) async fn complete(
        &self,
        key: &str,
        rows: &[UsageRow],
    ) -> Result<models::usage::Replaced, DbError> {
        let mut work = self.begin().await;
        let new_id = file_id(key);
        let file = ledger::begin_file(&mut work.tx(), "cdn", key, new_id, now()).await?;
        work.commit().await?;
        let mut work = self.begin().await;
        let bytes = rows.iter().map(|row| row.bytes).sum();
        let outcome =
            FileOutcome::new(totals(1, rows.len() as u64, bytes), &["counted"], &["none"]);
        let replaced =
            ledger::complete_file(&mut work.tx(), file.id, &outcome, rows, now()).await?;
        work.commit().await?;
        Ok(replaced)
    }

    /// Rolls up until nothing is left; returns how many accounts and months that took.
    pub(crate) async fn roll_up(&self, month: Option<Month>, limit: u32) -> usize {
        let (mut done, mut after) = (0, None);
        loop {
            let mut work = self.begin().await;
            let part =
                models::roll_up::roll_up(&mut work.tx(), month, after, limit, now()).await.unwrap();
            work.commit().await.unwrap();
            done += part.account_months;
            after = part.after;
            if !part.more {
                return done;
            }
        }
    }
}

pub(crate) fn now() -> Timestamp {
    at("2026-10-20T12:00:00Z")
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn month(text: &str) -> Month {
    text.parse().unwrap()
}

pub(crate) fn account_id(number: u128) -> AccountId {
    AccountId::from_bytes(number.to_be_bytes())
}

pub(crate) fn project_id(number: u128) -> ProjectId {
    ProjectId::from_bytes(number.to_be_bytes())
}

pub(crate) fn stream_id(number: u128) -> StreamId {
    StreamId::from_bytes(number.to_be_bytes())
}

/// An id that follows from the key, so that tests need no randomness.
pub(crate) fn file_id(key: &str) -> LogFileId {
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().zip(key.bytes()) {
        *place = byte;
    }
    LogFileId::from_bytes(bytes)
}

pub(crate) fn account(number: u128) -> Account {
    Account {
        id: account_id(number),
        name: format!("Account {number}"),
        billing_email: Some(format!("bills{number}@example.com")),
        billing_provider: BillingProvider::Cine,
        unthrottleable: false,
        throttled_at: None,
        throttled_reason: None,
        created_at: now(),
        updated_at: now(),
        deleted_at: None,
    }
}

pub(crate) fn project(number: u128, owner: u128) -> Project {
    Project {
        id: project_id(number),
        account_id: account_id(owner),
        name: format!("Project {number}"),
        public_key: format!("key{number}"),
        created_at: now(),
        updated_at: now(),
        deleted_at: None,
    }
}

pub(crate) fn stream(number: u128, owner: Option<u128>) -> Stream {
    Stream {
        id: stream_id(number),
        project_id: owner.map(project_id),
        name: format!("stream{number}"),
        instance_name: "cines".to_owned(),
        record: false,
        assigned_at: owner.map(|_| now()),
        created_at: now(),
        updated_at: now(),
        deleted_at: None,
    }
}

pub(crate) fn totals(size_bytes: u64, lines: u64, bytes: u64) -> FileTotals {
    FileTotals { size_bytes, lines, bytes }
}

pub(crate) fn usage(stream: u128, hour: &str, kind: UsageKind, bytes: u64) -> UsageRow {
    UsageRow { stream_id: stream_id(stream), hour: at(hour), kind, bytes, lines: 1, seconds: 0 }
}
