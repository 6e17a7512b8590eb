//! Invoices and credit notes: numbered without gaps, and never changed in what they ask for.

use billing::{Bill, BillingError, InvoiceBalance};
use database::{DbError, Query, Row, Tx};
use values::{AccountId, Currency, Money, Month, Timestamp};

use super::BillingDetails;
use crate::reader::{from_json, parsed, to_json};
use crate::words::words;
use crate::{Reader, accounts};

words! {
    /// A kind of numbered document; each has a series of its own.
    DocumentKind, "a kind of document":
    /// Asks for money.
    Invoice = "invoice",
    /// Takes an invoice, or a part of it, back.
    CreditNote = "credit_note",
}

/// An invoice or a credit note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its number, unique for ever.
    pub number: String,
    /// Which it is.
    pub kind: DocumentKind,
    /// For whom.
    pub account: AccountId,
    /// About which month.
    pub month: Month,
    /// The invoice a credit note takes back.
    pub refers_to: Option<String>,
    /// What it asks for and what became of that; of a credit note only net and tax.
    pub balance: InvoiceBalance,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it is to be paid.
    pub due_at: Timestamp,
    /// Why a credit note was issued.
    pub reason: Option<String>,
    /// To whom it was made out, as of its issue.
    pub details: BillingDetails,
    /// The lines.
    pub bill: Bill,
}

/// What a document is issued from; its number is given with it.
#[derive(Debug, Clone, Copy)]
pub struct Issue<'a> {
    /// The series' owner, a short name.
    pub issuer: &'a str,
    /// What its numbers begin with.
    pub prefix: &'a str,
    /// Which it is.
    pub kind: DocumentKind,
    /// For whom.
    pub account: AccountId,
    /// About which month.
    pub month: Month,
    /// The invoice a credit note takes back.
    pub refers_to: Option<&'a str>,
    /// Net and tax.
    pub balance: InvoiceBalance,
    /// When.
    pub issued_at: Timestamp,
    /// When it is to be paid.
    pub due_at: Timestamp,
    /// Why a credit note is issued.
    pub reason: Option<&'a str>,
    /// To whom it is made out.
    pub details: &'a BillingDetails,
    /// The lines.
    pub bill: &'a Bill,
}

/// Issues a document under the next number of its series.
///
/// The number moves in the same transaction, so that one that is rolled back leaves no gap.
pub async fn issue(tx: &mut Tx<'_>, issue: &Issue<'_>) -> Result<String, DbError> {
    let query = Query::new(
        "INSERT INTO invoice_series (issuer, kind, last) VALUES ($1, $2, 1)
           ON CONFLICT (issuer, kind) DO UPDATE SET last = invoice_series.last + 1 RETURNING last",
    );
    let row = tx.first(query.bind(issue.issuer).bind(issue.kind)).await?;
    let row = row.ok_or_else(|| DbError::Refused("a series gave no number".to_owned()))?;
    let sequence: i64 = row.get(0)?;
    let number = format!("{}{sequence:06}", issue.prefix);
    let InvoiceBalance { net, tax, paid, refunded, credited, written_off } = issue.balance;
    let query = Query::new(
        "INSERT INTO invoice (number, issuer, kind, sequence, account_id, month, refers_to,
           currency, net, tax, paid, refunded, credited, written_off, issued_at, due_at, reason,
           details, bill) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
           $15, $16, $17, $18, $19)",
    );
    let query = query.bind(number.as_str()).bind(issue.issuer).bind(issue.kind).bind(sequence);
    let query = query.bind(issue.account).bind(issue.month).bind(issue.refers_to);
    let query = query.bind(net.currency.to_string()).bind(net.minor).bind(tax.minor);
    let query = query.bind(paid.minor).bind(refunded.minor).bind(credited.minor);
    let query = query.bind(written_off.minor).bind(issue.issued_at).bind(issue.due_at);
    let query = query.bind(issue.reason).bind(to_json(issue.details)?);
    tx.defer(query.bind(to_json(issue.bill)?)).await?;
    Ok(number)
}

const SELECT: &str = "SELECT number, kind, account_id, month, refers_to, currency, net, tax, paid,
  refunded, credited, written_off, issued_at, due_at, reason, details, bill FROM invoice";

