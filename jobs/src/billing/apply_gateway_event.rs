//! `billing/apply_gateway_event`: a later result of the gateway, applied once per event.
//!
//! Events may come twice, late, and in any order, so that none is believed: the payment is read
//! anew, and only a month whose charge has no end yet is settled by it.

use contract::billing::{ApplyGatewayEvent as Payload, PaymentConfiguration};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::billing as money;
use payments::ChargeOutcome;
use serde_json::json;

use super::gateway::open_gateway;
use super::invoice_account::send;
use super::notices;
use super::settings::Settings;
use super::settlement::{self, Prepared};
use crate::emails::deliver;

/// Applies events of the gateway.
pub(crate) struct ApplyGatewayEvent {
    db: Db,
    environment: String,
}

impl Job for ApplyGatewayEvent {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, _: Settings) -> Self {
        let environment = services.facts.environment.clone();
        Self { db: services.db.clone(), environment }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: PaymentConfiguration,
    ) -> Result<Outcome, JobError> {
        let id = payload.event_id;
        let Some(event) = money::event(&self.db, &id).await? else {
            return Err(JobError::permanent("there is no such event in the inbox"));
        };
        if event.applied_at.is_some() {
            return Ok(Outcome::completed(json!({ "result": "already_applied" })));
        }
        let found = match &event.payment {
            None => None,
            Some(payment) => self.settled_by(payment, &config).await?,
        };
        cx.progress(0.7, "the payment is read");
        let result = if found.is_some() { "applied" } else { "nothing_to_do" };
        let now = cx.now();
        let number = found.as_ref().map(|(prepared, _)| prepared.number.clone());
        let outcome = deliver(Outcome::completed(json!({ "result": result })).commit(move |tx| {
            Box::pin(async move {
                if !money::applied(tx, &id, result, now).await? {
                    return Ok(());
                }
                if is_for_people(&event.name) {
                    notices::gateway_event(tx, &event, now).await?;
                }
                let Some((prepared, outcome)) = found else { return Ok(()) };
                let Some(answer) = outcome.answer() else { return Ok(()) };
                settlement::finish(tx, &prepared, &answer, &outcome, now).await
            })
        }));
        Ok(number.into_iter().fold(outcome, send))
    }
}

/// Whether an event needs a person: money that goes back without this program's doing.
fn is_for_people(name: &str) -> bool {
    name.starts_with("charge.dispute.") || name == "refund.failed"
}

impl ApplyGatewayEvent {
    /// Finds the attempt that a payment is the end of, and that end.
    async fn settled_by(
        &self,
        payment: &str,
        config: &PaymentConfiguration,
    ) -> Result<Option<(Prepared, ChargeOutcome)>, JobError> {
        let unfit = |error| JobError::Permanent(Box::new(error));
        let payment = payment.to_owned().try_into().map_err(unfit)?;
        let Some(payment) = open_gateway(config, &self.environment)?.retrieve(&payment).await?
        else {
            return Ok(None);
        };
        let Some(key) = payment.key else { return Ok(None) };
        let Some(attempt) = money::attempt(&self.db, &key).await? else { return Ok(None) };
        let (account, month) = (attempt.account, attempt.month);
        let record = money::record(&self.db, account, month).await?;
        let invoice = money::of_month(&self.db, account, month).await?;
        let (Some(record), Some(invoice)) = (record, invoice) else { return Ok(None) };
        if matches!(payment.outcome, ChargeOutcome::Unknown { reason: _ }) {
            return Ok(None);
        }
        let number = invoice.number;
        let prepared =
            Prepared { record, attempt, number, look_up_only: false, was_throttled: true };
        Ok(Some((prepared, payment.outcome)))
    }
}
