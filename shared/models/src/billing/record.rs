//! The record of an account's month, and the attempts to charge it.

use billing::{AccountPlans, Bill, Carried, RecordState};
use database::{DbError, Query, Row, Tx};
use values::{AccountId, Currency, Money, Month, Timestamp};

use crate::reader::{from_json, parsed, to_json};
use crate::{Reader, batch};

/// What a month of an account cost, frozen, and how far its settlement has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingRecord {
    /// Whose.
    pub account: AccountId,
    /// Which month.
    pub month: Month,
    /// How far it has come.
    pub state: RecordState,
    /// How many attempts the gateway refused for certain.
    pub refusals: u32,
    /// When the latest attempt began.
    pub attempted_at: Option<Timestamp>,
    /// The end of grace, fixed by the first decline.
    pub grace_until: Option<Timestamp>,
    /// The month whose invoice took on what was too small to charge.
    pub carried_into: Option<Month>,
    /// Why it is in its state: a reason of a settlement, or what a person gave.
    pub reason: String,
    /// The bill.
    pub bill: Bill,
    /// The plans it was written by.
    pub plans: AccountPlans,
    /// When it was written.
    pub created_at: Timestamp,
}

impl BillingRecord {
    /// What the decision about it needs to know.
    pub fn facts(&self) -> billing::Record {
        billing::Record {
            state: self.state,
            total: self.bill.total,
            refusals: self.refusals,
            attempted_at: self.attempted_at,
            grace_until: self.grace_until,
        }
    }
}

/// An attempt to charge a month; its key is the gateway's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The key.
    pub key: String,
    /// Whose month.
    pub account: AccountId,
    /// Which month.
    pub month: Month,
    /// Counted from 1.
    pub attempt: u32,
    /// How much.
    pub amount: Money,
    /// The gateway's id of who pays; none when a person collects.
    pub customer: Option<String>,
    /// The gateway's id of the card.
    pub card: Option<String>,
    /// `begun`, or how the gateway answered.
    pub state: String,
    /// The gateway's id of the payment.
    pub payment: Option<String>,
    /// The gateway's code of a refusal.
    pub code: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT account_id, month, state, refusals, attempted_at, grace_until,
  carried_into, reason, created_at, bill, plans FROM billing_record";

/// Reads the record of an account's month.
pub async fn record(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<Option<BillingRecord>, DbError> {
    read_record(&mut reader, account, month).await
}

pub(super) async fn read_record(
    reader: &mut impl Reader,
    account: AccountId,
    month: Month,
) -> Result<Option<BillingRecord>, DbError> {
    let query = Query::built(format!("{SELECT} WHERE account_id = $1 AND month = $2"));
    reader.first(query.bind(account).bind(month)).await?.as_ref().map(read).transpose()
}

/// Reads the records of accounts in a month, in no order.
pub async fn records(
    mut reader: impl Reader,
    accounts: &[AccountId],
    month: Month,
) -> Result<Vec<BillingRecord>, DbError> {
    let sql = (
        "SELECT account_id, month, state, refusals, attempted_at, grace_until,
           carried_into, reason, created_at, bill, plans FROM billing_record
           WHERE month = $1 AND account_id IN",
        "",
    );
    let rows = batch::select_in(&mut reader, sql, &[month.into()], accounts, |id| *id).await?;
    rows.iter().map(read).collect()
}

/// Reads at most `limit` records of a month in the order of their accounts after `after`.
pub async fn records_of_month(
    mut reader: impl Reader,
    month: Month,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<BillingRecord>, DbError> {
    let query = Query::built(format!(
        "{SELECT} WHERE month = $1 AND account_id > $2 ORDER BY account_id LIMIT $3"
    ));
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    reader.all(query.bind(month).bind(after).bind(limit)).await?.iter().map(read).collect()
}

/// Writes the record of a month for the first time.
///
/// # Errors
/// A conflict if there is one already: a month is billed once. A server's comes with a later
/// statement, see [`Tx::defer`].
pub async fn insert_record(tx: &mut Tx<'_>, record: &BillingRecord) -> Result<(), DbError> {
    let Bill { list_price, amount, total, .. } = &record.bill;
    let query = Query::new(
        "INSERT INTO billing_record (account_id, month, state, currency, list_price, amount, total,
           refusals, attempted_at, grace_until, carried_into, reason, created_at, updated_at, bill,
           plans) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15)",
    );
    let query = query.bind(record.account).bind(record.month).bind(record.state.as_str());
    let query = query.bind(total.currency.to_string()).bind(list_price.minor);
    let query = query.bind(amount.minor).bind(total.minor).bind(record.refusals);
    let query = query.bind(record.attempted_at).bind(record.grace_until).bind(record.carried_into);
    let query = query.bind(record.reason.as_str()).bind(record.created_at);
    tx.defer(query.bind(to_json(&record.bill)?).bind(to_json(&record.plans)?)).await
}

/// Stores how far a record has come; what is frozen in it stays.
pub async fn update_record(
    tx: &mut Tx<'_>,
    record: &BillingRecord,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE billing_record SET state = $3, refusals = $4, attempted_at = $5, grace_until = $6,
           carried_into = $7, reason = $8, updated_at = $9 WHERE account_id = $1 AND month = $2",
    );
    let query = query.bind(record.account).bind(record.month).bind(record.state.as_str());
    let query = query.bind(record.refusals).bind(record.attempted_at).bind(record.grace_until);
    let query = query.bind(record.carried_into).bind(record.reason.as_str());
    tx.defer(query.bind(now)).await
}

