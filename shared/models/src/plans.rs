//! What accounts held, and from when on: the history that a month is billed by.

use std::collections::BTreeMap;

use billing::{AccountPlans, PlanChange};
use database::{DbError, Query, Row, Tx};
use values::{AccountId, Timestamp};

use crate::reader::{from_json, to_json};
use crate::{Reader, batch};

/// The table of this module.
pub(crate) const PLAN_CHANGE: &str = "CREATE TABLE plan_change (
  account_id BLOB NOT NULL REFERENCES account (id), at INTEGER NOT NULL, plans TEXT NOT NULL,
  reason TEXT NOT NULL, PRIMARY KEY (account_id, at)) STRICT, WITHOUT ROWID";

/// Notes what an account holds from an instant on; of two changes at one instant the later counts.
///
/// `reason` is a code such as `sign_up`, `customer` or `upgrade`.
pub async fn change(
    tx: &mut Tx<'_>,
    account: AccountId,
    at: Timestamp,
    plans: &AccountPlans,
    reason: &str,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO plan_change (account_id, at, plans, reason) VALUES ($1, $2, $3, $4)
           ON CONFLICT (account_id, at) DO UPDATE
             SET plans = excluded.plans, reason = excluded.reason",
    );
    tx.execute(query.bind(account).bind(at).bind(to_json(plans)?).bind(reason)).await?;
    Ok(())
}

/// Reads the plan history of one account, oldest change first.
pub async fn history(
    mut reader: impl Reader,
    account: AccountId,
) -> Result<Vec<PlanChange>, DbError> {
    let query = Query::new("SELECT at, plans FROM plan_change WHERE account_id = $1 ORDER BY at");
    reader.all(query.bind(account)).await?.iter().map(|row| read(row, 0)).collect()
}

/// Reads the plan histories of many accounts, each oldest change first.
pub async fn histories(
    mut reader: impl Reader,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Vec<PlanChange>>, DbError> {
    let sql = (
        "SELECT account_id, at, plans FROM plan_change WHERE account_id IN",
        "ORDER BY account_id, at",
    );
    let rows = batch::select_in(&mut reader, sql, &[], accounts, |id| *id).await?;
    let mut histories: BTreeMap<AccountId, Vec<PlanChange>> = BTreeMap::new();
    for row in &rows {
        histories.entry(row.get(0)?).or_default().push(read(row, 1)?);
    }
    Ok(histories)
}

fn read(row: &Row, column: usize) -> Result<PlanChange, DbError> {
    Ok(PlanChange { at: row.get(column)?, plans: from_json(row, column + 1)? })
}
