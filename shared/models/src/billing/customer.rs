//! Whom a bill is for, and the card it is charged to.

use std::collections::BTreeMap;

use database::{DbError, Query, Tx};
use serde::{Deserialize, Serialize};
use values::{AccountId, Currency, Month, Timestamp};

use crate::reader::{from_json, parsed, to_json};
use crate::{Reader, batch};

/// Whom an account's bills are made out to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BillingDetails {
    /// The account's one currency.
    pub currency: Currency,
    /// The customer's legal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_name: Option<String>,
    /// The address, in lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Two ISO 3166 letters; decides the tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The customer's tax id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    /// The customer's own order number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub po_number: Option<String>,
    /// Who gets a copy of each bill.
    #[serde(default)]
    pub copy_addresses: Vec<String>,
}

impl Default for BillingDetails {
    /// Those of an account that gave none: dollars, and no tax.
    fn default() -> Self {
        Self {
            currency: Currency::USD,
            legal_name: None,
            address: None,
            country: None,
            tax_id: None,
            po_number: None,
            copy_addresses: Vec::new(),
        }
    }
}

/// An account as the gateway knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentCustomer {
    /// The gateway's id of the customer.
    pub customer: String,
    /// The card that is charged: the oldest that is not deleted.
    pub card: PaymentCard,
}

/// A card that a customer added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentCard {
    /// The gateway's id.
    pub id: String,
    /// The brand's code, such as `visa`.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// The last month in which it can be charged.
    pub valid_through: Month,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was removed.
    pub deleted_at: Option<Timestamp>,
}

/// Stores whom bills are made out to; invoices that exist stay as they are.
pub async fn set_details(
    tx: &mut Tx<'_>,
    account: AccountId,
    details: &BillingDetails,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO billing_details (account_id, currency, legal_name, address, country, tax_id,
           po_number, copy_addresses, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (account_id) DO UPDATE SET currency = excluded.currency,
             legal_name = excluded.legal_name, address = excluded.address,
             country = excluded.country, tax_id = excluded.tax_id,
             po_number = excluded.po_number, copy_addresses = excluded.copy_addresses,
             updated_at = excluded.updated_at",
    );
    let query = query.bind(account).bind(details.currency.to_string());
    let query = query.bind(details.legal_name.as_deref()).bind(details.address.as_deref());
    let query = query.bind(details.country.as_deref()).bind(details.tax_id.as_deref());
    let query = query.bind(details.po_number.as_deref());
    tx.execute(query.bind(to_json(&details.copy_addresses)?).bind(now)).await?;
    Ok(())
}

/// Reads whom an account's bills are made out to; the default for one that gave nothing.
pub async fn details(
    mut reader: impl Reader,
    account: AccountId,
) -> Result<BillingDetails, DbError> {
    let query = Query::new(
        "SELECT currency, legal_name, address, country, tax_id, po_number, copy_addresses
           FROM billing_details WHERE account_id = $1",
    );
    let Some(row) = reader.first(query.bind(account)).await? else {
        return Ok(BillingDetails::default());
    };
    Ok(BillingDetails {
        currency: parsed(&row, 0, "a currency")?,
        legal_name: row.get(1)?,
        address: row.get(2)?,
        country: row.get(3)?,
        tax_id: row.get(4)?,
        po_number: row.get(5)?,
        copy_addresses: from_json(&row, 6)?,
    })
}

/// Reads the currencies of accounts; those that gave none are left out.
pub async fn currencies(
    mut reader: impl Reader,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Currency>, DbError> {
    let sql = ("SELECT account_id, currency FROM billing_details WHERE account_id IN", "");
    let rows = batch::select_in(&mut reader, sql, &[], accounts, |id| *id).await?;
    rows.iter().map(|row| Ok((row.get(0)?, parsed(row, 1, "a currency")?))).collect()
}

/// Notes as whom the gateway knows an account.
pub async fn set_customer(
    tx: &mut Tx<'_>,
    account: AccountId,
    customer: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO payment_customer (account_id, customer, updated_at) VALUES ($1, $2, $3)
           ON CONFLICT (account_id) DO UPDATE
             SET customer = excluded.customer, updated_at = excluded.updated_at",
    );
    tx.execute(query.bind(account).bind(customer).bind(now)).await?;
    Ok(())
}

/// Stores a card of an account, or what changed of it.
pub async fn set_card(
    tx: &mut Tx<'_>,
    account: AccountId,
    card: &PaymentCard,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO payment_card (id, account_id, brand, last4, valid_through, created_at,
           deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (id) DO UPDATE SET brand = excluded.brand, last4 = excluded.last4,
             valid_through = excluded.valid_through, deleted_at = excluded.deleted_at",
    );
    let query = query.bind(card.id.as_str()).bind(account).bind(card.brand.as_str());
    let query = query.bind(card.last4.as_str()).bind(card.valid_through);
    tx.execute(query.bind(card.created_at).bind(card.deleted_at)).await?;
    Ok(())
}

/// Reads a card, also one that was removed.
pub async fn card(mut reader: impl Reader, id: &str) -> Result<Option<PaymentCard>, DbError> {
    let query = Query::new(
        "SELECT id, brand, last4, valid_through, created_at, deleted_at FROM payment_card
           WHERE id = $1",
    );
    let Some(row) = reader.first(query.bind(id)).await? else { return Ok(None) };
    Ok(Some(PaymentCard {
        id: row.get(0)?,
        brand: row.get(1)?,
        last4: row.get(2)?,
        valid_through: row.get(3)?,
        created_at: row.get(4)?,
        deleted_at: row.get(5)?,
    }))
}

/// Finds what is charged for an account: `None` without a customer or without a card.
pub async fn primary_card(
    mut reader: impl Reader,
    account: AccountId,
) -> Result<Option<PaymentCustomer>, DbError> {
    let query = Query::new(
        "SELECT u.customer, c.id, c.brand, c.last4, c.valid_through, c.created_at
           FROM payment_customer u JOIN payment_card c ON c.account_id = u.account_id
           WHERE u.account_id = $1 AND c.deleted_at IS NULL ORDER BY c.created_at, c.id LIMIT 1",
    );
    let Some(row) = reader.first(query.bind(account)).await? else { return Ok(None) };
    let card = PaymentCard {
        id: row.get(1)?,
        brand: row.get(2)?,
        last4: row.get(3)?,
        valid_through: row.get(4)?,
        created_at: row.get(5)?,
        deleted_at: None,
    };
    Ok(Some(PaymentCustomer { customer: row.get(0)?, card }))
}