/// Finds the amounts of months before that were too small to charge and wait for an invoice.
pub async fn carried_over(
    mut reader: impl Reader,
    account: AccountId,
    before: Month,
) -> Result<Vec<Carried>, DbError> {
    let query = Query::new(
        "SELECT month, amount FROM billing_record WHERE account_id = $1 AND month < $2
           AND state = 'carried_over' AND carried_into IS NULL ORDER BY month",
    );
    let rows = reader.all(query.bind(account).bind(before)).await?;
    rows.iter().map(|row| Ok(Carried { month: row.get(0)?, minor: row.get(1)? })).collect()
}

/// Marks the months whose small amounts an invoice took on.
pub async fn carried_into(tx: &mut Tx<'_>, account: AccountId, into: Month) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE billing_record SET carried_into = $2 WHERE account_id = $1 AND month < $2
           AND state = 'carried_over' AND carried_into IS NULL",
    );
    tx.defer(query.bind(account).bind(into)).await
}

/// Whether another month of the account is refused and open.
pub async fn others_failed(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<bool, DbError> {
    let query = Query::new(
        "SELECT 1 FROM billing_record WHERE account_id = $1 AND month <> $2 AND state = 'failed'
           LIMIT 1",
    );
    Ok(reader.first(query.bind(account).bind(month)).await?.is_some())
}

const SELECT_ATTEMPT: &str = "SELECT key, account_id, month, attempt, currency, amount, customer,
  card, state, payment_id, code, created_at FROM payment_attempt";

/// Writes an attempt before the gateway is called; one that is there stays as it is, and is returned.
pub async fn begin_attempt(tx: &mut Tx<'_>, new: Attempt) -> Result<Attempt, DbError> {
    let query = Query::new(
        "INSERT INTO payment_attempt (key, account_id, month, attempt, currency, amount, customer,
           card, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'begun', $9)
           ON CONFLICT (key) DO NOTHING",
    );
    let query = query.bind(new.key.as_str()).bind(new.account).bind(new.month);
    let query = query.bind(new.attempt).bind(new.amount.currency.to_string());
    let query = query.bind(new.amount.minor).bind(new.customer.as_deref());
    let query = query.bind(new.card.as_deref()).bind(new.created_at);
    let written = tx.execute(query).await? == 1;
    if written {
        return Ok(new);
    }
    attempt(tx, &new.key)
        .await?
        .ok_or_else(|| DbError::Refused(format!("the attempt {} cannot be written", new.key)))
}

/// Stores what an attempt charges that waited for a transfer before; nothing of one that is sent.
pub async fn attempt_by_card(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE payment_attempt SET customer = $2, card = $3, amount = $4, created_at = $5
           WHERE key = $1 AND customer IS NULL AND state = 'begun'",
    );
    let query = query.bind(attempt.key.as_str()).bind(attempt.customer.as_deref());
    let query = query.bind(attempt.card.as_deref()).bind(attempt.amount.minor);
    tx.defer(query.bind(attempt.created_at)).await
}

/// Stores how an attempt ended.
pub async fn end_attempt(
    tx: &mut Tx<'_>,
    key: &str,
    state: &str,
    payment: Option<&str>,
    code: Option<&str>,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE payment_attempt SET state = $2, payment_id = $3, code = $4, ended_at = $5
           WHERE key = $1",
    );
    tx.defer(query.bind(key).bind(state).bind(payment).bind(code).bind(now)).await
}

/// Reads an attempt by its key.
pub async fn attempt(mut reader: impl Reader, key: &str) -> Result<Option<Attempt>, DbError> {
    let query = Query::built(format!("{SELECT_ATTEMPT} WHERE key = $1"));
    reader.first(query.bind(key)).await?.as_ref().map(read_attempt).transpose()
}

/// Finds the attempt that took the money of a month.
pub async fn accepted_attempt(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<Option<Attempt>, DbError> {
    let query = Query::built(format!(
        "{SELECT_ATTEMPT} WHERE account_id = $1 AND month = $2 AND state = 'accepted'"
    ));
    reader.first(query.bind(account).bind(month)).await?.as_ref().map(read_attempt).transpose()
}

fn read_attempt(row: &Row) -> Result<Attempt, DbError> {
    let currency: Currency = parsed(row, 4, "a currency")?;
    Ok(Attempt {
        key: row.get(0)?,
        account: row.get(1)?,
        month: row.get(2)?,
        attempt: row.get(3)?,
        amount: Money { minor: row.get(5)?, currency },
        customer: row.get(6)?,
        card: row.get(7)?,
        state: row.get(8)?,
        payment: row.get(9)?,
        code: row.get(10)?,
        created_at: row.get(11)?,
    })
}

fn read(row: &Row) -> Result<BillingRecord, DbError> {
    read_from(row, 0)
}

/// Reads the eleven columns of a record, of which `column` is the first.
pub(super) fn read_from(row: &Row, column: usize) -> Result<BillingRecord, DbError> {
    Ok(BillingRecord {
        account: row.get(column)?,
        month: row.get(column + 1)?,
        state: parsed(row, column + 2, "a state of a billing record")?,
        refusals: row.get(column + 3)?,
        attempted_at: row.get(column + 4)?,
        grace_until: row.get(column + 5)?,
        carried_into: row.get(column + 6)?,
        reason: row.get(column + 7)?,
        created_at: row.get(column + 8)?,
        bill: from_json(row, column + 9)?,
        plans: from_json(row, column + 10)?,
    })
}
