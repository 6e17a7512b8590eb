//! `usage/enforce_limits`: what accounts used so far against what their plans give.
//!
//! Each account is one transaction: its facts are read, the decision is made, and the action, its
//! history and its mail are written together. A repeat finds the action done and does nothing. An
//! account whose limits cannot be told is left alone, told to the admins, and holds up no other.

mod account;
mod notices;
mod settings;

use contract::billing::PaymentConfiguration;
use contract::usage::EnforceLimits as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::{limits, throttles};
use serde::Serialize;
use serde_json::json;
use values::AccountId;

use self::account::{Checked, Checks};
use self::settings::Settings;
use crate::emails::deliver;

/// Accounts that one query finds.
const ACCOUNTS_PER_PAGE: u32 = 500;
/// Pages of one attempt at the most; the next hour goes on where accounts are still above.
const PAGES_MAX: u32 = 2_000;

/// Checks the limits of all accounts.
pub(crate) struct EnforceLimits {
    db: Db,
    settings: Settings,
}

/// What one attempt did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Accounts above the free allowance.
    checked: u32,
    /// Accounts that were warned.
    warned: u32,
    /// Accounts whose plans were replaced.
    upgraded: u32,
    /// Accounts that were throttled.
    throttled: u32,
    /// Throttles that ended with their month.
    lifted: u32,
    /// Accounts whose limits could not be told.
    unclear: u32,
}

impl Job for EnforceLimits {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: PaymentConfiguration,
    ) -> Result<Outcome, JobError> {
        let month = cx.now().month();
        if payload.month.is_some_and(|asked| asked != month) {
            return Ok(Outcome::completed(json!({ "skipped": "not_the_current_month" })));
        }
        let mut report = Report::default();
        let by_hand = config.payments.is_none();
        let checks = Checks { settings: &self.settings, by_hand, month, now: cx.now() };
        self.lift_ended(cx, checks, &mut report).await?;
        self.check_all(cx, checks, &mut report).await?;
        let Report { checked, warned, upgraded, throttled, lifted, unclear } = report;
        tracing::info!(checked, warned, upgraded, throttled, lifted, unclear, "limits checked");
        Ok(deliver(Outcome::completed(report)))
    }
}

impl EnforceLimits {
    /// Ends throttles for too much usage where a new month ends them.
    async fn lift_ended(
        &self,
        cx: &Context,
        checks: Checks<'_>,
        report: &mut Report,
    ) -> Result<(), JobError> {
        let mut after: Option<AccountId> = None;
        for _ in 0..PAGES_MAX {
            let page =
                throttles::over_limit_before(&self.db, checks.month, after, ACCOUNTS_PER_PAGE)
                    .await?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for account in page {
                cx.check_cancelled()?;
                cx.progress(0.0, "ending throttles");
                report.lifted += u32::from(checks.lift(&self.db, account).await?);
            }
        }
        Ok(())
    }

    async fn check_all(
        &self,
        cx: &Context,
        checks: Checks<'_>,
        report: &mut Report,
    ) -> Result<(), JobError> {
        let allowance = self.settings.catalogue.free_allowance();
        let mut after: Option<AccountId> = None;
        for _ in 0..PAGES_MAX {
            let page =
                limits::above(&self.db, checks.month, allowance, after, ACCOUNTS_PER_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for account in page {
                cx.check_cancelled()?;
                cx.progress(0.5, format!("{} accounts checked", report.checked));
                report.count(checks.check(&self.db, account).await?);
            }
        }
        Ok(())
    }
}

impl Report {
    fn count(&mut self, checked: Checked) {
        self.checked += 1;
        match checked {
            Checked::Nothing => {}
            Checked::Warned => self.warned += 1,
            Checked::Upgraded => self.upgraded += 1,
            Checked::Throttled => self.throttled += 1,
            Checked::Unclear => self.unclear += 1,
        }
    }
}
