//! Month-to-date usage per account, from what changed since the last roll-up: bandwidth of its
//! streams, bytes of its recordings, time in its rooms.

use std::collections::BTreeSet;

use database::{DbError, Query, Tx};
use values::{AccountId, Month, StreamId, Timestamp};

use crate::reader::{amount, wide, wide_sum};
use crate::usage::report::by_kind;
use crate::usage::{lock, seed_month};
use crate::{batch, peer_time, recordings};

/// What one roll-up did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledUp {
    /// Accounts and months that were summed again.
    pub account_months: usize,
    /// Streams and months that belong to no account, and so stay unbilled.
    pub unassigned: usize,
    /// Accounts and months whose usage sums to more than 2^63 - 1: their sum stays what it was,
    /// and their changes stay to be summed once the usage is corrected.
    pub refused: BTreeSet<(Month, AccountId)>,
    /// Where to go on: behind the last change that was refused.
    pub after: Option<Change>,
    /// Whether more is waiting there: call again, in a transaction of its own.
    pub more: bool,
}

/// What changed since its account was summed: a stream's usage of a month, or what the account
/// itself stores or talked, which stands under the account's own id.
pub type Change = (Month, StreamId);

/// Sums the accounts whose streams' usage changed; deleted projects and streams count too.
///
/// At most `limit` changed (stream, month) pairs behind `after` are looked at, of one month or of
/// all; whatever else changed for the accounts behind them is done in the same go. The cost follows
/// the streams of those accounts, not the usage stored. Repeated from [`RolledUp::after`] until
/// nothing is left, the result does not depend on how the work was cut.
pub async fn roll_up(
    tx: &mut Tx<'_>,
    month: Option<Month>,
    after: Option<Change>,
    limit: u32,
    now: Timestamp,
) -> Result<RolledUp, DbError> {
    // Files that complete meanwhile wait, and leave a mark of their own behind this transaction.
    lock(tx).await?;
    seed_month(tx, now).await?;
    let (first, last) = month.map_or((i64::MIN, i64::MAX), |m| (m.index(), m.index()));
    let mut done =
        RolledUp { account_months: 0, unassigned: 0, refused: BTreeSet::new(), after, more: false };
    let mut of_accounts: Vec<(Change, AccountId)> = Vec::new();
    let mut unassigned: Vec<Change> = Vec::new();
    let query = Query::new(
        "SELECT d.month, d.stream_id, coalesce(p.account_id, a.id) FROM usage_dirty d
           LEFT JOIN stream s ON s.id = d.stream_id LEFT JOIN project p ON p.id = s.project_id
           LEFT JOIN account a ON a.id = d.stream_id
           WHERE d.month >= $1 AND d.month <= $2 AND (d.month, d.stream_id) > ($3, $4)
           ORDER BY d.month, d.stream_id LIMIT $5",
    );
    for row in tx.all(behind(query.bind(first).bind(last), after).bind(limit)).await? {
        let change = (row.get(0)?, row.get(1)?);
        match row.get::<Option<AccountId>>(2)? {
            Some(account) => of_accounts.push((change, account)),
            None => unassigned.push(change),
        }
    }
    let touched: BTreeSet<(Month, AccountId)> =
        of_accounts.iter().map(|((month, _), account)| (*month, *account)).collect();
    for (month, account) in touched {
        if sum(tx, account, month, now).await? {
            done.account_months += 1;
        } else {
            done.refused.insert((month, account));
        }
    }
    let is_refused =
        |((month, _), account): &&(Change, AccountId)| done.refused.contains(&(*month, *account));
    done.after = of_accounts.iter().rfind(is_refused).map_or(after, |(change, _)| Some(*change));
    done.unassigned = unassigned.len();
    for part in unassigned.chunk_by(|left, right| left.0 == right.0) {
        let sql = ("DELETE FROM usage_dirty WHERE month = $1 AND stream_id IN", "");
        let month = [part[0].0.into()];
        batch::execute_in(tx, sql, &month, part, |(_, stream)| *stream).await?;
    }
    let query = Query::new(
        "SELECT 1 FROM usage_dirty WHERE month >= $1 AND month <= $2
           AND (month, stream_id) > ($3, $4) LIMIT 1",
    );
    let query = behind(query.bind(first).bind(last), done.after);
    done.more = tx.first(query).await?.is_some();
    Ok(done)
}

