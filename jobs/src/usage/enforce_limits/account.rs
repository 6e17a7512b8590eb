//! One account: read, decided and written in one transaction.

use ::billing::{
    Action, BilledBy, BillingError, Holding, LimitDecision, LimitFacts, Throttle, check_limits,
    plans_at_end, throttle_key, upgrade_key, warning_key,
};
use database::{Db, Tx};
use job::JobError;
use mail::{AdminEvent, AdminEventKind, Message};
use models::{Account, ThrottledReason, accounts, billing, limits, outbox, plans, throttles};
use values::{AccountId, Month, Timestamp};

use super::notices;
use super::settings::Settings;
use crate::accounts::lift;
use crate::emails::{Mailing, event};

/// What became of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// Nothing was to be done, or it was done before.
    Nothing,
    /// It was warned.
    Warned,
    /// Its plans were replaced.
    Upgraded,
    /// It was throttled.
    Throttled,
    /// Its limits could not be told.
    Unclear,
}

/// The month that is checked, and how.
#[derive(Clone, Copy)]
pub(super) struct Checks<'a> {
    pub(super) settings: &'a Settings,
    /// Whether customers pay by transfer, so that nobody has a card.
    pub(super) by_hand: bool,
    pub(super) month: Month,
    pub(super) now: Timestamp,
}

