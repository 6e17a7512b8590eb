//! Throttles of accounts: which one holds, which have been, and who was warned before.
//!
//! A throttle lives on the account, whose columns show the earliest that is open; its projects
//! derive it. Every throttle keeps its row, so that a month throttled from its first instant to its
//! last can be told from others.

use billing::ThrottlePeriod;
use database::{DbError, Query, Tx};
use values::{AccountId, Month, Timestamp};

use crate::reader::amount;
use crate::{Reader, ThrottledReason, accounts};

/// The throttles of each account, counted from 1.
pub(crate) const THROTTLE: &str = "CREATE TABLE throttle (
  account_id BLOB NOT NULL REFERENCES account (id), sequence INTEGER NOT NULL,
  reason TEXT NOT NULL, at INTEGER NOT NULL, lifted_at INTEGER,
  PRIMARY KEY (account_id, sequence)) STRICT, WITHOUT ROWID";

/// Who was warned of a limit, at most once a month.
pub(crate) const LIMIT_WARNING: &str = "CREATE TABLE limit_warning (
  account_id BLOB NOT NULL REFERENCES account (id), month INTEGER NOT NULL,
  at INTEGER NOT NULL, PRIMARY KEY (account_id, month)) STRICT, WITHOUT ROWID";

/// Throttles an account from `at` on, which may be to come; returns how many throttles it has had.
///
/// `None` if one for this reason is open already: it stays as it is.
pub async fn throttle(
    tx: &mut Tx<'_>,
    account: AccountId,
    (at, reason): (Timestamp, ThrottledReason),
    now: Timestamp,
) -> Result<Option<u64>, DbError> {
    accounts::lock(tx, account).await?;
    adopt(tx, account, now).await?;
    let query = Query::new(
        "SELECT count(*), CAST(coalesce(sum(CASE WHEN lifted_at IS NULL AND reason = $2
           THEN 1 ELSE 0 END), 0) AS BIGINT) FROM throttle WHERE account_id = $1",
    );
    let row = tx.first(query.bind(account).bind(reason)).await?;
    let row = row.expect("a count is one row");
    if amount(&row, 1)? > 0 {
        return Ok(None);
    }
    let sequence = amount(&row, 0)? + 1;
    let query = Query::new(
        "INSERT INTO throttle (account_id, sequence, reason, at) VALUES ($1, $2, $3, $4)",
    );
    tx.execute(query.bind(account).bind(sequence.cast_signed()).bind(reason).bind(at)).await?;
    show(tx, account, now).await?;
    Ok(Some(sequence))
}

/// What the end of throttles left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifted {
    /// How many throttles the account has had.
    pub sequence: u64,
    /// From when on another one holds.
    pub still_throttled_at: Option<Timestamp>,
}

/// Ends the throttles of an account, those for one reason or all; `None` if there was nothing to
/// end.
///
/// One that was still to come ends where it would have begun, and so has never held.
pub async fn lift(
    tx: &mut Tx<'_>,
    account: AccountId,
    reason: Option<ThrottledReason>,
    now: Timestamp,
) -> Result<Option<Lifted>, DbError> {
    accounts::lock(tx, account).await?;
    adopt(tx, account, now).await?;
    let query = Query::new(
        "UPDATE throttle SET lifted_at = CASE WHEN at > $2 THEN at ELSE $2 END
           WHERE account_id = $1 AND lifted_at IS NULL AND ($3 = '' OR reason = $3)",
    );
    let reason = reason.map_or("", ThrottledReason::as_str);
    if tx.execute(query.bind(account).bind(now).bind(reason)).await? == 0 {
        return Ok(None);
    }
    show(tx, account, now).await?;
    let query = Query::new(
        "SELECT count(*), min(CASE WHEN lifted_at IS NULL THEN at END) FROM throttle
           WHERE account_id = $1",
    );
    let row = tx.first(query.bind(account)).await?.expect("a count is one row");
    Ok(Some(Lifted { sequence: amount(&row, 0)?, still_throttled_at: row.get(1)? }))
}

/// Reads from when to when an account was throttled, oldest first; without an end while it is.
pub async fn periods(
    mut reader: impl Reader,
    account: AccountId,
) -> Result<Vec<ThrottlePeriod>, DbError> {
    let query = Query::new(
        "SELECT at, lifted_at FROM throttle WHERE account_id = $1
         UNION SELECT a.throttled_at, NULL FROM account a
           WHERE a.id = $1 AND a.throttled_at IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM throttle t WHERE t.account_id = $1 AND t.lifted_at IS NULL)
         ORDER BY 1",
    );
    let rows = reader.all(query.bind(account)).await?;
    rows.iter().map(|row| Ok(ThrottlePeriod { from: row.get(0)?, until: row.get(1)? })).collect()
}

/// Finds accounts throttled for too much usage since before a month, at most `limit` by id.
pub async fn over_limit_before(
    mut reader: impl Reader,
    month: Month,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<AccountId>, DbError> {
    let query = Query::new(
        "SELECT id FROM account WHERE throttled_at < $1 AND throttled_reason = $2 AND id > $3
           AND deleted_at IS NULL ORDER BY id LIMIT $4",
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let query = query.bind(month.start()).bind(ThrottledReason::OverLimit).bind(after);
    reader.all(query.bind(limit)).await?.iter().map(|row| row.get(0)).collect()
}

/// Notes that an account was warned in a month; `false` if it was before.
pub async fn warn(
    tx: &mut Tx<'_>,
    account: AccountId,
    month: Month,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO limit_warning (account_id, month, at) VALUES ($1, $2, $3)
           ON CONFLICT (account_id, month) DO NOTHING",
    );
    Ok(tx.execute(query.bind(account).bind(month).bind(now)).await? == 1)
}

/// Whether an account was warned in a month.
pub async fn is_warned(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<bool, DbError> {
    let query = Query::new("SELECT 1 FROM limit_warning WHERE account_id = $1 AND month = $2");
    Ok(reader.first(query.bind(account).bind(month)).await?.is_some())
}

/// Brings the rows in line with an account that was imported with a throttle, or without it.
async fn adopt(tx: &mut Tx<'_>, account: AccountId, now: Timestamp) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE throttle SET lifted_at = CASE WHEN at > $2 THEN at ELSE $2 END
           WHERE account_id = $1 AND lifted_at IS NULL
             AND EXISTS (SELECT 1 FROM account a WHERE a.id = $1 AND a.throttled_at IS NULL)",
    );
    tx.execute(query.bind(account).bind(now)).await?;
    let query = Query::new(
        "INSERT INTO throttle (account_id, sequence, reason, at)
           SELECT a.id, 1 + (SELECT count(*) FROM throttle t WHERE t.account_id = a.id),
             coalesce(a.throttled_reason, $2), a.throttled_at FROM account a
             WHERE a.id = $1 AND a.throttled_at IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM throttle t WHERE t.account_id = a.id AND t.lifted_at IS NULL)",
    );
    tx.execute(query.bind(account).bind(ThrottledReason::OverLimit)).await.map(|_| ())
}

/// Shows the earliest open throttle on the account, or that there is none.
async fn show(tx: &mut Tx<'_>, account: AccountId, now: Timestamp) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE account SET updated_at = $2,
           throttled_at = (SELECT min(at) FROM throttle
             WHERE account_id = account.id AND lifted_at IS NULL),
           throttled_reason = (SELECT reason FROM throttle
             WHERE account_id = account.id AND lifted_at IS NULL ORDER BY at, sequence LIMIT 1)
           WHERE id = $1",
    );
    tx.execute(query.bind(account).bind(now)).await.map(|_| ())
}
