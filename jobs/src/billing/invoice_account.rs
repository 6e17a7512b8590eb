//! `billing/invoice_account`: one account's month, invoiced and charged once.
//!
//! The intent comes first: record, invoice number and attempt are committed before the gateway is
//! called, and its idempotency key is the attempt's. What the gateway said is settled in the one
//! final write. An attempt that was cut off anywhere is found again by its key.

use billing::{GatewayAnswer, Reason, Trigger, next_retry};
use contract::billing::{
    InvoiceAccount as Payload, InvoiceTrigger, PaymentConfiguration, SendInvoice,
};
use database::{Db, DbError, Durability, Tx};
use job::{Context, EffectEnd, Job, JobError, Outcome, Services};
use payments::{ChargeOutcome, Gateway};
use scheduling::{Scope, TaskOptions, Unique};
use serde::Serialize;
use values::{AccountId, Money, Month, Span, Timestamp};

use super::gateway::open_gateway;
use super::settings::Settings;
use super::settlement::{self, Prepared, Started};
use crate::emails::deliver;

/// How long a task waits before it looks again whether charges are still stopped.
const STOPPED_WAIT: Span = Span::from_minutes(15);

/// Invoices one account's month.
pub(crate) struct InvoiceAccount {
    db: Db,
    settings: Settings,
    environment: String,
}

/// What became of the month.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Why it ended so.
    reason: &'static str,
    /// The invoice, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<String>,
    /// What the gateway took.
    #[serde(skip_serializing_if = "Option::is_none")]
    charged: Option<Money>,
}

impl Job for InvoiceAccount {
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
        let Payload { account_id, month, trigger } = payload;
        let trigger = match trigger {
            InvoiceTrigger::MonthlyRun => Trigger::MonthlyRun,
            InvoiceTrigger::Operator => Trigger::Operator,
        };
        let gateway = open_gateway(&config, &self.environment)?;
        let charging = Charging { db: &self.db, settings: &self.settings, gateway: &gateway };
        let ended = charging.month(cx, account_id, month, trigger).await?;
        let Ended::Answered(answered) = ended else {
            return Ok(ended.outcome());
        };
        let retry = retry(&answered, cx.now());
        let outcome = settle(cx, answered);
        Ok(match retry {
            None => outcome,
            Some(at) => {
                let key = format!("{account_id} {month} {at}");
                let unique = Some(Unique { scope: Scope::Key(key), period: None });
                let options = TaskOptions { run_at: Some(at), unique, ..TaskOptions::default() };
                let trigger = InvoiceTrigger::MonthlyRun;
                outcome.follow_up_with(&Payload { account_id, month, trigger }, options)
            }
        })
    }
}

/// Charges months through one gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charging<'a> {
    pub(crate) db: &'a Db,
    pub(crate) settings: &'a Settings,
    pub(crate) gateway: &'a Gateway,
}

/// How a month's settlement came out, before the final write.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Nothing is left to be done but to send the invoice, if there is one.
    Settled(Reason, Option<String>),
    /// The invoice is out; the customer pays by transfer.
    Invoiced(String),
    /// Nothing is charged at the moment.
    Stopped,
    /// The gateway has answered.
    Answered(Box<Answered>),
}

/// What the gateway answered, to be booked.
#[derive(Debug)]
pub(crate) struct Answered {
    /// What was asked.
    pub(crate) prepared: Prepared,
    /// What follows from the answer.
    pub(crate) answer: GatewayAnswer,
    /// The answer.
    pub(crate) outcome: ChargeOutcome,
    /// The end of the effect, if anybody was asked.
    end: Option<EffectEnd>,
}

impl Answered {
    /// Books it, and that it is known.
    pub(crate) async fn book(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), DbError> {
        let booked = self.write(tx, now).await;
        if let Err(error) = &booked {
            let (key, answer) = (&self.prepared.attempt.key, &self.outcome);
            tracing::error!(key, answer = ?answer, error = %error, "an answer of the gateway is not booked");
        }
        booked
    }

    async fn write(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), DbError> {
        settlement::finish(tx, &self.prepared, &self.answer, &self.outcome, now).await?;
        if let Some(end) = &self.end {
            end.write(tx).await?;
        }
        tx.flush().await
    }
}

impl Ended {
    /// The outcome of a task that has nothing to write.
    pub(crate) fn outcome(self) -> Outcome {
        let reason = match self {
            Self::Settled(reason, invoice) => return ended(reason.as_str(), invoice),
            Self::Invoiced(number) => return ended("invoiced", Some(number)),
            Self::Stopped => "charges are stopped",
            Self::Answered(_) => "the gateway has answered",
        };
        tracing::info!(reason, "the month waits");
        Outcome::snooze(STOPPED_WAIT)
    }
}

