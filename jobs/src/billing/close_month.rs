//! `billing/close_month`: freezes the usage of ended months and asks for every open account.
//!
//! It goes through a state table rather than a date: a day without a worker costs nothing, since
//! the next run finds every month that has ended and every account that is not settled. Usage and
//! totals are worked out in pages; one attempt asks for one page of accounts and for its successor.

use std::collections::{BTreeMap, VecDeque};

use billing::{
    BillFacts, BillingError, Brakes, Release, Totals, bill_of_month, closes_at, plans_at_end,
};
use contract::NoConfiguration;
use contract::billing::{CloseMonth as Payload, InvoiceAccount, InvoiceTrigger};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::billing::{self as money, BillingRecord};
use models::{Account, accounts, plans};
use scheduling::Scope;
use serde::Serialize;
use values::{AccountId, Currency, Money, Month, Timestamp};

use super::notices;
use super::settings::Settings;
use crate::emails::{deliver, once};

/// Accounts that are read, frozen or asked for at a time.
const PAGE: u32 = 500;
/// Pages of one month at the most: fifty million accounts.
const PAGES_MAX: u32 = 100_000;
/// Months that one run looks at: ten years.
const MONTHS_MAX: usize = 120;

/// What a bill asks for without tax, and its tax.
type NetAndTax = (Money, Money);

/// Closes months.
pub(crate) struct CloseMonth {
    db: Db,
    settings: Settings,
}

/// What one attempt did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Months it looked at, and whether each may charge.
    months: BTreeMap<String, &'static str>,
    /// Accounts it asked for.
    asked: usize,
}

impl Job for CloseMonth {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let Some(month) = payload.month else { return Ok(self.every_month(cx.now())) };
        if let Some(why) = self.settings.no_run(month, cx.now()) {
            return Err(JobError::permanent(why));
        }
        self.settings.check_issuer()?;
        let mut report = Report::default();
        let mut totals = None;
        let release = match money::run(&self.db, month).await? {
            Some(run) if run.released_at.is_some() => Release::Go,
            _ => {
                self.check_ledger(cx.now()).await?;
                let found = self.totals(cx, month).await?;
                let release = release(&self.db, &self.settings, month, &found).await?;
                totals = Some(found);
                release
            }
        };
        cx.progress(0.5, "usage is frozen");
        report.months.insert(month.to_string(), release.as_str());
        tracing::info!(%month, release = release.as_str(), "month looked at");
        if release != Release::Go {
            return Ok(held(month, release, totals.unwrap_or_default(), &report, cx.now()));
        }
        let (found, next) = self.open_accounts(cx, month, payload.after).await?;
        report.asked = found.len();
        let now = cx.now();
        let mut outcome = Outcome::completed(report).commit(move |tx| {
            Box::pin(async move {
                match &totals {
                    Some(totals) => money::release_run(tx, month, totals, now).await,
                    None => Ok(()),
                }
            })
        });
        for account_id in found {
            let trigger = InvoiceTrigger::MonthlyRun;
            let asked = InvoiceAccount { account_id, month, trigger };
            outcome = outcome.follow_up_with(&asked, once(Scope::Payload));
        }
        if next.is_some() {
            let next = Payload { month: Some(month), after: next };
            outcome = outcome.follow_up_with(&next, once(Scope::Payload));
        }
        Ok(outcome)
    }
}

impl CloseMonth {
    /// Asks for every month that has ended long enough ago, each by a task of its own.
    fn every_month(&self, now: Timestamp) -> Outcome {
        let close_after = self.settings.close_after;
        let mut report = Report::default();
        let mut months = VecDeque::new();
        let mut next = self.settings.first_month;
        while let Some(month) = next.filter(|month| closes_at(*month, close_after) <= now) {
            if months.len() >= MONTHS_MAX {
                months.pop_front(); // what is open for ten years is a matter for people
            }
            months.push_back(month);
            next = month.next();
        }
        report.months.extend(months.iter().map(|month| (month.to_string(), "asked")));
        if self.settings.first_month.is_none() {
            tracing::warn!("nothing is billed; set first_month in [domains.billing]");
        }
        let outcome = Outcome::completed(report);
        months.into_iter().fold(outcome, |outcome, month| {
            let payload = Payload { month: Some(month), after: None };
            outcome.follow_up_with(&payload, once(Scope::Payload))
        })
    }

    /// Refuses to charge on while the books are wrong.
    async fn check_ledger(&self, now: Timestamp) -> Result<(), JobError> {
        let Some(event) = money::unbalanced(&self.db, 1).await?.pop() else { return Ok(()) };
        let mut transaction = self.db.begin().await?;
        notices::ledger_difference(&mut transaction.tx(), &event, now).await?;
        transaction.commit().await?;
        Err(JobError::permanent(format!(
            "the ledger's event {event} does not sum to zero; nothing is charged until it does"
        )))
    }

