//! Customers' accounts.

use database::{DbError, Query, Row, Tx, Value};
use values::{AccountId, Timestamp};

use crate::words::words;
use crate::{Reader, batch};

/// A customer's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Where bills go.
    pub billing_email: Option<String>,
    /// Who bills it.
    pub billing_provider: BillingProvider,
    /// Whether it is exempt from throttling.
    pub unthrottleable: bool,
    /// From when on it may no longer publish.
    pub throttled_at: Option<Timestamp>,
    /// Why it is throttled.
    pub throttled_reason: Option<ThrottledReason>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was deleted; rows stay.
    pub deleted_at: Option<Timestamp>,
}

words! {
    /// Who bills an account.
    BillingProvider, "a billing provider":
    /// The company itself.
    Cine = "cine.io",
    /// A marketplace.
    Heroku = "heroku",
    /// A marketplace.
    EngineYard = "engineyard",
    /// A marketplace.
    AppDirect = "appdirect",
}

words! {
    /// Why an account is throttled.
    ThrottledReason, "a reason for a throttle":
    /// It used more than its plans give.
    OverLimit = "overLimit",
    /// Its card was declined and the time of grace is over.
    CardDeclined = "cardDeclined",
}

/// Stores accounts; one that is there already takes on every value given.
pub async fn upsert_many(tx: &mut Tx<'_>, accounts: &[Account]) -> Result<(), DbError> {
    let into = "INSERT INTO account (id, name, billing_email, billing_provider, unthrottleable,
      throttled_at, throttled_reason, created_at, updated_at, deleted_at) VALUES";
    let conflict = "ON CONFLICT (id) DO UPDATE SET name = excluded.name,
      billing_email = excluded.billing_email, billing_provider = excluded.billing_provider,
      unthrottleable = excluded.unthrottleable, throttled_at = excluded.throttled_at,
      throttled_reason = excluded.throttled_reason, created_at = excluded.created_at,
      updated_at = excluded.updated_at, deleted_at = excluded.deleted_at";
    let accounts = batch::last_of_each(accounts, |account| account.id);
    batch::insert(tx, into, conflict, &accounts, |account| {
        [
            account.id.into(),
            account.name.as_str().into(),
            account.billing_email.as_deref().into(),
            account.billing_provider.into(),
            account.unthrottleable.into(),
            account.throttled_at.into(),
            account.throttled_reason.map_or(Value::Text(None), Value::from),
            account.created_at.into(),
            account.updated_at.into(),
            account.deleted_at.into(),
        ]
    })
    .await?;
    Ok(())
}

/// Finds the accounts of these ids, deleted ones too, in no order.
pub async fn find(mut reader: impl Reader, ids: &[AccountId]) -> Result<Vec<Account>, DbError> {
    let sql = (
        "SELECT id, name, billing_email, billing_provider, unthrottleable, throttled_at,
           throttled_reason, created_at, updated_at, deleted_at FROM account WHERE id IN",
        "",
    );
    let rows = batch::select_in(&mut reader, sql, &[], ids, |id| *id).await?;
    rows.iter().map(read).collect()
}

/// Finds one account, deleted or not.
pub async fn get(reader: impl Reader, id: AccountId) -> Result<Option<Account>, DbError> {
    Ok(find(reader, &[id]).await?.pop())
}

/// Reads an account, deleted or not, and keeps every other transaction that throttles it, lifts its
/// throttle or settles a month of it waiting until this one ends.
pub async fn lock(tx: &mut Tx<'_>, id: AccountId) -> Result<Option<Account>, DbError> {
    let query = Query::new(
        "UPDATE account SET updated_at = updated_at WHERE id = $1
           RETURNING id, name, billing_email, billing_provider, unthrottleable, throttled_at,
             throttled_reason, created_at, updated_at, deleted_at",
    );
    tx.first(query.bind(id)).await?.as_ref().map(read).transpose()
}

/// Reads at most `limit` accounts, deleted ones too, in the order of their ids after `after`.
pub async fn page(
    mut reader: impl Reader,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<Account>, DbError> {
    let query = Query::new(
        "SELECT id, name, billing_email, billing_provider, unthrottleable, throttled_at,
           throttled_reason, created_at, updated_at, deleted_at
           FROM account WHERE id > $1 ORDER BY id LIMIT $2",
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let rows = reader.all(query.bind(after).bind(limit)).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Account, DbError> {
    let throttled = row.get::<Option<String>>(6)?.is_some();
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        billing_email: row.get(2)?,
        billing_provider: row.get(3)?,
        unthrottleable: row.get(4)?,
        throttled_at: row.get(5)?,
        throttled_reason: if throttled { Some(row.get(6)?) } else { None },
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
        deleted_at: row.get(9)?,
    })
}
