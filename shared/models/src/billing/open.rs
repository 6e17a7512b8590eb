//! Which accounts a month is still to be settled with.

use billing::Usage;
use database::{DbError, Query};
use values::{AccountId, Month};

use super::BillingRecord;
use super::record::read_record;
use super::usage::read;
use crate::Reader;

/// Open months of one account that are looked at: more than any retry rule leaves.
const OPEN_MONTHS_MAX: u32 = 240;

/// Lists accounts whose month may be billed and is not settled, by id after `after`.
///
/// Left out are deleted accounts, those a marketplace bills, those made later, those that held no
/// plan by the end of the month, and months that are paid, waived, carried over or wait for a card.
pub async fn billable(
    mut reader: impl Reader,
    month: Month,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<AccountId>, DbError> {
    let query = Query::new(
        "SELECT a.id FROM account a
           LEFT JOIN billing_record r ON r.account_id = a.id AND r.month = $1
           WHERE a.id > $2 AND a.deleted_at IS NULL AND a.billing_provider = 'cine.io'
             AND a.created_at < $3 AND (r.state IS NULL OR r.state IN ('pending', 'failed'))
             AND EXISTS (SELECT 1 FROM plan_change p WHERE p.account_id = a.id AND p.at < $3)
           ORDER BY a.id LIMIT $4",
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let query = query.bind(month).bind(after).bind(month.end()).bind(limit);
    reader.all(query).await?.iter().map(|row| row.get(0)).collect()
}

/// Reads the months of an account that are not settled, earliest first.
pub async fn open_records(
    mut reader: impl Reader,
    account: AccountId,
) -> Result<Vec<(BillingRecord, Usage)>, DbError> {
    let query = Query::new(
        "SELECT month FROM billing_record WHERE account_id = $1
           AND state IN ('pending', 'failed', 'no_card') ORDER BY month LIMIT $2",
    );
    let months = reader.all(query.bind(account).bind(OPEN_MONTHS_MAX)).await?;
    let mut open = Vec::with_capacity(months.len());
    for row in &months {
        let month: Month = row.get(0)?;
        let query = Query::new(
            "SELECT bandwidth_bytes, storage_bytes, peer_milliseconds FROM billing_usage
               WHERE account_id = $1 AND month = $2",
        );
        let usage = reader.first(query.bind(account).bind(month)).await?;
        let usage = usage.as_ref().map(|row| read(row, 0)).transpose()?.unwrap_or_default();
        if let Some(record) = read_record(&mut reader, account, month).await? {
            open.push((record, usage));
        }
    }
    Ok(open)
}
