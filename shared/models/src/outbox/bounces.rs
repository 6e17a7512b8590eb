//! Mails that came back: who told so, and what became of them by it.

use database::{DbError, Query, Row, Tx};
use values::{EmailId, Timestamp};

use super::EmailState;
use crate::Reader;
use crate::words::words;

/// The table of this module. An event tells of an address once in each way.
pub(crate) const MAIL_BOUNCE: &str = "CREATE TABLE mail_bounce (
  event_id TEXT NOT NULL, address TEXT NOT NULL, kind TEXT NOT NULL, email_id BLOB, status TEXT,
  message TEXT, created_at INTEGER NOT NULL, PRIMARY KEY (event_id, address, kind))
  STRICT, WITHOUT ROWID";

words! {
    /// Why a mail came back.
    BounceKind, "a kind of bounce":
    /// It cannot be delivered, now or later.
    Permanent = "permanent",
    /// It was not delivered yet, or not for a reason that lies with the address.
    Temporary = "temporary",
    /// Its reader called it unwanted.
    Complaint = "complaint",
}

/// A mail that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    /// The event's id, as the one who tells it counts.
    pub event_id: String,
    /// The address that it came back from.
    pub address: String,
    /// Why.
    pub kind: BounceKind,
    /// The mail, if it is one of the outbox.
    pub email: Option<EmailId>,
    /// The status (RFC 3463), such as `5.1.1`.
    pub status: Option<String>,
    /// What the refusing server said; may name the recipient.
    pub message: Option<String>,
    /// When it was told.
    pub at: Timestamp,
}

/// Notes a bounce; `false` if the same was told before.
pub async fn note_bounce(tx: &mut Tx<'_>, bounce: &Bounce) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO mail_bounce (event_id, address, kind, email_id, status, message, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (event_id, address, kind) DO NOTHING",
    );
    let query = query.bind(bounce.event_id.as_str()).bind(bounce.address.as_str());
    let query = query.bind(bounce.kind).bind(bounce.email).bind(bounce.status.as_deref());
    Ok(tx.execute(query.bind(bounce.message.as_deref()).bind(bounce.at)).await? == 1)
}

/// Whether the same was told before.
pub async fn is_known_bounce(mut reader: impl Reader, bounce: &Bounce) -> Result<bool, DbError> {
    let query =
        Query::new("SELECT 1 FROM mail_bounce WHERE event_id = $1 AND address = $2 AND kind = $3");
    let query = query.bind(bounce.event_id.as_str()).bind(bounce.address.as_str());
    Ok(reader.first(query.bind(bounce.kind)).await?.is_some())
}

/// Reads at most `limit` bounces, newest first.
pub async fn bounces(mut reader: impl Reader, limit: u32) -> Result<Vec<Bounce>, DbError> {
    let query = Query::new(
        "SELECT event_id, address, kind, email_id, status, message, created_at FROM mail_bounce
           ORDER BY created_at DESC, event_id, address, kind LIMIT $1",
    );
    let bounce = |row: &Row| {
        Ok(Bounce {
            event_id: row.get(0)?,
            address: row.get(1)?,
            kind: row.get(2)?,
            email: row.get(3)?,
            status: row.get(4)?,
            message: row.get(5)?,
            at: row.get(6)?,
        })
    };
    reader.all(query.bind(limit)).await?.iter().map(bounce).collect()
}

/// Marks a mail as one that came back; `false` if it had another end before it was accepted.
///
/// Whoever reports it has had it, also if its row does not know yet. What was attached is dropped,
/// and with `forget` also its data.
pub async fn mark_bounced(
    tx: &mut Tx<'_>,
    id: EmailId,
    message: Option<&str>,
    forget: bool,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "UPDATE outgoing_email SET state = $2, message = $3, ended_at = coalesce(ended_at, $4),
           data = CASE WHEN $5 = 1 THEN '{}' ELSE data END
           WHERE id = $1 AND state IN ('waiting', 'sending', 'sent', 'unknown')",
    );
    let query = query.bind(id).bind(EmailState::Bounced).bind(message).bind(now).bind(forget);
    if tx.execute(query).await? == 0 {
        return Ok(false);
    }
    tx.execute(Query::new("DELETE FROM email_attachment WHERE email_id = $1").bind(id)).await?;
    Ok(true)
}
