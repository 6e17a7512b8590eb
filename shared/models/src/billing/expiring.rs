//! Cards in their last month.

use std::collections::BTreeSet;

use database::{DbError, Query, Row};
use values::{AccountId, Month};

use crate::{Reader, batch};

/// A card that is charged for an account and can be for the rest of the month only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringCard {
    /// Whose it is.
    pub account_id: AccountId,
    /// The account's name.
    pub name: String,
    /// Where mail to it goes.
    pub billing_email: String,
    /// The gateway's id of the card.
    pub card_id: String,
    /// The brand's code, such as `visa`.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// The last month in which it can be charged.
    pub valid_through: Month,
}

/// Reads at most `limit` cards whose last month is `month` and that are what is charged for an
/// account of the company's own that has an address and is not deleted; in the order of accounts.
pub async fn expiring_cards(
    mut reader: impl Reader,
    month: Month,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<ExpiringCard>, DbError> {
    let query = Query::new(
        "SELECT a.id, a.name, a.billing_email, c.id, c.brand, c.last4, c.valid_through
           FROM payment_card c JOIN payment_customer u ON u.account_id = c.account_id
             JOIN account a ON a.id = c.account_id
           WHERE c.valid_through = $1 AND c.deleted_at IS NULL AND a.deleted_at IS NULL
             AND a.billing_email IS NOT NULL AND a.billing_provider = 'cine.io' AND a.id > $2
             AND NOT EXISTS (SELECT 1 FROM payment_card o
               WHERE o.account_id = c.account_id AND o.deleted_at IS NULL
                 AND (o.created_at < c.created_at OR (o.created_at = c.created_at AND o.id < c.id)))
           ORDER BY a.id LIMIT $3",
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let rows = reader.all(query.bind(month).bind(after).bind(limit)).await?;
    rows.iter().map(read).collect()
}

/// Finds those of these accounts that owe something of earlier months: a charge that is open, or an
/// amount that the next invoice takes up.
pub async fn accounts_that_owe(
    mut reader: impl Reader,
    accounts: &[AccountId],
) -> Result<BTreeSet<AccountId>, DbError> {
    let sql = (
        "SELECT DISTINCT account_id FROM billing_record
           WHERE (state IN ('pending', 'failed', 'no_card')
             OR (state = 'carried_over' AND carried_into IS NULL)) AND account_id IN",
        "",
    );
    let rows = batch::select_in(&mut reader, sql, &[], accounts, |id| *id).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

fn read(row: &Row) -> Result<ExpiringCard, DbError> {
    Ok(ExpiringCard {
        account_id: row.get(0)?,
        name: row.get(1)?,
        billing_email: row.get(2)?,
        card_id: row.get(3)?,
        brand: row.get(4)?,
        last4: row.get(5)?,
        valid_through: row.get(6)?,
    })
}
