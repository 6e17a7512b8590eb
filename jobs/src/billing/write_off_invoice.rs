//! `billing/write_off_invoice`: what a customer owes is given up.
//!
//! Unlike a credit note it leaves the invoice, its revenue and its tax as they are, and the throttle
//! of an account that does not pay. A month without anything open is not charged any more.

use billing::{LedgerAccount, LedgerEvent, RecordState};
use contract::NoConfiguration;
use contract::billing::WriteOffInvoice as Payload;
use database::{Db, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use models::billing as money;
use serde_json::json;
use values::{Money, Timestamp};

use super::asked::{self, Booking};
use super::settings::Settings;
use super::settlement;

/// Gives up what customers owe.
pub(crate) struct WriteOffInvoice {
    db: Db,
}

impl Job for WriteOffInvoice {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, _: Settings) -> Self {
        Self { db: services.db.clone() }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let mut transaction = self.db.begin().await?;
        let open = write_off(&mut transaction.tx(), &payload, cx.now()).await?;
        transaction.commit().await?;
        cx.progress(0.9, "the amount is written off");
        tracing::info!(invoice = payload.invoice, open_minor = open.minor, "written off");
        Ok(Outcome::completed(json!({ "invoice": payload.invoice, "open": open })))
    }
}

/// Books the loss; returns what is still open.
async fn write_off(tx: &mut Tx<'_>, payload: &Payload, now: Timestamp) -> Result<Money, JobError> {
    let Payload { invoice, amount, reference, reason } = payload;
    asked::text("reason", reason)?;
    let (_, mut record, invoice) = settlement::open_invoice(tx, invoice).await?;
    let booking = Booking {
        kind: "write_off",
        reference,
        amount: *amount,
        event: LedgerEvent::WrittenOff { amount: *amount },
        shown_on: LedgerAccount::WriteOff,
        at: ("now", now),
    };
    let Some(open) = booking.book(tx, &invoice, now).await? else {
        return Ok(invoice.balance.open()?);
    };
    if open.minor == 0 && matches!(record.state, RecordState::Failed | RecordState::Pending) {
        let is_paid = invoice.balance.paid.minor > 0;
        record.state = if is_paid { RecordState::Paid } else { RecordState::Waived };
        record.reason.clone_from(reason);
        money::update_record(tx, &record, now).await?;
    }
    Ok(open)
}
