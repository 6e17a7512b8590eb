//! `billing/refund_payment`: money of a paid invoice goes back, once per reference.

use billing::LedgerEvent;
use contract::billing::{PaymentConfiguration, RefundPayment as Payload};
use database::{Db, DbError, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use models::accounts;
use models::billing::{self as money, PaymentRefund};
use payments::{Refund, RefundOutcome};
use serde_json::json;
use values::Timestamp;

use super::gateway::open_gateway;
use super::settings::Settings;
use super::{asked, notices, settlement};
use crate::emails::deliver;

/// Gives money back.
pub(crate) struct RefundPayment {
    db: Db,
    environment: String,
}

impl Job for RefundPayment {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, _: Settings) -> Self {
        Self { db: services.db.clone(), environment: services.facts.environment.clone() }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: PaymentConfiguration,
    ) -> Result<Outcome, JobError> {
        let gateway = open_gateway(&config, &self.environment)?;
        let mut transaction = self.db.begin().await?;
        let intent = intend(&mut transaction.tx(), &payload, cx.now()).await?;
        transaction.commit().await?;
        cx.progress(0.3, "the intent is stored");
        let unfit = |error| JobError::Permanent(Box::new(error));
        let refund = Refund {
            key: intent.key.clone(),
            payment: intent.payment.clone().try_into().map_err(unfit)?,
            amount: intent.amount,
            account: intent.account,
        };
        let (since, now) = (intent.created_at, cx.now());
        let call = async |_| {
            if let Some(outcome) = gateway.reconcile_refund(&refund, since, now).await? {
                return known(outcome);
            }
            known(gateway.refund(&refund).await?)
        };
        let reconcile = async |_| {
            let found = gateway.reconcile_refund(&refund, since, now).await?;
            found.map(known).transpose()
        };
        let outcome = cx.effects().once(&intent.key, call, reconcile).await?;
        cx.progress(0.7, "the gateway has answered");
        let (word, id) = told(&outcome);
        tracing::info!(invoice = payload.invoice, outcome = word, "payment refunded");
        let named =
            if matches!(outcome, RefundOutcome::Refused { .. }) { "code" } else { "refund" };
        let report = json!({ "outcome": word, named: id });
        Ok(deliver(
            Outcome::completed(report).commit(move |tx| {
                Box::pin(async move { finish(tx, &intent, &outcome, now).await })
            }),
        ))
    }
}

/// Stores the intent, if there is as much to give back.
async fn intend(
    tx: &mut Tx<'_>,
    payload: &Payload,
    now: Timestamp,
) -> Result<PaymentRefund, JobError> {
    let Payload { invoice, amount, reference, reason } = payload;
    asked::word("reference", reference)?;
    asked::text("reason", reason)?;
    let key = format!("refund/{invoice}/{reference}");
    if let Some(known) = money::refund(&mut *tx, &key).await? {
        asked::same(reference, known.amount, *amount)?;
        return Ok(known);
    }
    let (_, _, invoice) = settlement::open_invoice(tx, invoice).await?;
    let paid = money::accepted_attempt(&mut *tx, invoice.account, invoice.month).await?;
    let Some(payment) = paid.and_then(|attempt| attempt.payment) else {
        return Err(JobError::permanent("no payment of the gateway is there to give back"));
    };
    asked::claim(tx, "refund", reference, &invoice.number).await?;
    asked::amount("a refund", *amount, &invoice)?;
    let under_way = money::refunds_under_way(&mut *tx, &invoice.number).await?;
    let all = amount.checked_add(values::Money { minor: under_way, ..*amount });
    let all = all.map_err(billing::BillingError::from)?;
    invoice.balance.after(&LedgerEvent::Refunded { amount: all })?;
    let refund = PaymentRefund {
        key,
        number: invoice.number,
        account: invoice.account,
        payment,
        amount: *amount,
        reason: reason.clone(),
        created_at: now,
    };
    money::begin_refund(tx, &refund).await?;
    Ok(refund)
}

/// Books a refund, once.
async fn finish(
    tx: &mut Tx<'_>,
    intent: &PaymentRefund,
    outcome: &RefundOutcome,
    now: Timestamp,
) -> Result<(), DbError> {
    accounts::lock(tx, intent.account).await?;
    let (word, id) = told(outcome);
    if !money::end_refund(tx, &intent.key, word, id, now).await? {
        return Ok(());
    }
    if let RefundOutcome::Refused { code } = outcome {
        return notices::refund_refused(tx, intent, code, now).await;
    }
    let event = LedgerEvent::Refunded { amount: intent.amount };
    settlement::book(tx, &intent.key, &intent.number, &event, now).await?;
    Ok(())
}

fn told(outcome: &RefundOutcome) -> (&'static str, Option<&str>) {
    match outcome {
        RefundOutcome::Accepted { id } => ("accepted", Some(id.as_str())),
        RefundOutcome::Pending { id } => ("pending", Some(id.as_str())),
        RefundOutcome::Refused { code } => ("refused", Some(code)),
        RefundOutcome::Unknown { reason: _ } => ("unknown", None),
        RefundOutcome::ByHand => ("by_hand", None),
    }
}

fn known(outcome: RefundOutcome) -> Result<RefundOutcome, JobError> {
    match &outcome {
        RefundOutcome::Unknown { reason } => {
            Err(JobError::retryable(format!("the end of the refund is not known: {reason}")))
        }
        _ => Ok(outcome),
    }
}
