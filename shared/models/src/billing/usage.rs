//! What a month used, kept from the moment it is billed by.

use std::collections::BTreeMap;

use billing::{BillingError, Usage};
use database::{DbError, Query, Row, Tx};
use values::{AccountId, Month, Timestamp};

use crate::reader::amount;
use crate::{Reader, batch};

/// Usage that came after its month was frozen: reported, never billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateUsage {
    /// Whose.
    pub account: AccountId,
    /// What the bill counted.
    pub frozen: Figures,
    /// What is known now.
    pub now: Figures,
}

/// Usage as a table holds it, which may be what nobody can have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Bytes sent to viewers.
    pub bandwidth_bytes: i64,
    /// Bytes of recordings kept.
    pub storage_bytes: i64,
    /// Milliseconds that people spent in rooms.
    pub peer_milliseconds: i64,
}

impl Figures {
    /// Takes them for usage.
    ///
    /// # Errors
    /// [`BillingError::AbsurdUsage`], naming the first that cannot be.
    pub fn usage(self) -> Result<Usage, BillingError> {
        let Self { bandwidth_bytes, storage_bytes, peer_milliseconds } = self;
        Usage::from_figures(Some(bandwidth_bytes), Some(storage_bytes), Some(peer_milliseconds))
    }
}

/// Reads what accounts are known to have used in a month; those without usage are left out.
pub async fn current_usage(
    mut reader: impl Reader,
    accounts: &[AccountId],
    month: Month,
) -> Result<BTreeMap<AccountId, Usage>, DbError> {
    let rows = batch::select_in(&mut reader, CURRENT, &[month.into()], accounts, |id| *id).await?;
    rows.iter().map(|row| Ok((row.get(0)?, read(row, 1)?))).collect()
}

const CURRENT: (&str, &str) = (
    "SELECT account_id, bandwidth_bytes, storage_bytes, peer_milliseconds
       FROM usage_account_month WHERE month = $1 AND account_id IN",
    "",
);

/// Reads what was frozen of accounts' usage of a month.
pub async fn frozen_usage(
    mut reader: impl Reader,
    accounts: &[AccountId],
    month: Month,
) -> Result<BTreeMap<AccountId, Usage>, DbError> {
    let sql = (
        "SELECT account_id, bandwidth_bytes, storage_bytes, peer_milliseconds
           FROM billing_usage WHERE month = $1 AND account_id IN",
        "",
    );
    let rows = batch::select_in(&mut reader, sql, &[month.into()], accounts, |id| *id).await?;
    rows.iter().map(|row| Ok((row.get(0)?, read(row, 1)?))).collect()
}

/// Freezes the usage of accounts in a month as it is known now; what is frozen stays.
///
/// Usage that cannot be, such as a negative one, is not frozen: billing that account says so, and
/// the others are billed.
pub async fn freeze(
    tx: &mut Tx<'_>,
    accounts: &[AccountId],
    month: Month,
    now: Timestamp,
) -> Result<(), DbError> {
    let rows =
        batch::select_in(&mut &mut *tx, CURRENT, &[month.into()], accounts, |id| *id).await?;
    let mut known: BTreeMap<AccountId, Option<Usage>> = BTreeMap::new();
    for row in &rows {
        known.insert(row.get(0)?, read(row, 1).ok());
    }
    let into = "INSERT INTO billing_usage (account_id, month, bandwidth_bytes, storage_bytes,
      peer_milliseconds, frozen_at) VALUES";
    let conflict = "ON CONFLICT (account_id, month) DO NOTHING";
    let mut accounts = batch::last_of_each(accounts, |account| *account);
    accounts.retain(|account| known.get(account) != Some(&None));
    batch::insert(tx, into, conflict, &accounts, |account| {
        let Usage { bandwidth_bytes, storage_bytes, peer_milliseconds } =
            known.get(account).copied().flatten().unwrap_or_default();
        let whole = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        [
            (**account).into(),
            month.into(),
            whole(bandwidth_bytes).into(),
            whole(storage_bytes).into(),
            whole(peer_milliseconds).into(),
            now.into(),
        ]
    })
    .await?;
    Ok(())
}

/// Finds accounts whose usage of a month is not what their bill counted, at most `limit` of them.
pub async fn late_usage(
    mut reader: impl Reader,
    month: Month,
    limit: u32,
) -> Result<Vec<LateUsage>, DbError> {
    let query = Query::new(
        "SELECT f.account_id, f.bandwidth_bytes, f.storage_bytes, f.peer_milliseconds,
           u.bandwidth_bytes, u.storage_bytes, u.peer_milliseconds
           FROM billing_usage f JOIN usage_account_month u
             ON u.account_id = f.account_id AND u.month = f.month
           WHERE f.month = $1 AND (f.bandwidth_bytes <> u.bandwidth_bytes
             OR f.storage_bytes <> u.storage_bytes OR f.peer_milliseconds <> u.peer_milliseconds)
           ORDER BY f.account_id LIMIT $2",
    );
    let rows = reader.all(query.bind(month).bind(limit)).await?;
    let figures = |row: &Row, at: usize| {
        let (storage_bytes, peer_milliseconds) = (row.get(at + 1)?, row.get(at + 2)?);
        Ok::<_, DbError>(Figures {
            bandwidth_bytes: row.get(at)?,
            storage_bytes,
            peer_milliseconds,
        })
    };
    let late = |row: &Row| {
        Ok(LateUsage { account: row.get(0)?, frozen: figures(row, 1)?, now: figures(row, 4)? })
    };
    rows.iter().map(late).collect()
}

pub(super) fn read(row: &Row, column: usize) -> Result<Usage, DbError> {
    Ok(Usage {
        bandwidth_bytes: amount(row, column)?,
        storage_bytes: amount(row, column + 1)?,
        peer_milliseconds: amount(row, column + 2)?,
    })
}
