//! What a month's run would do, without doing any of it.

use std::collections::{BTreeMap, BTreeSet};

use billing::{Bill, Catalogue, RecordState, Release, Step, Totals, Trigger, settle_month};
use database::Db;
use job::JobError;
use manifest::Manifest;
use models::accounts;
use models::billing::{self as money, BillingRecord};
use values::{AccountId, Currency, Money, Month, Timestamp};

use super::BY_HAND;
use super::close_month::release;
use super::facts::Facts;
use super::settings::Settings;

/// The job whose row of worker.toml has the settings of the domain.
const JOB: &str = "billing/close_month";
/// Accounts that are read at a time.
const PAGE: u32 = 200;
/// Pages of one month at the most.
const PAGES_MAX: u32 = 100_000;

/// What a month's run would do.
#[derive(Debug)]
pub struct Preview {
    /// Accounts whose month costs something and is not settled, in the order of their ids; the
    /// settled ones too once the run was released.
    pub rows: Vec<PreviewRow>,
    /// Accounts whose month costs nothing, by reason.
    pub without_cost: BTreeMap<&'static str, u64>,
    /// What the brakes look at: the sums of the bills of all rows, without credit and what is
    /// carried into them; of a run that was released, what it was released with.
    pub totals: Totals,
    /// The same of the run of the month before, if that was released.
    pub last: Option<Totals>,
    /// Whether the run would go on.
    pub release: Release,
    /// When the run was released: rows then say what was billed, and what is still open.
    pub released_at: Option<Timestamp>,
    /// Why no run of the month charges as of now, whatever `release` is; see [`no_run`].
    pub no_run: Option<String>,
}

/// What the run would do with one account.
#[derive(Debug)]
pub struct PreviewRow {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// `charge`, the state or reason it would end with, or what is wrong.
    pub outcome: String,
    /// The bill, as frozen if the month has a record; `None` if none can be written.
    pub bill: Option<Bill>,
    /// What the gateway would be asked for, or the customer would transfer.
    pub charge: Option<Money>,
}

/// Works a month's run out as of `now`, or as of the month's end if that is to come.
///
/// `by_hand` says that customers pay by transfer, so that no card is needed.
///
/// # Errors
/// What the settings in worker.toml or the database say.
pub async fn preview_month(
    db: &Db,
    manifest: &Manifest,
    month: Month,
    by_hand: bool,
    now: Timestamp,
) -> Result<Preview, JobError> {
    let settings = settings(manifest)?;
    let no_run = settings.no_run(month, now);
    let now = now.max(month.end());
    let (mut rows, mut without_cost, mut totals) = (Vec::new(), BTreeMap::new(), Totals::new());
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let found = money::billable(db, month, after, PAGE).await?;
        let Some(last) = found.last() else { break };
        after = Some(*last);
        for account in found {
            match row(db, &settings, account, month, by_hand, now).await? {
                Ok((row, counted)) => {
                    if let Some((net, tax)) = counted {
                        totals.entry(net.currency).or_default().add(net, tax)?;
                    }
                    rows.push(row);
                }
                Err(reason) => *without_cost.entry(reason).or_default() += 1,
            }
        }
    }
    let last = super::close_month::last_totals(db, month).await?;
    let run = money::run(db, month).await?.filter(|run| run.released_at.is_some());
    let released_at = run.as_ref().and_then(|run| run.released_at);
    let release = match run {
        None => release(db, &settings, month, &totals).await?,
        Some(run) => {
            totals = run.totals;
            add_settled(db, month, &mut rows).await?;
            run.release
        }
    };
    Ok(Preview { rows, without_cost, totals, last, release, released_at, no_run })
}

/// Adds what was billed and is in no row yet.
async fn add_settled(db: &Db, month: Month, rows: &mut Vec<PreviewRow>) -> Result<(), JobError> {
    let known: BTreeSet<AccountId> = rows.iter().map(|row| row.account).collect();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let records = money::records_of_month(db, month, after, PAGE).await?;
        let Some(last) = records.last() else { break };
        after = Some(last.account);
        let ids: Vec<AccountId> = records.iter().map(|record| record.account).collect();
        let names: BTreeMap<AccountId, String> =
            accounts::find(db, &ids).await?.into_iter().map(|of| (of.id, of.name)).collect();
        let settled = records
            .into_iter()
            .filter(|record| record.bill.list_price.minor > 0 && !known.contains(&record.account));
        rows.extend(settled.map(|record| PreviewRow {
            account: record.account,
            name: names.get(&record.account).cloned().unwrap_or_default(),
            outcome: record.state.to_string(),
            bill: Some(record.bill),
            charge: None,
        }));
    }
    rows.sort_by_key(|row| row.account);
    Ok(())
}

