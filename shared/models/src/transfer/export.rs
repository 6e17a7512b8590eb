//! Rows out, one line each, in the order of their ids.

use std::collections::BTreeMap;
use std::io::Write;

use billing::PlanChange;
use database::{Db, DbError};
use serde::Serialize;
use values::{AccountId, Month, ProjectId, StreamId};

use super::line::{AccountLine, KeyDigest, PlansLine, ProjectLine, StreamLine, UsageLine};
use super::{Kind, TransferError};
use crate::usage::AccountMonth;
use crate::{Account, Project, Stream, accounts, plans, projects, publishing, streams, usage};

/// Rows read at a time, and so what is held in memory.
const PAGE_ROWS: u32 = 1_000;

/// Writes every row of a kind, deleted ones too, in the order of the ids; returns their number.
///
/// Rows are read page by page, so that memory stays small; what is written meanwhile may or may
/// not be in it, and each row is as it was at one instant.
///
/// # Errors
/// [`TransferError::Export`] if the database, [`TransferError::Write`] if the target failed.
pub async fn export(
    db: &Db,
    kind: Kind,
    target: &mut (dyn Write + Send),
) -> Result<u64, TransferError> {
    let count = match kind {
        Kind::Account => all::<(Account, Vec<PlanChange>)>(db, target).await?,
        Kind::Project => all::<Project>(db, target).await?,
        Kind::Stream => all::<(Stream, Option<KeyDigest>)>(db, target).await?,
        Kind::Usage => all::<AccountMonth>(db, target).await?,
    };
    target.flush().map_err(TransferError::Write)?;
    Ok(count)
}

async fn all<E: Exported>(db: &Db, target: &mut (dyn Write + Send)) -> Result<u64, TransferError> {
    let mut count = 0;
    let mut after = None;
    loop {
        let page = E::page(db, after).await.map_err(TransferError::Export)?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = Some(last.key());
        let mut text = Vec::new();
        for row in page {
            serde_json::to_writer(&mut text, &row.line())
                .expect("rows are plain data, and memory takes every write");
            text.push(b'\n');
            count += 1;
        }
        target.write_all(&text).map_err(TransferError::Write)?;
    }
}

/// What an export is made of.
trait Exported: Sized + Send {
    type Key: Copy + Send;

    fn page(
        db: &Db,
        after: Option<Self::Key>,
    ) -> impl Future<Output = Result<Vec<Self>, DbError>> + Send;
    fn key(&self) -> Self::Key;
    fn line(self) -> impl Serialize;
}

impl Exported for (Account, Vec<PlanChange>) {
    type Key = AccountId;

    async fn page(db: &Db, after: Option<AccountId>) -> Result<Vec<Self>, DbError> {
        let rows = accounts::page(db, after, PAGE_ROWS).await?;
        let ids: Vec<AccountId> = rows.iter().map(|row| row.id).collect();
        let mut held = plans::histories(db, &ids).await?;
        let with_plans = |row: Account| {
            let held = held.remove(&row.id).unwrap_or_default();
            (row, held)
        };
        Ok(rows.into_iter().map(with_plans).collect())
    }

    fn key(&self) -> AccountId {
        self.0.id
    }

    fn line(self) -> impl Serialize {
        let (row, held) = self;
        let plans = held.into_iter().map(|PlanChange { at, plans }| PlansLine {
            from: Some(at),
            broadcast: plans.broadcast,
            peer: plans.peer,
        });
        let plans: Vec<PlansLine> = plans.collect();
        AccountLine {
            kind: Kind::Account,
            id: row.id,
            name: row.name,
            billing_email: row.billing_email,
            billing_provider: row.billing_provider,
            unthrottleable: row.unthrottleable,
            throttled_at: row.throttled_at,
            throttled_reason: row.throttled_reason,
            plans: (!plans.is_empty()).then_some(plans),
            created_at: Some(row.created_at),
            updated_at: Some(row.updated_at),
            deleted_at: row.deleted_at,
        }
    }
}

impl Exported for Project {
    type Key = ProjectId;

    async fn page(db: &Db, after: Option<ProjectId>) -> Result<Vec<Self>, DbError> {
        projects::page(db, after, PAGE_ROWS).await
    }

    fn key(&self) -> ProjectId {
        self.id
    }

    fn line(self) -> impl Serialize {
        ProjectLine {
            kind: Kind::Project,
            id: self.id,
            account_id: self.account_id,
            name: self.name,
            public_key: self.public_key,
            created_at: Some(self.created_at),
            updated_at: Some(self.updated_at),
            deleted_at: self.deleted_at,
        }
    }
}

impl Exported for (Stream, Option<KeyDigest>) {
    type Key = StreamId;

    async fn page(db: &Db, after: Option<StreamId>) -> Result<Vec<Self>, DbError> {
        let rows = streams::page(db, after, PAGE_ROWS).await?;
        let ids: Vec<StreamId> = rows.iter().map(|row| row.id).collect();
        let keys: BTreeMap<StreamId, [u8; 32]> =
            publishing::keys(db, &ids).await?.into_iter().collect();
        let with_key = |row: Stream| {
            let key = keys.get(&row.id).copied().map(KeyDigest);
            (row, key)
        };
        Ok(rows.into_iter().map(with_key).collect())
    }

    fn key(&self) -> StreamId {
        self.0.id
    }

    fn line(self) -> impl Serialize {
        let (row, key) = self;
        StreamLine {
            kind: Kind::Stream,
            id: row.id,
            project_id: row.project_id,
            name: row.name,
            instance_name: row.instance_name,
            record: row.record,
            stream_key_sha256: key,
            assigned_at: row.assigned_at,
            created_at: Some(row.created_at),
            updated_at: Some(row.updated_at),
            deleted_at: row.deleted_at,
        }
    }
}

impl Exported for AccountMonth {
    type Key = (AccountId, Month);

    async fn page(db: &Db, after: Option<Self::Key>) -> Result<Vec<Self>, DbError> {
        usage::account_months(db, after, PAGE_ROWS).await
    }

    fn key(&self) -> Self::Key {
        (self.account_id, self.month)
    }

    fn line(self) -> impl Serialize {
        UsageLine {
            kind: Kind::Usage,
            account_id: self.account_id,
            month: self.month,
            bandwidth_bytes: self.bandwidth.total_bytes,
            fms_bytes: self.bandwidth.fms_bytes,
            hls_bytes: self.bandwidth.hls_bytes,
            vod_bytes: self.bandwidth.vod_bytes,
            lines: self.bandwidth.lines,
            storage_bytes: self.storage_bytes,
            peer_milliseconds: self.peer_milliseconds,
            updated_at: self.updated_at,
        }
    }
}
