//! The run of a month over all accounts, and its brakes.

use billing::{Release, Totals};
use database::{DbError, Query, Tx};
use values::{Month, Timestamp};

use crate::Reader;
use crate::reader::{from_json, parsed, to_json};

/// How far the run of a month has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingRun {
    /// What the month's bills add up to, by currency.
    pub totals: Totals,
    /// Whether it may charge.
    pub release: Release,
    /// When it was released; it stays so.
    pub released_at: Option<Timestamp>,
}

/// Reads the run of a month.
pub async fn run(mut reader: impl Reader, month: Month) -> Result<Option<BillingRun>, DbError> {
    let query = Query::new("SELECT totals, release, released_at FROM billing_run WHERE month = $1");
    let Some(row) = reader.first(query.bind(month)).await? else { return Ok(None) };
    Ok(Some(BillingRun {
        totals: from_json(&row, 0)?,
        release: parsed(&row, 1, "a release of a billing run")?,
        released_at: row.get(2)?,
    }))
}

/// Notes why the run of a month waits; returns whether that is news.
pub async fn hold_run(
    tx: &mut Tx<'_>,
    month: Month,
    totals: &Totals,
    release: Release,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO billing_run (month, totals, release, first_seen_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (month) DO UPDATE SET totals = excluded.totals, release = excluded.release
             WHERE billing_run.released_at IS NULL AND (billing_run.totals <> excluded.totals
               OR billing_run.release <> excluded.release)",
    );
    let query = query.bind(month).bind(to_json(totals)?).bind(release.as_str());
    Ok(tx.execute(query.bind(now)).await? == 1)
}

/// Releases the run of a month: from now on it charges, whatever is added to it.
pub async fn release_run(
    tx: &mut Tx<'_>,
    month: Month,
    totals: &Totals,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO billing_run (month, totals, release, first_seen_at, released_at)
           VALUES ($1, $2, 'go', $3, $3)
           ON CONFLICT (month) DO UPDATE SET totals = excluded.totals, release = excluded.release,
             released_at = excluded.released_at WHERE billing_run.released_at IS NULL",
    );
    tx.execute(query.bind(month).bind(to_json(totals)?).bind(now)).await?;
    Ok(())
}

/// Stores that a person approved the totals of a month; a later approval replaces an earlier one.
pub async fn approve(
    tx: &mut Tx<'_>,
    month: Month,
    totals: &Totals,
    by: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "INSERT INTO billing_approval (month, totals, approved_by, approved_at)
           VALUES ($1, $2, $3, $4) ON CONFLICT (month) DO UPDATE SET totals = excluded.totals,
             approved_by = excluded.approved_by, approved_at = excluded.approved_at",
    );
    tx.execute(query.bind(month).bind(to_json(totals)?).bind(by).bind(now)).await?;
    Ok(())
}

/// Reads the totals that a person approved for a month.
pub async fn approval(mut reader: impl Reader, month: Month) -> Result<Option<Totals>, DbError> {
    let query = Query::new("SELECT totals FROM billing_approval WHERE month = $1");
    reader.first(query.bind(month)).await?.as_ref().map(|row| from_json(row, 0)).transpose()
}

/// Pulls the kill switch with a reason, or lets it go with `None`.
pub async fn stop_charges(
    tx: &mut Tx<'_>,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), DbError> {
    let query = match reason {
        None => Query::new("DELETE FROM billing_brake"),
        Some(reason) => Query::new(
            "INSERT INTO billing_brake (id, reason, stopped_at) VALUES (1, $1, $2)
               ON CONFLICT (id) DO UPDATE SET reason = excluded.reason,
                 stopped_at = excluded.stopped_at",
        )
        .bind(reason)
        .bind(now),
    };
    tx.execute(query).await?;
    Ok(())
}

/// Reads why nothing is charged at all; `None` while charging is allowed.
pub async fn charges_stopped(mut reader: impl Reader) -> Result<Option<String>, DbError> {
    let query = Query::new("SELECT reason FROM billing_brake WHERE id = 1");
    reader.first(query).await?.map(|row| row.get(0)).transpose()
}

/// Reads the months whose run was released in `from..until`, oldest first.
pub async fn released_between(
    mut reader: impl Reader,
    (from, until): (Timestamp, Timestamp),
) -> Result<Vec<Month>, DbError> {
    let query = Query::new(
        "SELECT month FROM billing_run WHERE released_at >= $1 AND released_at < $2 ORDER BY month",
    );
    reader.all(query.bind(from).bind(until)).await?.iter().map(|row| row.get(0)).collect()
}