/// Says why no run of a month charges as of `now`: nothing is billed yet, another system settled
/// it, or it is not closed yet; `None` if one may.
///
/// # Errors
/// What the settings in worker.toml say.
pub fn no_run(
    manifest: &Manifest,
    month: Month,
    now: Timestamp,
) -> Result<Option<String>, JobError> {
    Ok(settings(manifest)?.no_run(month, now))
}

/// Reads the plans that are sold, as `[domains.billing]` names them.
///
/// # Errors
/// What the settings in worker.toml, or the file they name, say.
pub fn catalogue(manifest: &Manifest) -> Result<Catalogue, JobError> {
    Ok(settings(manifest)?.catalogue)
}

fn settings(manifest: &Manifest) -> Result<Settings, JobError> {
    let row = manifest.jobs.iter().find(|(job, _)| job.as_str() == JOB);
    let settings = row.map_or_else(Default::default, |(_, row)| row.settings.clone());
    serde_json::from_value(settings.into())
        .map_err(|error| JobError::permanent(format!("[domains.billing] in worker.toml: {error}")))
}

/// A row, and what the brakes count of it: net and tax.
type Counted = (PreviewRow, Option<(Money, Money)>);

/// Looks at one account; `Err` is the reason why its month costs nothing.
async fn row(
    db: &Db,
    settings: &Settings,
    account: AccountId,
    month: Month,
    by_hand: bool,
    now: Timestamp,
) -> Result<Result<Counted, &'static str>, JobError> {
    let mut transaction = db.begin().await?;
    let read = Facts::read(&mut transaction.tx(), account, month).await;
    drop(transaction);
    let broken = |outcome: String| PreviewRow {
        account,
        name: String::new(),
        outcome,
        bill: None,
        charge: None,
    };
    let facts = match read {
        Ok(Some(facts)) => facts,
        Ok(None) => return Ok(Err("account_deleted")),
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(error) => return Ok(Ok((broken(error.to_string()), None))),
    };
    let name = facts.account.name.clone();
    let standing = match facts.standing(&settings.catalogue, by_hand) {
        Ok(standing) => standing,
        Err(error) => {
            return Ok(Ok((PreviewRow { name, ..broken(error.to_string()) }, None)));
        }
    };
    let record = facts.record.as_ref();
    let known = record.map(BillingRecord::facts);
    let step = settle_month(&standing, month, Trigger::MonthlyRun, now, known.as_ref(), || {
        facts.bill(settings)
    });
    let frozen = record.map(|record| record.bill.clone());
    // Who was asked for a transfer is charged only if a person says so.
    let waits = |record: &BillingRecord| {
        !by_hand && record.state == RecordState::Pending && record.reason == BY_HAND
    };
    let alone = match record {
        Some(record) => Some((record.bill.amount, record.bill.tax)),
        None => facts.bill_alone(settings).ok().map(|bill| (bill.amount, bill.tax)),
    };
    let (outcome, bill, charge) = match step {
        Err(error) | Ok(Step::Stop(error)) => (error.to_string(), None, None),
        Ok(Step::Skip(reason)) => match frozen.or_else(|| facts.bill(settings).ok()) {
            Some(bill) if bill.list_price.minor > 0 => (reason.to_string(), Some(bill), None),
            _ => return Ok(Err(reason.as_str())),
        },
        Ok(Step::Write(state, bill)) => (state.to_string(), Some(bill), None),
        Ok(Step::Charge(_)) if record.is_some_and(waits) => (BY_HAND.to_owned(), frozen, None),
        Ok(Step::Charge(charge)) => {
            ("charge".to_owned(), charge.bill.or(frozen), Some(charge.amount))
        }
    };
    let counted = alone.filter(|_| bill.is_some());
    Ok(Ok((PreviewRow { account, name, outcome, bill, charge }, counted)))
}

impl Preview {
    /// What would be charged, by currency.
    pub fn charges(&self) -> BTreeMap<Currency, i64> {
        let mut sums = BTreeMap::new();
        for amount in self.rows.iter().filter_map(|row| row.charge) {
            let sum: &mut i64 = sums.entry(amount.currency).or_default();
            *sum = sum.saturating_add(amount.minor);
        }
        sums
    }
}
