//! `usage/roll_up_usage`: sums what changed into month-to-date usage per account.
//!
//! Work is done in transactions of their own, so that a long backlog is not lost with an attempt
//! and holds no writer for long. What changes while the attempt settles is summed in the settling
//! transaction: a file that completes before it finds this roll-up and needs no other, one that
//! completes after it asks for a new one.

use contract::NoConfiguration;
use contract::usage::RollUpUsage as Payload;
use database::{Db, DbError};
use job::{Context, Job, JobError, NoSettings, Outcome, Services};
use models::roll_up::{RolledUp, roll_up};
use scheduling::{Scope, TaskOptions, Unique};
use serde::Serialize;
use values::{Month, Timestamp};

/// Changed streams and months that one transaction looks at.
const PAIRS_PER_BATCH: u32 = 1_000;
/// Transactions of one attempt at the most.
const BATCHES_PER_ATTEMPT: u32 = 500;
/// Batches in the settling transaction at the most; usually one that finds next to nothing.
const LAST_BATCHES: u32 = 4;

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
        while report.more && report.batches < BATCHES_PER_ATTEMPT {
            cx.check_cancelled()?;
            let done = self.batch(payload.month, cx.now()).await?;
            report.account_months += done.account_months;
            report.unassigned += done.unassigned;
            report.batches += 1;
            report.more = done.more;
        }
        tracing::info!(account_months = report.account_months, more = report.more, "usage summed");
        Ok(outcome(cx.now(), &payload, &report))
    }
}

impl RollUpUsage {
    async fn batch(&self, month: Option<Month>, now: Timestamp) -> Result<RolledUp, DbError> {
        let mut transaction = self.db.begin().await?;
        let done = roll_up(&mut transaction.tx(), month, PAIRS_PER_BATCH, now).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

fn outcome(now: Timestamp, payload: &Payload, report: &Report) -> Outcome {
    let outcome = Outcome::completed(report);
    let month = payload.month;
    if report.more {
        // A roll-up of one month must not stand for one of all months.
        let scope = if month.is_some() { Scope::Payload } else { Scope::Job };
        let unique = Some(Unique { scope, period: None });
        return outcome.follow_up_with(payload, TaskOptions { unique, ..TaskOptions::default() });
    }
    outcome.commit(move |tx| {
        Box::pin(async move {
            for _ in 0..LAST_BATCHES {
                if !roll_up(tx, month, PAIRS_PER_BATCH, now).await?.more {
                    break;
                }
            }
            Ok(())
        })
    })
}
