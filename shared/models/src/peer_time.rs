//! Time that people spent in rooms, per project and month, from events that count once.

use database::{DbError, Query, Tx};
use values::{AccountId, Month, ProjectId, Timestamp};

use crate::Reader;
use crate::reader::{whole, wide, wide_sum};
use crate::usage::{lock, mark_account};

/// Events that were counted, by the id their sender gave them.
pub(crate) const PEER_EVENT: &str = "CREATE TABLE peer_event (
  id TEXT NOT NULL PRIMARY KEY, project_id BLOB NOT NULL, at INTEGER NOT NULL,
  milliseconds INTEGER NOT NULL CHECK (milliseconds >= 0)) STRICT, WITHOUT ROWID";

pub(crate) const USAGE_PEER_MONTH: &str = "CREATE TABLE usage_peer_month (
  project_id BLOB NOT NULL, month INTEGER NOT NULL,
  milliseconds INTEGER NOT NULL CHECK (milliseconds >= 0), PRIMARY KEY (project_id, month))
  STRICT, WITHOUT ROWID";

/// A span of talk in a room of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEvent {
    /// The sender's id of it: what makes a repeat harmless.
    pub id: String,
    /// Whose room it was.
    pub project_id: ProjectId,
    /// When it ended; decides the month.
    pub at: Timestamp,
    /// Milliseconds times people.
    pub milliseconds: u64,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was counted.
    Counted,
    /// One with its id was counted before.
    Repeated,
    /// There is no such project, so that nobody would pay for it.
    UnknownProject,
    /// It lies in a month before the account was made.
    BeforeAccount,
}

/// Counts an event once, and marks its account to be summed again.
pub async fn record(tx: &mut Tx<'_>, event: &PeerEvent) -> Result<Recorded, DbError> {
    // Roll-ups wait, so that none takes the mark away without the event.
    lock(tx).await?;
    let query = Query::new(
        "SELECT p.account_id, a.created_at FROM project p JOIN account a ON a.id = p.account_id
           WHERE p.id = $1",
    );
    let Some(row) = tx.first(query.bind(event.project_id)).await? else {
        return Ok(Recorded::UnknownProject);
    };
    let (account, created_at): (AccountId, Timestamp) = (row.get(0)?, row.get(1)?);
    let month = event.at.month();
    if month < created_at.month() {
        return Ok(Recorded::BeforeAccount);
    }
    let milliseconds = whole("the time of an event", event.milliseconds)?;
    let query = Query::new(
        "INSERT INTO peer_event (id, project_id, at, milliseconds) VALUES ($1, $2, $3, $4)
           ON CONFLICT (id) DO NOTHING",
    );
    let query = query.bind(event.id.as_str()).bind(event.project_id).bind(event.at);
    if tx.execute(query.bind(milliseconds)).await? == 0 {
        return Ok(Recorded::Repeated);
    }
    let query = Query::new(
        "INSERT INTO usage_peer_month (project_id, month, milliseconds) VALUES ($1, $2, $3)
           ON CONFLICT (project_id, month) DO UPDATE
             SET milliseconds = usage_peer_month.milliseconds + excluded.milliseconds",
    );
    tx.execute(query.bind(event.project_id).bind(month).bind(milliseconds)).await?;
    mark_account(tx, account, month).await?;
    Ok(Recorded::Counted)
}

/// Sums the peer time of an account in a month, deleted projects included.
pub async fn of_account(
    mut reader: impl Reader,
    account: AccountId,
    month: Month,
) -> Result<u128, DbError> {
    let query = Query::new(concat!(
        "SELECT ",
        wide_sum!("u.milliseconds"),
        " FROM project p JOIN usage_peer_month u ON u.project_id = p.id AND u.month = $2
           WHERE p.account_id = $1"
    ));
    let row = reader.first(query.bind(account).bind(month)).await?;
    wide(&row.expect("a sum without groups is one row"), 0)
}