    /// Finds a page of accounts whose month costs something and is open, and where to go on.
    async fn open_accounts(
        &self,
        cx: &Context,
        month: Month,
        mut after: Option<AccountId>,
    ) -> Result<(Vec<AccountId>, Option<AccountId>), JobError> {
        let mut open = Vec::new();
        for _ in 0..PAGES_MAX {
            cx.check_cancelled()?;
            let found = money::billable(&self.db, month, after, PAGE).await?;
            after = found.last().copied();
            open.extend(self.bills(&found, month).await?.into_iter().map(|(account, _)| account));
            if after.is_none() || open.len() >= PAGE as usize {
                break;
            }
        }
        Ok((open, after))
    }

    /// Freezes the month's usage, and adds up what its bills ask for.
    async fn totals(&self, cx: &Context, month: Month) -> Result<Totals, JobError> {
        let (mut totals, mut after) = (Totals::new(), None);
        for _ in 0..PAGES_MAX {
            cx.check_cancelled()?;
            let found = money::billable(&self.db, month, after, PAGE).await?;
            let Some(last) = found.last() else { break };
            after = Some(*last);
            let mut transaction = self.db.begin().await?;
            money::freeze(&mut transaction.tx(), &found, month, cx.now()).await?;
            transaction.commit().await?;
            for total in self.bills(&found, month).await?.into_iter().filter_map(|(_, total)| total)
            {
                let (net, tax) = total;
                totals.entry(net.currency).or_default().add(net, tax)?;
            }
        }
        Ok(totals)
    }

    /// What the bills of accounts ask for, without the free ones. A bill that cannot be written
    /// has no amount: the account's own task says why.
    async fn bills(
        &self,
        ids: &[AccountId],
        month: Month,
    ) -> Result<Vec<(AccountId, Option<NetAndTax>)>, JobError> {
        let histories = plans::histories(&self.db, ids).await?;
        let usage = money::frozen_usage(&self.db, ids, month).await?;
        let currencies = money::currencies(&self.db, ids).await?;
        let countries = money::countries(&self.db, ids).await?;
        let records: BTreeMap<AccountId, BillingRecord> = money::records(&self.db, ids, month)
            .await?
            .into_iter()
            .map(|record| (record.account, record))
            .collect();
        let mut totals = Vec::with_capacity(ids.len());
        for account in accounts::find(&self.db, ids).await? {
            let total = if let Some(record) = records.get(&account.id) {
                Ok((record.bill.amount, record.bill.tax))
            } else {
                let held = histories.get(&account.id).map_or(&[][..], Vec::as_slice);
                let plans = plans_at_end(held, month).cloned().unwrap_or_default();
                let usage = usage.get(&account.id).copied().unwrap_or_default();
                let currency = currencies.get(&account.id).copied().unwrap_or(Currency::USD);
                let country = countries.get(&account.id).map(String::as_str);
                self.total(&account, &plans, usage, (currency, country), month)
            };
            match total {
                Ok((net, _)) if net.minor == 0 => {}
                total => totals.push((account.id, total.ok())),
            }
        }
        Ok(totals)
    }

    /// What a month's bill asks for and its tax, without credit and what is carried into it.
    fn total(
        &self,
        account: &Account,
        plans: &billing::AccountPlans,
        usage: billing::Usage,
        (currency, country): (Currency, Option<&str>),
        month: Month,
    ) -> Result<NetAndTax, BillingError> {
        let provider = account.billing_provider.as_str();
        let holding = self.settings.catalogue.hold(provider, plans, month)?;
        let bill = bill_of_month(&BillFacts {
            created_at: account.created_at,
            holding: &holding,
            usage,
            currency,
            tax: self.settings.tax_basis_points.of(country),
            carried: &[],
            credit_minor: 0,
        })?;
        Ok((bill.amount, bill.tax))
    }
}

/// Whether a month's run may charge.
pub(crate) async fn release(
    db: &Db,
    settings: &Settings,
    month: Month,
    totals: &Totals,
) -> Result<Release, JobError> {
    let last = last_totals(db, month).await?;
    let approved = money::approval(db, month).await?;
    let brakes = Brakes {
        charges_stopped: money::charges_stopped(db).await?.is_some(),
        approve_before_charge: settings.approve_before_charge,
        max_change_basis_points: settings.max_change_basis_points,
    };
    Ok(brakes.release(totals, last.as_ref(), approved.as_ref()))
}

/// The totals of the run of the month before, if it was released.
pub(crate) async fn last_totals(db: &Db, month: Month) -> Result<Option<Totals>, JobError> {
    let Some(last) = month.previous() else { return Ok(None) };
    let last = money::run(db, last).await?;
    Ok(last.filter(|run| run.released_at.is_some()).map(|run| run.totals))
}

/// The outcome of a run that waits; admins are told once per reason and total.
fn held(
    month: Month,
    release: Release,
    totals: Totals,
    report: &Report,
    now: Timestamp,
) -> Outcome {
    deliver(Outcome::completed(report).commit(move |tx| {
        Box::pin(async move {
            if money::hold_run(tx, month, &totals, release, now).await? {
                notices::run_held(tx, month, release, totals.first_key_value(), now).await?;
            }
            Ok(())
        })
    }))
}
