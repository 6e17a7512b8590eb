//! Whom a bill is for, and the card it is charged to.

use std::collections::BTreeMap;

use database::{DbError, Query, Row, Tx};
use serde::{Deserialize, Serialize};
use values::{AccountId, Currency, Month, PLAIN_ID_BYTES_MAX, Timestamp, is_plain_id};

use crate::reader::{from_json, parsed, to_json};
use crate::transfer::{check_email, check_text};
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

/// Lines of an address, and who gets a copy of a bill, at the most.
const MAX_LIST: usize = 19;

impl BillingDetails {
    /// Checks what a person wrote; what is stored already stays as it is.
    ///
    /// # Errors
    /// The key, and what was expected.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let Self { currency: _, legal_name, address, country, tax_id, po_number, copy_addresses } =
            self;
        for (key, text) in [("legalName", legal_name), ("taxId", tax_id), ("poNumber", po_number)] {
            text.as_deref().map_or(Ok(()), |text| check_text(key, text))?;
        }
        let lines: Vec<&str> = address.iter().flat_map(|address| address.split('\n')).collect();
        if lines.len() > MAX_LIST {
            return Err(("address", format!("has {} lines, at most {MAX_LIST}", lines.len())));
        }
        lines.iter().try_for_each(|line| check_text("address", line))?;
        if let Some(code) = country {
            billing::country_name(code).map_err(|error| ("country", error.to_string()))?;
        }
        if copy_addresses.len() > MAX_LIST {
            let found = copy_addresses.len();
            return Err(("copyAddresses", format!("{found} addresses, at most {MAX_LIST}")));
        }
        copy_addresses.iter().try_for_each(|address| check_email("copyAddresses", address))
    }
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
///
/// # Errors
/// [`DbError::Refused`] if the country is none of ISO 3166-1.
pub async fn set_details(
    tx: &mut Tx<'_>,
    account: AccountId,
    details: &BillingDetails,
    now: Timestamp,
) -> Result<(), DbError> {
    if let Some(code) = &details.country {
        billing::country_name(code).map_err(|error| DbError::Refused(error.to_string()))?;
    }
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
    read_details(&row, 0)
}

/// Reads the seven columns of the details, of which `column` is the first.
pub(super) fn read_details(row: &Row, column: usize) -> Result<BillingDetails, DbError> {
    Ok(BillingDetails {
        currency: parsed(row, column, "a currency")?,
        legal_name: row.get(column + 1)?,
        address: row.get(column + 2)?,
        country: row.get(column + 3)?,
        tax_id: row.get(column + 4)?,
        po_number: row.get(column + 5)?,
        copy_addresses: from_json(row, column + 6)?,
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

/// Reads the countries of accounts; those that gave none are left out.
pub async fn countries(
    mut reader: impl Reader,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, String>, DbError> {
    let sql = (
        "SELECT account_id, country FROM billing_details WHERE country IS NOT NULL AND account_id IN",
        "",
    );
    let rows = batch::select_in(&mut reader, sql, &[], accounts, |id| *id).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Refuses what cannot be an id of the gateway: no charge with it could ever be sent.
fn check_id(what: &str, id: &str) -> Result<(), DbError> {
    if is_plain_id(id) {
        return Ok(());
    }
    Err(DbError::Refused(format!(
        "the id of a {what} has 1 to {PLAIN_ID_BYTES_MAX} letters, digits and underscores, as the \
         gateway gives it"
    )))
}

/// Notes as whom the gateway knows an account.
///
/// # Errors
/// [`DbError::Refused`] for what cannot be an id of the gateway.
pub async fn set_customer(
    tx: &mut Tx<'_>,
    account: AccountId,
    customer: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    check_id("customer", customer)?;
    let query = Query::new(
        "INSERT INTO payment_customer (account_id, customer, updated_at) VALUES ($1, $2, $3)
           ON CONFLICT (account_id) DO UPDATE
             SET customer = excluded.customer, updated_at = excluded.updated_at",
    );
    tx.execute(query.bind(account).bind(customer).bind(now)).await?;
    Ok(())
}

/// Finds which account the gateway knows as a customer.
pub async fn owner_of_customer(
    mut reader: impl Reader,
    customer: &str,
) -> Result<Option<AccountId>, DbError> {
    let query = Query::new("SELECT account_id FROM payment_customer WHERE customer = $1");
    reader.first(query.bind(customer)).await?.map(|row| row.get(0)).transpose()
}

/// Finds which account added a card, also one that was removed.
pub async fn owner_of_card(
    mut reader: impl Reader,
    card: &str,
) -> Result<Option<AccountId>, DbError> {
    let query = Query::new("SELECT account_id FROM payment_card WHERE id = $1");
    reader.first(query.bind(card)).await?.map(|row| row.get(0)).transpose()
}

/// Stores a card of an account, or what changed of it.
///
/// # Errors
/// [`DbError::Refused`] for what cannot be an id of the gateway.
pub async fn set_card(
    tx: &mut Tx<'_>,
    account: AccountId,
    card: &PaymentCard,
) -> Result<(), DbError> {
    check_id("card", &card.id)?;
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
    let row = reader.first(query.bind(account)).await?;
    row.map(|row| read_primary_card(&row, 0)).transpose()
}

/// Reads the gateway's customer and its card from six columns.
pub(super) fn read_primary_card(row: &Row, first: usize) -> Result<PaymentCustomer, DbError> {
    let card = PaymentCard {
        id: row.get(first + 1)?,
        brand: row.get(first + 2)?,
        last4: row.get(first + 3)?,
        valid_through: row.get(first + 4)?,
        created_at: row.get(first + 5)?,
        deleted_at: None,
    };
    Ok(PaymentCustomer { customer: row.get(first)?, card })
}