impl Checks<'_> {
    /// Checks an account and does what follows.
    pub(super) async fn check(self, db: &Db, id: AccountId) -> Result<Checked, JobError> {
        let mut work = db.begin().await?;
        let checked = self.check_in(&mut work.tx(), id).await?;
        work.commit().await?;
        Ok(checked)
    }

    /// Ends the throttle of an account if a new month ends it; returns whether it did.
    pub(super) async fn lift(self, db: &Db, id: AccountId) -> Result<bool, JobError> {
        let mut work = db.begin().await?;
        let lifted = self.lift_in(&mut work.tx(), id).await?;
        work.commit().await?;
        Ok(lifted)
    }

    async fn check_in(self, tx: &mut Tx<'_>, id: AccountId) -> Result<Checked, JobError> {
        let Some(account) = accounts::lock(tx, id).await? else {
            return Ok(Checked::Nothing);
        };
        let history = plans::history(&mut *tx, id).await?;
        let held = plans_at_end(&history, self.month).cloned().unwrap_or_default();
        let provider = account.billing_provider.as_str();
        let holding = match self.settings.catalogue.hold(provider, &held, self.month) {
            Ok(holding) => holding,
            Err(error) => return self.unclear(tx, id, &error).await,
        };
        let facts = LimitFacts {
            holding: &holding,
            currency: billing::details(&mut *tx, id).await?.currency,
            usage: limits::usage(&mut *tx, id, self.month).await?,
            deleted: account.deleted_at.is_some(),
            exempt: account.unthrottleable,
            throttled_at: account.throttled_at,
            has_card: self.by_hand || billing::primary_card(&mut *tx, id).await?.is_some(),
            warned_this_month: throttles::is_warned(&mut *tx, id, self.month).await?,
            now: self.now,
        };
        match check_limits(&facts) {
            Ok(decision) => {
                let version = history.len() as u64 + 1;
                self.act(tx, &account, (&facts, &decision), version).await
            }
            Err(error) => self.unclear(tx, id, &error).await,
        }
    }

    async fn act(
        self,
        tx: &mut Tx<'_>,
        account: &Account,
        (facts, decision): (&LimitFacts<'_>, &LimitDecision),
        version: u64,
    ) -> Result<Checked, JobError> {
        let Self { settings, by_hand: _, month, now } = self;
        let id = account.id;
        if decision.alert_admins {
            let key = format!("no_larger_plan/{id}/{month}");
            self.tell(tx, key, AdminEventKind::NoLargerPlan, (id, decision.reason.as_str()))
                .await?;
        }
        match &decision.action {
            Action::Nothing => Ok(Checked::Nothing),
            Action::Warn { next } => {
                throttles::warn(tx, id, month, now).await?;
                let message = notices::near_limit(account, facts, decision, next, month)?;
                self.write(tx, account, warning_key(id, month), &message).await?;
                let code = (id, decision.reason.as_str());
                self.tell(tx, warning_key(id, month), AdminEventKind::NearLimit, code).await?;
                Ok(Checked::Warned)
            }
            Action::Upgrade { to, plans } => {
                plans::change(tx, id, now, plans, "upgrade").await?;
                let key = upgrade_key(id, version);
                let message = notices::plan_upgraded(account, facts, to, month)?;
                self.write(tx, account, key.clone(), &message).await?;
                let code = (id, decision.reason.as_str());
                self.tell(tx, key, AdminEventKind::PlanUpgraded, code).await?;
                Ok(Checked::Upgraded)
            }
            Action::Throttle => {
                let throttle = (now, ThrottledReason::OverLimit);
                let Some(sequence) = throttles::throttle(tx, id, throttle, now).await? else {
                    return Ok(Checked::Nothing);
                };
                let key = throttle_key(id, sequence);
                let message = notices::throttled(account, facts, decision, settings);
                self.write(tx, account, key.clone(), &message).await?;
                let code = (id, decision.reason.as_str());
                self.tell(tx, key, AdminEventKind::Throttled, code).await?;
                Ok(Checked::Throttled)
            }
        }
    }

    async fn lift_in(self, tx: &mut Tx<'_>, id: AccountId) -> Result<bool, JobError> {
        let Some(account) = accounts::lock(tx, id).await? else { return Ok(false) };
        let provider = self.settings.catalogue.provider(account.billing_provider.as_str());
        let billed_by = provider.map_or(BilledBy::Company, |provider| provider.billed_by);
        let (Some(at), Some(ThrottledReason::OverLimit)) =
            (account.throttled_at, account.throttled_reason)
        else {
            return Ok(false);
        };
        let throttle = Throttle { at, reason: ::billing::ThrottledReason::OverLimit };
        if !throttle.ends_with_month(billed_by, self.now) {
            return Ok(false);
        }
        let reason = Some(ThrottledReason::OverLimit);
        Ok(lift(tx, &account, reason, "new_month", self.now).await?)
    }

    /// Leaves an account alone and tells the admins, once a month.
    async fn unclear(
        self,
        tx: &mut Tx<'_>,
        id: AccountId,
        error: &BillingError,
    ) -> Result<Checked, JobError> {
        tracing::warn!(account_id = %id, error = %error, "limits of an account cannot be told");
        let key = format!("limits_unclear/{id}/{}", self.month);
        self.tell(tx, key, AdminEventKind::UnknownPlan, (id, notices::code(error))).await?;
        Ok(Checked::Unclear)
    }

    /// Puts a mail into the outbox; an account without an address gets none.
    async fn write(
        self,
        tx: &mut Tx<'_>,
        account: &Account,
        unique_key: String,
        message: &Message,
    ) -> Result<(), JobError> {
        let Some(to) = &account.billing_email else { return Ok(()) };
        let mailing = Mailing {
            unique_key,
            account_id: Some(account.id),
            to,
            name: Some(&account.name),
            message,
            attachments: Vec::new(),
        };
        outbox::add(tx, &mailing.row(self.now)?).await?;
        Ok(())
    }

    async fn tell(
        self,
        tx: &mut Tx<'_>,
        key: String,
        kind: AdminEventKind,
        (account, code): (AccountId, &str),
    ) -> Result<(), JobError> {
        let mut told = AdminEvent::new(kind, self.now);
        told.account = Some(account);
        told.month = Some(self.month);
        told.code = code.parse().ok();
        outbox::note_event(tx, &event(key, &told)?).await?;
        Ok(())
    }
}

/// A holding's names of the plans of a product, for a mail.
pub(super) fn titles(holding: &Holding<'_>, product: ::billing::Product) -> Vec<String> {
    holding.of(product).map(|plan| plan.title.clone()).collect()
}
