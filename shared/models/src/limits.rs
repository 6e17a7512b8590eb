//! Which accounts use so much in a month that their limits have to be looked at.

use billing::{Limits, Usage};
use database::{DbError, Query, Row};
use values::{AccountId, Month};

use crate::Reader;
use crate::reader::amount;

/// Finds accounts with more usage in a month than `allowance`, at most `limit` by id.
///
/// Accounts that are deleted or exempt are left out; whoever may be throttled is not.
pub async fn above(
    mut reader: impl Reader,
    month: Month,
    allowance: &Limits,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<AccountId>, DbError> {
    let query = Query::new(
        "SELECT u.account_id FROM usage_account_month u JOIN account a ON a.id = u.account_id
           WHERE u.month = $1 AND u.account_id > $2 AND (u.bandwidth_bytes > $3
             OR u.storage_bytes > $4 OR u.peer_milliseconds > $5)
             AND a.deleted_at IS NULL AND a.unthrottleable = 0
           ORDER BY u.account_id LIMIT $6",
    );
    let whole = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let query = query.bind(month).bind(after).bind(whole(allowance.bandwidth_bytes));
    let query = query.bind(whole(allowance.storage_bytes));
    let query = query.bind(whole(allowance.peer_milliseconds)).bind(limit);
    reader.all(query).await?.iter().map(|row| row.get(0)).collect()
}

/// Reads what an account used in a month; nothing if no roll-up has found any.
pub async fn usage(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<Usage, DbError> {
    let query = Query::new(
        "SELECT bandwidth_bytes, storage_bytes, peer_milliseconds FROM usage_account_month
           WHERE account_id = $1 AND month = $2",
    );
    let read = |row: Row| {
        Ok(Usage {
            bandwidth_bytes: amount(&row, 0)?,
            storage_bytes: amount(&row, 1)?,
            peer_milliseconds: amount(&row, 2)?,
        })
    };
    reader.first(query.bind(account).bind(month)).await?.map_or(Ok(Usage::default()), read)
}
