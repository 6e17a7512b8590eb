//! New accounts, requests for a new password, and what a marketplace says of an account.

use database::{DbError, Query, Row, Tx};
use values::{AccountId, PasswordResetId, Timestamp};

use crate::Reader;
use crate::words::words;

words! {
    /// What an account did in its first days.
    FirstUse, "a first use":
    /// Nothing yet.
    Unused = "unused",
    /// One of its streams was watched.
    Broadcast = "broadcast",
    /// People talked in one of its rooms.
    Peer = "peer",
}

/// A new account that was not yet asked how it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Where mail to it goes.
    pub billing_email: String,
    /// What it did so far.
    pub used: FirstUse,
}

/// Reads at most `limit` accounts that were made in `from..until`, have an address and are not
/// deleted, and that got no mail whose kind begins with `check_in`; in the order of their ids.
pub async fn to_check_in(
    mut reader: impl Reader,
    (from, until): (Timestamp, Timestamp),
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<NewAccount>, DbError> {
    let query = Query::new(
        "SELECT a.id, a.name, a.billing_email, CASE
             WHEN EXISTS (SELECT 1 FROM project p JOIN stream s ON s.project_id = p.id
               JOIN usage_stream_month u ON u.stream_id = s.id
               WHERE p.account_id = a.id AND u.bytes > 0) THEN 'broadcast'
             WHEN EXISTS (SELECT 1 FROM project p JOIN usage_peer_month t ON t.project_id = p.id
               WHERE p.account_id = a.id AND t.milliseconds > 0) THEN 'peer'
             ELSE 'unused' END
           FROM account a
           WHERE a.created_at >= $1 AND a.created_at < $2 AND a.id > $3
             AND a.deleted_at IS NULL AND a.billing_email IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM outgoing_email e
               WHERE e.account_id = a.id AND e.kind LIKE 'check\\_in\\_%' ESCAPE '\\')
           ORDER BY a.id LIMIT $4",
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let rows = reader.all(query.bind(from).bind(until).bind(after).bind(limit)).await?;
    let account = |row: &Row| {
        Ok(NewAccount {
            id: row.get(0)?,
            name: row.get(1)?,
            billing_email: row.get(2)?,
            used: row.get(3)?,
        })
    };
    rows.iter().map(account).collect()
}

/// Someone's request for a new password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordReset {
    /// Its id, which may be known to others.
    pub id: PasswordResetId,
    /// The address of the one who asked.
    pub address: String,
    /// Their name.
    pub name: Option<String>,
    /// What proves that the address is theirs; nobody else may know it.
    pub token: String,
    /// Until when it works.
    pub valid_until: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for PasswordReset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordReset").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Stores a request for a new password.
pub async fn request_password(tx: &mut Tx<'_>, reset: &PasswordReset) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO password_reset (id, address, name, token, valid_until, created_at)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
    );
    let query = query.bind(reset.id).bind(reset.address.as_str()).bind(reset.name.as_deref());
    let query = query.bind(reset.token.as_str()).bind(reset.valid_until).bind(reset.created_at);
    tx.execute(query).await.map(|_| ())
}

/// Finds a request for a new password.
pub async fn password_request(
    mut reader: impl Reader,
    id: PasswordResetId,
) -> Result<Option<PasswordReset>, DbError> {
    let query = Query::new(
        "SELECT id, address, name, token, valid_until, created_at FROM password_reset
           WHERE id = $1",
    );
    let row = reader.first(query.bind(id)).await?;
    row.map(|row| {
        Ok(PasswordReset {
            id: row.get(0)?,
            address: row.get(1)?,
            name: row.get(2)?,
            token: row.get(3)?,
            valid_until: row.get(4)?,
            created_at: row.get(5)?,
        })
    })
    .transpose()
}

/// What the marketplace that bills an account calls it, and said of it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketplaceAccount {
    /// The account.
    pub account_id: AccountId,
    /// The marketplace's id of it.
    pub vendor_id: String,
    /// The name that was said last.
    pub name: Option<String>,
    /// The address that was said last.
    pub email: Option<String>,
    /// When that was.
    pub synced_at: Option<Timestamp>,
}

/// Notes what a marketplace calls an account and says of it; replaces what was noted.
pub async fn set_marketplace(tx: &mut Tx<'_>, said: &MarketplaceAccount) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO marketplace_account (account_id, vendor_id, name, email, synced_at)
           VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_id) DO UPDATE
           SET vendor_id = excluded.vendor_id, name = excluded.name, email = excluded.email,
             synced_at = excluded.synced_at",
    );
    let query = query.bind(said.account_id).bind(said.vendor_id.as_str());
    let query = query.bind(said.name.as_deref()).bind(said.email.as_deref());
    tx.execute(query.bind(said.synced_at)).await.map(|_| ())
}

/// Finds what the marketplace that bills an account says of it.
pub async fn marketplace(
    mut reader: impl Reader,
    account: AccountId,
) -> Result<Option<MarketplaceAccount>, DbError> {
    let query = Query::new(
        "SELECT account_id, vendor_id, name, email, synced_at FROM marketplace_account
           WHERE account_id = $1",
    );
    let row = reader.first(query.bind(account)).await?;
    row.map(|row| {
        Ok(MarketplaceAccount {
            account_id: row.get(0)?,
            vendor_id: row.get(1)?,
            name: row.get(2)?,
            email: row.get(3)?,
            synced_at: row.get(4)?,
        })
    })
    .transpose()
}

/// Gives an account what its marketplace says now, where the customer set nothing of their own:
/// where it has nothing, or what the marketplace said before.
pub async fn take_over(
    tx: &mut Tx<'_>,
    before: &MarketplaceAccount,
    now_said: &MarketplaceAccount,
    now: Timestamp,
) -> Result<(), DbError> {
    set_marketplace(tx, now_said).await?;
    let query = Query::new(
        "UPDATE account SET name = $2, updated_at = $3
           WHERE id = $1 AND (name = '' OR name = $4) AND name <> $2",
    );
    if let Some(name) = &now_said.name {
        let query = query.bind(before.account_id).bind(name.as_str()).bind(now);
        tx.execute(query.bind(before.name.as_deref())).await?;
    }
    let query = Query::new(
        "UPDATE account SET billing_email = $2, updated_at = $3
           WHERE id = $1 AND (billing_email IS NULL OR (billing_email = $4 AND $4 <> $2))",
    );
    if let Some(email) = &now_said.email {
        let query = query.bind(before.account_id).bind(email.as_str()).bind(now);
        tx.execute(query.bind(before.email.as_deref())).await?;
    }
    Ok(())
}
