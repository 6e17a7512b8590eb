//! Money that is given back, and the names under which corrections were asked for.

use database::{DbError, Query, Tx};
use values::{AccountId, Currency, Money, Timestamp};

use crate::Reader;
use crate::reader::parsed;

/// A refund as it was first asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRefund {
    /// The gateway's idempotency key.
    pub key: String,
    /// The invoice's number.
    pub number: String,
    /// Whose payment it was.
    pub account: AccountId,
    /// The gateway's id of the payment.
    pub payment: String,
    /// How much, tax included.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// When it was first asked for.
    pub created_at: Timestamp,
}

/// Stores a refund before the gateway is called.
pub async fn begin_refund(tx: &mut Tx<'_>, refund: &PaymentRefund) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO payment_refund (key, number, account_id, payment_id, currency, amount, reason,
           state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'begun', $8)",
    );
    let query = query.bind(refund.key.as_str()).bind(refund.number.as_str()).bind(refund.account);
    let query = query.bind(refund.payment.as_str()).bind(refund.amount.currency.to_string());
    let query = query.bind(refund.amount.minor).bind(refund.reason.as_str());
    tx.execute(query.bind(refund.created_at)).await?;
    Ok(())
}

/// Stores how a refund ended; returns whether this was the first time.
pub async fn end_refund(
    tx: &mut Tx<'_>,
    key: &str,
    state: &str,
    result: Option<&str>,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "UPDATE payment_refund SET state = $2, result = $3, ended_at = $4
           WHERE key = $1 AND state = 'begun'",
    );
    Ok(tx.execute(query.bind(key).bind(state).bind(result).bind(now)).await? == 1)
}

/// Reads a refund by its key.
pub async fn refund(mut reader: impl Reader, key: &str) -> Result<Option<PaymentRefund>, DbError> {
    let query = Query::new(
        "SELECT key, number, account_id, payment_id, currency, amount, reason, created_at
           FROM payment_refund WHERE key = $1",
    );
    let Some(row) = reader.first(query.bind(key)).await? else { return Ok(None) };
    let currency: Currency = parsed(&row, 4, "a currency")?;
    Ok(Some(PaymentRefund {
        key: row.get(0)?,
        number: row.get(1)?,
        account: row.get(2)?,
        payment: row.get(3)?,
        amount: Money { minor: row.get(5)?, currency },
        reason: row.get(6)?,
        created_at: row.get(7)?,
    }))
}

/// Sums what of an invoice is being given back, in minor units.
pub async fn refunds_under_way(mut reader: impl Reader, number: &str) -> Result<i64, DbError> {
    let query = Query::new(
        "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM payment_refund
           WHERE number = $1 AND state = 'begun'",
    );
    reader.first(query.bind(number)).await?.map_or(Ok(0), |row| row.get(0))
}

/// Notes which document an event made.
pub async fn name_document(tx: &mut Tx<'_>, event: &str, number: &str) -> Result<(), DbError> {
    let query = Query::new("INSERT INTO document_event (event, number) VALUES ($1, $2)");
    tx.execute(query.bind(event).bind(number)).await?;
    Ok(())
}

/// Finds the document that an event made.
pub async fn document_of_event(
    mut reader: impl Reader,
    event: &str,
) -> Result<Option<String>, DbError> {
    let query = Query::new("SELECT number FROM document_event WHERE event = $1");
    reader.first(query.bind(event)).await?.map(|row| row.get(0)).transpose()
}