/// Binds what every change behind `after` is greater than.
fn behind(query: Query, after: Option<Change>) -> Query {
    let stream = after.map_or_else(Vec::new, |(_, stream)| stream.as_bytes().to_vec());
    query.bind(after.map_or(i64::MIN, |(month, _)| month.index())).bind(stream)
}

/// Sums a month of an account, unless a sum goes beyond what a table keeps: then nothing changes.
async fn sum(
    tx: &mut Tx<'_>,
    account: AccountId,
    month: Month,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "DELETE FROM usage_dirty WHERE month = $2 AND stream_id IN (
           SELECT s.id FROM project p JOIN stream s ON s.project_id = p.id
             WHERE p.account_id = $1
           UNION ALL SELECT id FROM account WHERE id = $1) RETURNING stream_id",
    );
    let marks = tx.all(query.bind(account).bind(month)).await?;
    let marks = marks.iter().map(|row| row.get(0)).collect::<Result<Vec<StreamId>, _>>()?;
    let is_marked = marks.iter().any(|mark| mark.as_bytes() == account.as_bytes());
    let stored = stored(tx, account, month, is_marked).await?;
    let talked = peer_time::of_account(&mut *tx, account, month).await?;
    let query = Query::new(concat!(
        "SELECT ",
        by_kind!(),
        " FROM project p JOIN stream s ON s.project_id = p.id
           JOIN usage_stream_month u ON u.stream_id = s.id AND u.month = $2
           WHERE p.account_id = $1"
    ));
    let row = tx.first(query.bind(account).bind(month)).await?;
    let row = row.expect("a sum without groups is one row");
    let mut wide_sums = Vec::with_capacity(7);
    for place in 0..5 {
        wide_sums.push(wide(&row, 2 * place)?);
    }
    wide_sums.extend([stored, talked]);
    let mut sums = Vec::with_capacity(7);
    for sum in wide_sums {
        let Ok(sum) = i64::try_from(sum) else {
            let into = "INSERT INTO usage_dirty (month, stream_id) VALUES";
            batch::insert(tx, into, "", &marks, |stream| [month.into(), (*stream).into()]).await?;
            return Ok(false);
        };
        sums.push(sum);
    }
    let mut query = Query::new(
        "INSERT INTO usage_account_month (account_id, month, updated_at, bandwidth_bytes,
           fms_bytes, hls_bytes, vod_bytes, lines, storage_bytes, peer_milliseconds)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (account_id, month) DO UPDATE SET
           bandwidth_bytes = excluded.bandwidth_bytes, fms_bytes = excluded.fms_bytes,
           hls_bytes = excluded.hls_bytes, vod_bytes = excluded.vod_bytes,
           lines = excluded.lines, storage_bytes = excluded.storage_bytes,
           peer_milliseconds = excluded.peer_milliseconds, updated_at = excluded.updated_at",
    )
    .bind(account)
    .bind(month)
    .bind(now);
    for sum in sums {
        query.push(sum);
    }
    tx.execute(query).await?;
    Ok(true)
}

/// What an account stores in a month; summed again only if that changed or was never summed.
async fn stored(
    tx: &mut Tx<'_>,
    account: AccountId,
    month: Month,
    is_marked: bool,
) -> Result<u128, DbError> {
    let query = Query::new(
        "SELECT storage_bytes FROM usage_account_month WHERE account_id = $1 AND month = $2",
    );
    match tx.first(query.bind(account).bind(month)).await? {
        Some(row) if !is_marked => amount(&row, 0).map(u128::from),
        _ => recordings::stored_bytes(tx, account, month).await,
    }
}
