//! `usage/roll_up_usage`: sums what changed into month-to-date usage per account.
//!
//! Work is done in transactions of their own, so that a long backlog is not lost with an attempt
//! and holds no writer for long. What changes while the attempt settles is summed in the settling
//! transaction: a file that completes before it finds this roll-up and needs no other, one that
//! completes after it asks for a new one.
//!
//! An account whose usage sums to more than a table keeps stays as it was and holds up no other; what
//! changed of it is looked at again by each later roll-up, until the usage is corrected.

use std::collections::BTreeSet;

use contract::NoConfiguration;
use contract::usage::{EnforceLimits, RollUpUsage as Payload};
use database::{Db, DbError};
use job::{Context, Job, JobError, NoSettings, Outcome, Services};
use models::roll_up::{Change, RolledUp, roll_up};
use scheduling::{Scope, TaskOptions, Unique};
use serde::Serialize;
use values::{AccountId, Month, Source, Timestamp};

use crate::emails::once;

/// Changed streams and months that one transaction looks at.
const PAIRS_PER_BATCH: u32 = 1_000;
/// Transactions of one attempt at the most.
const BATCHES_PER_ATTEMPT: u32 = 500;
/// Batches in the settling transaction at the most; usually one that finds next to nothing.
const LAST_BATCHES: u32 = 4;

/// Refused accounts that are named in the log; all are counted.
const REFUSED_NAMED: usize = 10;

/// Sums usage by account and month.
pub(crate) struct RollUpUsage {
    db: Db,
}

/// What one attempt summed before it settled.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Accounts and months summed again.
    account_months: usize,
    /// Streams and months that no account pays for.
    unassigned: usize,
    /// Accounts and months whose sum no table can hold; they stay as they were.
    refused: usize,
    /// Transactions.
    batches: u32,
    /// Whether a follow-up goes on.
    more: bool,
}

impl Job for RollUpUsage {
    type Payload = Payload;
    type Settings = NoSettings;

    fn new(services: &Services, _: NoSettings) -> Self {
        Self { db: services.db.clone() }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let mut report = Report { more: true, ..Report::default() };
        let (mut after, mut refused) = (None, BTreeSet::new());
        while report.more && report.batches < BATCHES_PER_ATTEMPT {
            cx.check_cancelled()?;
            let done = self.batch(payload.month, after, cx.now()).await?;
            report.account_months += done.account_months;
            report.unassigned += done.unassigned;
            report.batches += 1;
            report.more = done.more;
            after = done.after;
            refused.extend(done.refused);
        }
        report.refused = refused.len();
        warn_of(&refused);
        tracing::info!(account_months = report.account_months, more = report.more, "usage summed");
        let outcome = outcome(cx.now(), &payload, &report);
        Ok(if is_hourly(cx.source()) {
            outcome.follow_up_with(&EnforceLimits { month: None }, once(Scope::Job))
        } else {
            outcome
        })
    }
}

/// Whether limits are checked on what was summed: once an hour, not after every file.
fn is_hourly(source: &Source) -> bool {
    source.as_str() == "scheduler"
}

impl RollUpUsage {
    async fn batch(
        &self,
        month: Option<Month>,
        after: Option<Change>,
        now: Timestamp,
    ) -> Result<RolledUp, DbError> {
        let mut transaction = self.db.begin().await?;
        let done = roll_up(&mut transaction.tx(), month, after, PAIRS_PER_BATCH, now).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

fn warn_of(refused: &BTreeSet<(Month, AccountId)>) {
    if !refused.is_empty() {
        let named = refused.iter().take(REFUSED_NAMED);
        let accounts: Vec<String> =
            named.map(|(month, account)| format!("{account} in {month}")).collect();
        tracing::warn!(
            count = refused.len(),
            accounts = accounts.join(", "),
            "usage of accounts sums to more than 2^63 - 1 and was left as it was; correct it"
        );
    }
}

fn outcome(now: Timestamp, payload: &Payload, report: &Report) -> Outcome {
    let outcome = Outcome::completed(report);
    let month = payload.month;
    // Each follow-up begins anew, so one that comes upon refused accounts only must be the last.
    if report.more && report.account_months + report.unassigned > 0 {
        // A roll-up of one month must not stand for one of all months.
        let scope = if month.is_some() { Scope::Payload } else { Scope::Job };
        let unique = Some(Unique { scope, period: None });
        return outcome.follow_up_with(payload, TaskOptions { unique, ..TaskOptions::default() });
    }
    outcome.commit(move |tx| {
        Box::pin(async move {
            let mut after = None;
            for _ in 0..LAST_BATCHES {
                let done = roll_up(tx, month, after, PAIRS_PER_BATCH, now).await?;
                if !done.more {
                    break;
                }
                after = done.after;
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use job::OutcomeParts;

    use super::*;

    fn follow_ups(account_months: usize, unassigned: usize) -> usize {
        let report = Report { account_months, unassigned, more: true, ..Report::default() };
        match outcome(Timestamp::MIN, &Payload { month: None }, &report).into_parts() {
            OutcomeParts::Completed { result: _, write: _, follow_ups } => {
                follow_ups.unwrap().len()
            }
            OutcomeParts::Snoozed(_) => panic!("a roll-up never waits"),
        }
    }

    #[test]
    fn limits_are_checked_once_an_hour() {
        assert!(is_hourly(&"scheduler".parse().unwrap()));
        assert!(!is_hourly(&"main_worker".parse().unwrap()));
    }

    #[test]
    fn an_attempt_that_came_upon_refused_accounts_only_is_not_followed_by_another() {
        assert_eq!(follow_ups(1, 0), 1);
        assert_eq!(follow_ups(0, 1), 1);
        assert_eq!(follow_ups(0, 0), 0);
    }
}