/// The outcome of a month that ended without the gateway.
fn ended(reason: &'static str, invoice: Option<String>) -> Outcome {
    let report = Report { reason, invoice: invoice.clone(), charged: None };
    let outcome = deliver(Outcome::completed(report));
    match invoice {
        None => outcome,
        Some(number) => send(outcome, number),
    }
}

/// Asks for the PDF of a document, and for its mail.
pub(crate) fn send(outcome: Outcome, number: String) -> Outcome {
    outcome.follow_up(&SendInvoice { number })
}

impl Charging<'_> {
    /// Takes a month as far as the gateway's answer.
    pub(crate) async fn month(
        &self,
        cx: &Context,
        account: AccountId,
        month: Month,
        trigger: Trigger,
    ) -> Result<Ended, JobError> {
        // All invoices wait for the row of their series until this is committed, so it does not wait
        // for the disk. The effect ledger does before the gateway is asked, and what it finds on
        // disk then includes this. Steady plans: planning its reads takes longer than they do.
        let mut transaction = self.db.begin_steady(Durability::Relaxed).await?;
        let started =
            settlement::start(&mut transaction.tx(), self, account, month, trigger, cx.now())
                .await?;
        transaction.commit().await?;
        cx.progress(0.3, "the intent is stored");
        cx.check_cancelled()?;
        let prepared = match started {
            Started::Ended(ended) => return Ok(ended),
            Started::Charge(prepared) => prepared,
        };
        let (outcome, end) = self.ask(cx, &prepared).await?;
        cx.progress(0.7, "the gateway has answered");
        let prepared = *prepared;
        let Some(answer) = outcome.answer() else { return Ok(Ended::Invoiced(prepared.number)) };
        Ok(Ended::Answered(Box::new(Answered { prepared, answer, outcome, end })))
    }

    /// Asks the gateway, once per key.
    async fn ask(
        &self,
        cx: &Context,
        prepared: &Prepared,
    ) -> Result<(ChargeOutcome, Option<EffectEnd>), JobError> {
        let charge = match prepared.charge() {
            Ok(charge) => charge,
            Err(error) => {
                // Nothing was sent: the attempt ends, and the next one takes the card of then.
                tracing::error!(key = prepared.attempt.key, error = %error, "a charge is unfit");
                return Ok((ChargeOutcome::Refused { code: settlement::UNFIT.to_owned() }, None));
            }
        };
        let (since, now) = (prepared.attempt.created_at, cx.now());
        let call = async |_| {
            if prepared.look_up_only {
                let found = self.gateway.find(&charge.customer, &charge.key, since).await?;
                let none = ChargeOutcome::Refused { code: settlement::NO_CARD.to_owned() };
                return known(found.map_or(none, |payment| payment.outcome));
            }
            if let Some(outcome) = self.gateway.reconcile(&charge, since, now).await? {
                return known(outcome);
            }
            known(self.gateway.charge(&charge).await?)
        };
        let reconcile = async |_| {
            let found = self.gateway.reconcile(&charge, since, now).await?;
            found.map(known).transpose()
        };
        let (outcome, end) = cx.effects().once_until_settled(&charge.key, call, reconcile).await?;
        Ok((outcome, Some(end)))
    }
}

/// Refuses an outcome that tells nothing: the key is asked again later.
fn known(outcome: ChargeOutcome) -> Result<ChargeOutcome, JobError> {
    match &outcome {
        ChargeOutcome::Unknown { reason } => {
            Err(JobError::retryable(format!("the end of the charge is not known: {reason}")))
        }
        _ => Ok(outcome),
    }
}

/// When a declined charge is tried again by itself.
fn retry(Answered { prepared, answer, .. }: &Answered, now: Timestamp) -> Option<Timestamp> {
    match answer {
        GatewayAnswer::Declined { code: _ } | GatewayAnswer::AuthenticationRequired => {
            let grace = prepared.record.grace_until.unwrap_or_else(|| now.after(billing::GRACE));
            next_retry(grace, prepared.attempt.created_at)
        }
        GatewayAnswer::Accepted | GatewayAnswer::Refused { code: _ } | GatewayAnswer::Unknown => {
            None
        }
    }
}

/// The outcome whose final write settles the month.
fn settle(cx: &Context, answered: Box<Answered>) -> Outcome {
    let Answered { prepared, answer, outcome: _, end: _ } = &*answered;
    let taken = *answer == GatewayAnswer::Accepted;
    let report = Report {
        reason: settlement::reason(answer).as_str(),
        invoice: Some(prepared.number.clone()),
        charged: taken.then_some(prepared.attempt.amount),
    };
    tracing::debug!(reason = report.reason, month = %prepared.attempt.month, "month settled");
    // A payment is told of with its invoice, unless it also ends a throttle.
    let is_told = !taken || prepared.was_throttled;
    let (number, now) = (prepared.number.clone(), cx.now());
    let outcome = send(Outcome::completed(report), number)
        .commit(move |tx| Box::pin(async move { answered.book(tx, now).await }));
    if is_told { deliver(outcome) } else { outcome }
}