/// Reads the invoice of an account's month.
pub async fn of_month(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<Option<Document>, DbError> {
    let query =
        Query::built(format!("{SELECT} WHERE account_id = $1 AND month = $2 AND kind = 'invoice'"));
    reader.first(query.bind(account).bind(month)).await?.as_ref().map(read).transpose()
}

/// Reads a document by its number.
pub async fn by_number(mut reader: impl Reader, number: &str) -> Result<Option<Document>, DbError> {
    let query = Query::built(format!("{SELECT} WHERE number = $1"));
    reader.first(query.bind(number)).await?.as_ref().map(read).transpose()
}

/// Reads at most `limit` documents about a month, by number after `after`.
pub async fn documents_of_month(
    mut reader: impl Reader,
    month: Month,
    after: &str,
    limit: u32,
) -> Result<Vec<Document>, DbError> {
    let query =
        Query::built(format!("{SELECT} WHERE month = $1 AND number > $2 ORDER BY number LIMIT $3"));
    reader.all(query.bind(month).bind(after).bind(limit)).await?.iter().map(read).collect()
}

/// Reads at most `limit` invoices that are not settled to zero, by number after `after`.
pub async fn open_invoices(
    mut reader: impl Reader,
    after: &str,
    limit: u32,
) -> Result<Vec<Document>, DbError> {
    let query = Query::built(format!(
        "{SELECT} WHERE kind = 'invoice' AND number > $1
           AND net + tax + refunded - paid - credited - written_off <> 0 ORDER BY number LIMIT $2"
    ));
    reader.all(query.bind(after).bind(limit)).await?.iter().map(read).collect()
}

/// Stores what became of an invoice; net and tax stay.
pub async fn store_balance(
    tx: &mut Tx<'_>,
    number: &str,
    balance: &InvoiceBalance,
) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE invoice SET paid = $2, refunded = $3, credited = $4, written_off = $5
           WHERE number = $1",
    );
    let query = query.bind(number).bind(balance.paid.minor).bind(balance.refunded.minor);
    tx.defer(query.bind(balance.credited.minor).bind(balance.written_off.minor)).await
}

/// What a customer has to its credit in a currency: paid invoices that were taken back.
pub async fn credit_of(
    reader: impl Reader,
    account: AccountId,
    currency: Currency,
) -> Result<i64, DbError> {
    let mut sum = 0_i64;
    for (_, balance) in in_credit(reader, account, currency).await? {
        let open = balance.open().map_err(|error| told(&error))?;
        sum = sum.saturating_sub(open.minor);
    }
    Ok(sum)
}

/// Moves credit of a customer to an invoice: its bill already shows it.
///
/// # Errors
/// [`DbError::Refused`] if there is less credit than `amount`.
pub async fn spend_credit(
    tx: &mut Tx<'_>,
    account: AccountId,
    number: &str,
    mut amount: Money,
) -> Result<(), DbError> {
    if amount.minor == 0 {
        return Ok(());
    }
    accounts::lock(tx, account).await?;
    let invoice = by_number(&mut *tx, number).await?;
    let invoice = invoice.ok_or_else(|| DbError::Refused(format!("no invoice {number}")))?;
    let mut to = invoice.balance;
    for (from_number, from) in in_credit(&mut *tx, account, amount.currency).await? {
        let open = from.open().map_err(|error| told(&error))?;
        let part = Money { minor: amount.minor.min(-open.minor), ..amount };
        let (from, after) = from.move_credit(to, part).map_err(|error| told(&error))?;
        store_balance(tx, &from_number, &from).await?;
        to = after;
        amount.minor -= part.minor;
    }
    if amount.minor > 0 {
        return Err(DbError::Refused(format!("credit of {account} is {} short", amount.minor)));
    }
    store_balance(tx, number, &to).await
}

async fn in_credit(
    mut reader: impl Reader,
    account: AccountId,
    currency: Currency,
) -> Result<Vec<(String, InvoiceBalance)>, DbError> {
    let query = Query::built(format!(
        "{SELECT} WHERE account_id = $1 AND currency = $2 AND kind = 'invoice'
           AND net + tax + refunded - paid - credited - written_off < 0 ORDER BY month"
    ));
    let rows = reader.all(query.bind(account).bind(currency.to_string())).await?;
    rows.iter().map(|row| read(row).map(|document| (document.number, document.balance))).collect()
}

fn told(error: &BillingError) -> DbError {
    DbError::Refused(error.to_string())
}

/// Reads the currency and the six amounts of a document, of which `column` is the first.
pub(super) fn read_balance(row: &Row, column: usize) -> Result<InvoiceBalance, DbError> {
    let currency: Currency = parsed(row, column, "a currency")?;
    let money = |at| Ok::<_, DbError>(Money { minor: row.get(column + at)?, currency });
    Ok(InvoiceBalance {
        net: money(1)?,
        tax: money(2)?,
        paid: money(3)?,
        refunded: money(4)?,
        credited: money(5)?,
        written_off: money(6)?,
    })
}

fn read(row: &Row) -> Result<Document, DbError> {
    Ok(Document {
        number: row.get(0)?,
        kind: row.get(1)?,
        account: row.get(2)?,
        month: row.get(3)?,
        refers_to: row.get(4)?,
        balance: read_balance(row, 5)?,
        issued_at: row.get(12)?,
        due_at: row.get(13)?,
        reason: row.get(14)?,
        details: from_json(row, 15)?,
        bill: from_json(row, 16)?,
    })
}
