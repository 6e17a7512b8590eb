//! The inbox of gateway events: each is kept once and applied once.

use database::{DbError, Query, Tx};
use values::Timestamp;

use crate::Reader;

/// An event of the gateway: its signature was checked before it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayEvent {
    /// The gateway's id of it, unique for ever.
    pub id: String,
    /// The gateway's name of what happened.
    pub name: String,
    /// The payment it is about.
    pub payment: Option<String>,
    /// When it happened.
    pub created_at: Timestamp,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
}

/// Keeps an event; returns whether it is new.
pub async fn keep_event(
    tx: &mut Tx<'_>,
    event: &GatewayEvent,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO gateway_event (id, name, payment_id, created_at, received_at)
           VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
    );
    let query = query.bind(event.id.as_str()).bind(event.name.as_str());
    let query = query.bind(event.payment.as_deref()).bind(event.created_at);
    Ok(tx.execute(query.bind(now)).await? == 1)
}

/// Reads an event.
pub async fn event(mut reader: impl Reader, id: &str) -> Result<Option<GatewayEvent>, DbError> {
    let query = Query::new(
        "SELECT id, name, payment_id, created_at, applied_at FROM gateway_event WHERE id = $1",
    );
    let Some(row) = reader.first(query.bind(id)).await? else { return Ok(None) };
    Ok(Some(GatewayEvent {
        id: row.get(0)?,
        name: row.get(1)?,
        payment: row.get(2)?,
        created_at: row.get(3)?,
        applied_at: row.get(4)?,
    }))
}

/// Marks an event as applied; returns whether this was the first time.
pub async fn applied(
    tx: &mut Tx<'_>,
    id: &str,
    result: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "UPDATE gateway_event SET applied_at = $2, result = $3
           WHERE id = $1 AND applied_at IS NULL",
    );
    Ok(tx.execute(query.bind(id).bind(now).bind(result)).await? == 1)
}
