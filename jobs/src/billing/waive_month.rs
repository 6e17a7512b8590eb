//! `billing/waive_month`: what a month costs is given up.
//!
//! Before its invoice a waiver only notes that nothing is to be charged; after it, a credit note
//! takes the invoice back.

use billing::{BillingError, RecordState};
use contract::NoConfiguration;
use contract::billing::WaiveMonth as Waive;
use database::{Db, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use models::billing as money;
use serde_json::json;
use values::Timestamp;

use super::asked;
use super::facts::Facts;
use super::invoice_account::send;
use super::issue_credit_note::credit;
use super::settings::Settings;
use super::settlement::{self, Written, is_with_gateway};

/// Gives months up.
pub(crate) struct WaiveMonth {
    db: Db,
    settings: Settings,
}

impl Job for WaiveMonth {
    type Payload = Waive;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Waive,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        asked::text("reason", &payload.reason)?;
        if cx.now() < payload.month.end() {
            return Err(BillingError::MonthNotEnded { month: payload.month }.into());
        }
        let mut transaction = self.db.begin().await?;
        let done = waive(&mut transaction.tx(), &self.settings, &payload, cx.now()).await?;
        transaction.commit().await?;
        cx.progress(0.9, "the month is waived");
        tracing::info!(account_id = %payload.account_id, month = %payload.month, "month waived");
        let outcome = Outcome::completed(json!({ "reason": "waived", "creditNote": done }));
        Ok(done.into_iter().fold(outcome, send))
    }
}

/// Waives a month; returns the number of the credit note, if there was an invoice.
async fn waive(
    tx: &mut Tx<'_>,
    settings: &Settings,
    payload: &Waive,
    now: Timestamp,
) -> Result<Option<String>, JobError> {
    let Waive { account_id, month, reason } = payload;
    let Some(mut facts) = Facts::lock(tx, *account_id, *month).await? else {
        return Err(JobError::permanent(format!("there is no account {account_id}")));
    };
    let Some(mut record) = facts.record.clone() else {
        let bill = facts.bill(settings)?;
        let written = Written { state: RecordState::Waived, reason, attempted_at: None };
        settlement::write(tx, settings, &mut facts, written, bill, now).await?;
        return Ok(None);
    };
    let refuse = |why: &str| Err(JobError::permanent(format!("{month} cannot be waived: {why}")));
    match record.state {
        RecordState::Waived => return Ok(None),
        RecordState::Paid => return refuse("it is paid; issue a credit note or refund it"),
        RecordState::Pending if is_with_gateway(tx, &record).await? => {
            return refuse("a charge is under way; ask again when its end is known");
        }
        RecordState::CarriedOver if record.carried_into.is_some() => {
            return refuse("a later invoice took it on; issue a credit note for that one");
        }
        RecordState::CarriedOver
        | RecordState::NoCard
        | RecordState::Pending
        | RecordState::Failed => {}
    }
    record.state = RecordState::Waived;
    record.reason.clone_from(reason);
    money::update_record(tx, &record, now).await?;
    let invoice = money::of_month(&mut *tx, *account_id, *month).await?;
    let note = match invoice {
        None => None,
        Some(invoice) => {
            let open = invoice.balance.open()?;
            Some(credit(tx, settings, &invoice, open, "waived", reason, now).await?)
        }
    };
    settlement::lift_if_settled(tx, &facts, now).await?;
    Ok(note)
}
