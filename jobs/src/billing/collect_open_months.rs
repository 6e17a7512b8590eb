//! `billing/collect_open_months`: a customer added a card and agreed to pay open months.

use std::collections::BTreeMap;

use billing::{
    GatewayAnswer, OpenMonth, Reason, RecordState, Trigger, agreed_months, throttled_throughout,
};
use contract::billing::{CollectOpenMonths as Payload, PaymentConfiguration};
use database::{Db, DbError, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use models::billing::{self as money, BillingRecord};
use models::{accounts, throttles};
use serde::Serialize;
use values::{AccountId, Month};

use super::gateway::open_gateway;
use super::invoice_account::{Charging, Ended, send};
use super::settings::Settings;
use super::settlement;
use crate::accounts::lift;
use crate::emails::deliver;

/// Collects open months.
pub(crate) struct CollectOpenMonths {
    db: Db,
    settings: Settings,
    environment: String,
}

/// What became of each month.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// The reason each month ended with.
    months: BTreeMap<String, &'static str>,
    /// Whether every month that was agreed to is paid.
    paid: bool,
}

impl Job for CollectOpenMonths {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        let environment = services.facts.environment.clone();
        Self { db: services.db.clone(), settings, environment }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: PaymentConfiguration,
    ) -> Result<Outcome, JobError> {
        if payload.months.is_empty() {
            return Err(JobError::permanent(
                "`months` is empty; name those the customer agreed to",
            ));
        }
        let gateway = open_gateway(&config, &self.environment)?;
        let charging = Charging { db: &self.db, settings: &self.settings, gateway: &gateway };
        let account = payload.account_id;
        let mut report = Report { paid: true, ..Report::default() };
        let mut invoices = Vec::new();
        for month in self.agreed(cx, &payload).await? {
            let reason = match charging.month(cx, account, month, Trigger::CardAdded).await? {
                Ended::Settled(reason, invoice) => {
                    invoices.extend(invoice);
                    report.paid &= matches!(reason, Reason::AlreadyPaid | Reason::PaidByCredit);
                    reason
                }
                Ended::Answered(answered) => {
                    let mut transaction = self.db.begin().await?;
                    answered.book(&mut transaction.tx(), cx.now()).await?;
                    transaction.commit().await?;
                    cx.progress(0.9, "a month is settled");
                    report.paid &= answered.answer == GatewayAnswer::Accepted;
                    invoices.push(answered.prepared.number.clone());
                    settlement::reason(&answered.answer)
                }
                waits @ (Ended::Invoiced(_) | Ended::Stopped) => return Ok(waits.outcome()),
            };
            report.months.insert(month.to_string(), reason.as_str());
        }
        tracing::info!(months = report.months.len(), paid = report.paid, "open months collected");
        let (paid, now) = (report.paid, cx.now());
        let outcome = deliver(Outcome::completed(report).commit(move |tx| {
            Box::pin(async move {
                let Some(account) = accounts::lock(tx, account).await? else { return Ok(()) };
                if paid && !is_refused(tx, account.id).await? {
                    lift(tx, &account, None, settlement::PAID, now).await?;
                }
                Ok(())
            })
        }));
        Ok(invoices.into_iter().fold(outcome, send))
    }
}

impl CollectOpenMonths {
    /// The months the customer agreed to, checked once: a repeat takes what was found then.
    async fn agreed(&self, cx: &Context, payload: &Payload) -> Result<Vec<Month>, JobError> {
        let key = format!("collect/{}/{}", payload.account_id, cx.task_id());
        let months: Vec<String> = cx
            .effects()
            .once(&key, async |_| self.check(payload).await, async |_| Ok(None))
            .await?;
        let parse = |text: &String| {
            text.parse::<Month>().map_err(|error| JobError::Permanent(Box::new(error)))
        };
        months.iter().map(parse).collect()
    }

    async fn check(&self, payload: &Payload) -> Result<Vec<String>, JobError> {
        let account = payload.account_id;
        if accounts::get(&self.db, account).await?.is_none() {
            return Err(JobError::permanent(format!("there is no account {account}")));
        }
        let free = *self.settings.catalogue.free_allowance();
        let periods = throttles::periods(&self.db, account).await?;
        let open: Vec<OpenMonth> = money::open_records(&self.db, account)
            .await?
            .into_iter()
            .map(|(BillingRecord { month, state, bill, .. }, usage)| OpenMonth {
                month,
                state,
                total: bill.total,
                above_free_allowance: !usage.within(&free),
                throttled_throughout: throttled_throughout(month, &periods),
            })
            .collect();
        let agreed = agreed_months(&open, &payload.months, payload.agreed_total)?;
        Ok(agreed.iter().map(|open| open.month.to_string()).collect())
    }
}

/// Whether a month is left that was refused and that the customer can still be asked for.
async fn is_refused(tx: &mut Tx<'_>, account: AccountId) -> Result<bool, DbError> {
    let periods = throttles::periods(&mut *tx, account).await?;
    let open = money::open_records(&mut *tx, account).await?;
    Ok(open.iter().any(|(record, _)| {
        record.state == RecordState::Failed && !throttled_throughout(record.month, &periods)
    }))
}
