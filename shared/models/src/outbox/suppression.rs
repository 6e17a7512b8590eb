//! Addresses that no mail is sent to.

use database::{DbError, Query, Row, Tx};
use values::Timestamp;

use crate::Reader;
use crate::words::words;

words! {
    /// Why an address is sent no mail.
    SuppressionReason, "a reason for sending no mail":
    /// Its server says that it does not exist.
    Bounced = "bounced",
    /// Its owner called a mail unwanted.
    Complained = "complained",
    /// A person put it on the list.
    Manual = "manual",
}

/// An address that is sent no mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The address.
    pub address: String,
    /// Why.
    pub reason: SuppressionReason,
    /// The event that told so.
    pub event: Option<String>,
    /// Since when.
    pub at: Timestamp,
}

/// Puts an address on the list; one that is there keeps its reason and time.
pub async fn suppress(tx: &mut Tx<'_>, entry: &Suppression) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO suppressed_address (address, reason, event, created_at)
           VALUES ($1, $2, $3, $4) ON CONFLICT (address) DO NOTHING",
    );
    let query = query.bind(folded(&entry.address)).bind(entry.reason);
    Ok(tx.execute(query.bind(entry.event.as_deref()).bind(entry.at)).await? == 1)
}

/// Takes an address off the list; `false` if it was not on it.
pub async fn unsuppress(tx: &mut Tx<'_>, address: &str) -> Result<bool, DbError> {
    let query = Query::new("DELETE FROM suppressed_address WHERE address = $1");
    Ok(tx.execute(query.bind(folded(address))).await? == 1)
}

/// Whether an address is sent no mail.
pub async fn is_suppressed(mut reader: impl Reader, address: &str) -> Result<bool, DbError> {
    let query = Query::new("SELECT 1 FROM suppressed_address WHERE address = $1");
    Ok(reader.first(query.bind(folded(address))).await?.is_some())
}

/// Reads at most `limit` entries of the list, newest first.
pub async fn suppressed(mut reader: impl Reader, limit: u32) -> Result<Vec<Suppression>, DbError> {
    let query = Query::new(
        "SELECT address, reason, event, created_at FROM suppressed_address
           ORDER BY created_at DESC, address LIMIT $1",
    );
    let entry = |row: &Row| {
        Ok(Suppression {
            address: row.get(0)?,
            reason: row.get(1)?,
            event: row.get(2)?,
            at: row.get(3)?,
        })
    };
    reader.all(query.bind(limit)).await?.iter().map(entry).collect()
}

/// Capital letters make no other address here: servers that tell them apart are not in use.
pub fn folded(address: &str) -> String {
    address.trim().to_lowercase()
}
