//! Rows out, one line each, in the order of their ids.

use std::io::Write;

use database::{Db, DbError};
use serde::Serialize;
use values::{AccountId, Month, ProjectId, StreamId};

use super::line::{AccountLine, ProjectLine, StreamLine, UsageLine};
use super::{Kind, TransferError};
use crate::usage::AccountMonth;
use crate::{Account, Project, Stream, accounts, projects, streams, usage};

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
        Kind::Account => all::<Account>(db, target).await?,
        Kind::Project => all::<Project>(db, target).await?,
        Kind::Stream => all::<Stream>(db, target).await?,
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

impl Exported for Account {
    type Key = AccountId;

    async fn page(db: &Db, after: Option<AccountId>) -> Result<Vec<Self>, DbError> {
        accounts::page(db, after, PAGE_ROWS).await
    }

    fn key(&self) -> AccountId {
        self.id
    }

    fn line(self) -> impl Serialize {
        AccountLine {
            kind: Kind::Account,
            id: self.id,
            name: self.name,
            billing_email: self.billing_email,
            billing_provider: self.billing_provider,
            unthrottleable: self.unthrottleable,
            throttled_at: self.throttled_at,
            throttled_reason: self.throttled_reason,
            created_at: Some(self.created_at),
            updated_at: Some(self.updated_at),
            deleted_at: self.deleted_at,
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

impl Exported for Stream {
    type Key = StreamId;

    async fn page(db: &Db, after: Option<StreamId>) -> Result<Vec<Self>, DbError> {
        streams::page(db, after, PAGE_ROWS).await
    }

    fn key(&self) -> StreamId {
        self.id
    }

    fn line(self) -> impl Serialize {
        StreamLine {
            kind: Kind::Stream,
            id: self.id,
            project_id: self.project_id,
            name: self.name,
            instance_name: self.instance_name,
            record: self.record,
            assigned_at: self.assigned_at,
            created_at: Some(self.created_at),
            updated_at: Some(self.updated_at),
            deleted_at: self.deleted_at,
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
            updated_at: self.updated_at,
        }
    }
}
