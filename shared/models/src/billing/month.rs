//! What is known of an account's month, read at once: a charge reads it while it holds the account.

use billing::{AccountPlans, Carried, InvoiceBalance, Usage};
use database::{DbError, Query, Tx};
use values::{AccountId, Month};

use super::customer::{read_details, read_primary_card};
use super::{
    BillingDetails, BillingRecord, PaymentCustomer, carried_over, credit_of, invoice, record, usage,
};
use crate::reader::from_json;

/// What is known of an account's month.
#[derive(Debug)]
pub struct MonthFacts {
    /// Its record, once it is settled or being settled.
    pub record: Option<BillingRecord>,
    /// The plans held at its last instant, as [`billing::plans_at_end`] finds them.
    pub plans: AccountPlans,
    /// Whom the account's bills are made out to.
    pub details: BillingDetails,
    /// What is charged for the account, see [`super::primary_card`].
    pub customer: Option<PaymentCustomer>,
    /// The usage it is billed by, once that is frozen.
    pub frozen: Option<Usage>,
    /// The usage that is known now.
    pub known: Result<Usage, DbError>,
    /// Amounts of months before that wait for an invoice, see [`carried_over`].
    pub carried: Vec<Carried>,
    /// What the account has to its credit, see [`credit_of`].
    pub credit_minor: i64,
    /// Whether nobody is charged at the moment, see [`super::charges_stopped`].
    pub charges_stopped: bool,
}

/// Reads what is known of an account's month; the account has to be there.
pub async fn month_facts(
    tx: &mut Tx<'_>,
    account: AccountId,
    month: Month,
) -> Result<MonthFacts, DbError> {
    let query = Query::new(
        "SELECT f.bandwidth_bytes, f.storage_bytes, f.peer_milliseconds,
           u.bandwidth_bytes, u.storage_bytes, u.peer_milliseconds,
           d.currency, d.legal_name, d.address, d.country, d.tax_id, d.po_number, d.copy_addresses,
           r.account_id, r.month, r.state, r.refusals, r.attempted_at, r.grace_until,
           r.carried_into, r.reason, r.created_at, r.bill, r.plans,
           p.customer, c.id, c.brand, c.last4, c.valid_through, c.created_at,
           (SELECT count(*) FROM billing_record WHERE account_id = a.id AND state = 'carried_over'),
           (SELECT count(*) FROM invoice WHERE account_id = a.id AND kind = 'invoice'
              AND net + tax + refunded - paid - credited - written_off < 0),
           (SELECT plans FROM plan_change WHERE account_id = a.id AND at < $3
              ORDER BY at DESC LIMIT 1),
           (SELECT count(*) FROM billing_brake)
         FROM account a
           LEFT JOIN billing_usage f ON f.account_id = a.id AND f.month = $2
           LEFT JOIN usage_account_month u ON u.account_id = a.id AND u.month = $2
           LEFT JOIN billing_details d ON d.account_id = a.id
           LEFT JOIN billing_record r ON r.account_id = a.id AND r.month = $2
           LEFT JOIN payment_customer p ON p.account_id = a.id
           LEFT JOIN payment_card c ON c.id = (SELECT id FROM payment_card
             WHERE account_id = a.id AND deleted_at IS NULL ORDER BY created_at, id LIMIT 1)
         WHERE a.id = $1",
    );
    let Some(row) = tx.first(query.bind(account).bind(month).bind(month.end())).await? else {
        return Err(DbError::Refused(format!("there is no account {account}")));
    };
    let is_there = |column| row.get::<Option<i64>>(column).map(|value| value.is_some());
    let is_named = |column| row.get::<Option<String>>(column).map(|value| value.is_some());
    let details = if is_named(6)? { read_details(&row, 6)? } else { BillingDetails::default() };
    // Few accounts have any, so these reads of their own are rare.
    let is_carried = row.get::<i64>(30)? > 0;
    let carried =
        if is_carried { carried_over(&mut *tx, account, month).await? } else { Vec::new() };
    let has_credit = row.get::<i64>(31)? > 0;
    let credit_minor =
        if has_credit { credit_of(&mut *tx, account, details.currency).await? } else { 0 };
    Ok(MonthFacts {
        record: if is_there(14)? { Some(record::read_from(&row, 13)?) } else { None },
        plans: if is_named(32)? { from_json(&row, 32)? } else { AccountPlans::default() },
        details,
        customer: if is_named(24)? && is_named(25)? {
            Some(read_primary_card(&row, 24)?)
        } else {
            None
        },
        frozen: if is_there(0)? { Some(usage::read(&row, 0)?) } else { None },
        known: if is_there(3)? { usage::read(&row, 3) } else { Ok(Usage::default()) },
        carried,
        credit_minor,
        charges_stopped: row.get::<i64>(33)? > 0,
    })
}

/// Reads what an answer of the gateway settles: a month's record, and what its invoice of that
/// number says if there is one.
pub async fn month_charged(
    tx: &mut Tx<'_>,
    account: AccountId,
    month: Month,
    number: &str,
) -> Result<Option<(BillingRecord, Option<InvoiceBalance>)>, DbError> {
    let query = Query::new(
        "SELECT r.account_id, r.month, r.state, r.refusals, r.attempted_at, r.grace_until,
           r.carried_into, r.reason, r.created_at, r.bill, r.plans,
           i.currency, i.net, i.tax, i.paid, i.refunded, i.credited, i.written_off
         FROM billing_record r LEFT JOIN invoice i
           ON i.number = $3 AND i.account_id = r.account_id AND i.month = r.month
         WHERE r.account_id = $1 AND r.month = $2",
    );
    let row = tx.first(query.bind(account).bind(month).bind(number)).await?;
    let Some(row) = row else { return Ok(None) };
    let is_invoiced = row.get::<Option<String>>(11)?.is_some();
    let balance = is_invoiced.then(|| invoice::read_balance(&row, 11)).transpose()?;
    Ok(Some((record::read_from(&row, 0)?, balance)))
}
