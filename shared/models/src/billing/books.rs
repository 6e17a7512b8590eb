//! The ledger: every event is posted once, and its postings sum to zero.

use billing::{Balances, LedgerAccount, LedgerEvent};
use database::{DbError, Query, Row, Tx};
use values::{AccountId, Currency, Money, Month, Timestamp};

use crate::reader::parsed;
use crate::{Reader, batch};

/// One posting, as reports and exports show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookLine {
    /// The event that was posted; unique.
    pub event: String,
    /// The ledger's account.
    pub ledger_account: LedgerAccount,
    /// A debit if positive, a credit if negative.
    pub amount: Money,
    /// The customer.
    pub account: AccountId,
    /// The document it is about.
    pub number: String,
    /// The month it is about.
    pub month: Month,
    /// When it happened.
    pub at: Timestamp,
}

/// Whom and what an event is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The customer.
    pub account: AccountId,
    /// The document.
    pub number: &'a str,
    /// The month.
    pub month: Month,
    /// When it happened.
    pub at: Timestamp,
}

/// Posts an event under its name; one that is posted already is left alone.
///
/// # Errors
/// [`DbError::Refused`] for amounts that cannot be posted.
pub async fn post(
    tx: &mut Tx<'_>,
    name: &str,
    event: &LedgerEvent,
    about: &About<'_>,
) -> Result<(), DbError> {
    let About { account, number, month, at } = *about;
    let entry = event.entry().map_err(|error| DbError::Refused(error.to_string()))?;
    if entry.postings().is_empty() {
        return Ok(());
    }
    let into =
        "INSERT INTO ledger_entry (event, ledger_account, currency, minor, account_id, number,
      month, at) VALUES";
    let conflict = "ON CONFLICT (event, ledger_account) DO NOTHING";
    let query = batch::insertion(into, conflict, entry.postings(), |posting| {
        [
            name.into(),
            posting.account.as_str().into(),
            posting.amount.currency.to_string().into(),
            posting.amount.minor.into(),
            account.into(),
            number.into(),
            month.into(),
            at.into(),
        ]
    });
    tx.defer(query).await
}

/// Reads what an event posted to an account of the ledger; `None` if it was not posted.
pub async fn posted(
    mut reader: impl Reader,
    event: &str,
    account: LedgerAccount,
) -> Result<Option<Money>, DbError> {
    let query = Query::new(
        "SELECT currency, minor FROM ledger_entry WHERE event = $1 AND ledger_account = $2",
    );
    let Some(row) = reader.first(query.bind(event).bind(account.as_str())).await? else {
        return Ok(None);
    };
    Ok(Some(Money { minor: row.get(1)?, currency: parsed(&row, 0, "a currency")? }))
}

/// Sums every account of the ledger in every currency, of one month's documents or of all.
pub async fn balances(mut reader: impl Reader, month: Option<Month>) -> Result<Balances, DbError> {
    let (first, last) = month.map_or((i64::MIN, i64::MAX), |m| (m.index(), m.index()));
    let query = Query::new(
        "SELECT ledger_account, currency, CAST(sum(minor) AS BIGINT) FROM ledger_entry
           WHERE month >= $1 AND month <= $2 GROUP BY ledger_account, currency",
    );
    let mut balances = Balances::default();
    for row in reader.all(query.bind(first).bind(last)).await? {
        let account = parsed(&row, 0, "an account of the ledger")?;
        balances.add_total(account, parsed(&row, 1, "a currency")?, row.get::<i64>(2)?.into());
    }
    Ok(balances)
}

/// Names at most `limit` events whose postings do not sum to zero: anything at all is a fault.
pub async fn unbalanced(mut reader: impl Reader, limit: u32) -> Result<Vec<String>, DbError> {
    let query = Query::new(
        "SELECT event FROM ledger_entry GROUP BY event, currency HAVING sum(minor) <> 0
           ORDER BY event LIMIT $1",
    );
    reader.all(query.bind(limit)).await?.iter().map(|row| row.get(0)).collect()
}

/// Reads at most `limit` postings of a month's documents behind the one that `after` is.
///
/// The postings of one event come together.
pub async fn entries_of_month(
    mut reader: impl Reader,
    month: Month,
    after: Option<&BookLine>,
    limit: u32,
) -> Result<Vec<BookLine>, DbError> {
    let query = Query::new(
        "SELECT event, ledger_account, currency, minor, account_id, number, month, at
           FROM ledger_entry WHERE month = $1 AND (event, ledger_account) > ($2, $3)
           ORDER BY event, ledger_account LIMIT $4",
    );
    let after = after.map_or(("", ""), |line| (&*line.event, line.ledger_account.as_str()));
    let query = query.bind(month).bind(after.0).bind(after.1).bind(limit);
    reader.all(query).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<BookLine, DbError> {
    let currency: Currency = parsed(row, 2, "a currency")?;
    Ok(BookLine {
        event: row.get(0)?,
        ledger_account: parsed(row, 1, "an account of the ledger")?,
        amount: Money { minor: row.get(3)?, currency },
        account: row.get(4)?,
        number: row.get(5)?,
        month: row.get(6)?,
        at: row.get(7)?,
    })
}
