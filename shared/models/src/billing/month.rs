//! What is known of an account's month, read at once: a charge reads it while it holds the account.

use billing::Usage;
use database::{DbError, Query};
use values::{AccountId, Month};

use super::customer::read_details;
use super::{BillingDetails, BillingRecord, record, usage};
use crate::Reader;

/// What is known of an account's month.
#[derive(Debug)]
pub struct MonthFacts {
    /// Its record, once it is settled or being settled.
    pub record: Option<BillingRecord>,
    /// Whom the account's bills are made out to.
    pub details: BillingDetails,
    /// The usage it is billed by, once that is frozen.
    pub frozen: Option<Usage>,
    /// The usage that is known now.
    pub known: Result<Usage, DbError>,
}

/// Reads what is known of an account's month.
pub async fn month_facts(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<MonthFacts, DbError> {
    let query = Query::new(
        "SELECT f.bandwidth_bytes, f.storage_bytes, f.peer_milliseconds,
           u.bandwidth_bytes, u.storage_bytes, u.peer_milliseconds,
           d.currency, d.legal_name, d.address, d.country, d.tax_id, d.po_number, d.copy_addresses,
           r.account_id, r.month, r.state, r.refusals, r.attempted_at, r.grace_until,
           r.carried_into, r.reason, r.created_at, r.bill, r.plans
         FROM account a
           LEFT JOIN billing_usage f ON f.account_id = a.id AND f.month = $2
           LEFT JOIN usage_account_month u ON u.account_id = a.id AND u.month = $2
           LEFT JOIN billing_details d ON d.account_id = a.id
           LEFT JOIN billing_record r ON r.account_id = a.id AND r.month = $2
         WHERE a.id = $1",
    );
    let Some(row) = reader.first(query.bind(account).bind(month)).await? else {
        let (details, known) = (BillingDetails::default(), Ok(Usage::default()));
        return Ok(MonthFacts { record: None, details, frozen: None, known });
    };
    let is_there = |column| row.get::<Option<i64>>(column).map(|value| value.is_some());
    let has_details = row.get::<Option<String>>(6)?.is_some();
    Ok(MonthFacts {
        record: if is_there(14)? { Some(record::read_from(&row, 13)?) } else { None },
        details: if has_details { read_details(&row, 6)? } else { BillingDetails::default() },
        frozen: if is_there(0)? { Some(usage::read(&row, 0)?) } else { None },
        known: if is_there(3)? { usage::read(&row, 3) } else { Ok(Usage::default()) },
    })
}
