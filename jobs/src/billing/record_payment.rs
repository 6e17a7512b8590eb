//! `billing/record_payment`: a payment arrived outside the gateway.

use billing::{LedgerAccount, LedgerEvent, RecordState};
use contract::NoConfiguration;
use contract::billing::RecordPayment as Payload;
use database::{Db, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use models::billing as money;
use serde_json::json;
use values::{Money, Timestamp};

use super::asked::Booking;
use super::settings::Settings;
use super::{BY_HAND, settlement};

/// Books payments that arrived outside the gateway.
pub(crate) struct RecordPayment {
    db: Db,
}

impl Job for RecordPayment {
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
        let open = record(&mut transaction.tx(), &payload, cx.now()).await?;
        transaction.commit().await?;
        cx.progress(0.9, "the payment is booked");
        tracing::info!(invoice = payload.invoice, open_minor = open.minor, "payment recorded");
        Ok(Outcome::completed(json!({ "invoice": payload.invoice, "open": open })))
    }
}

/// Books a payment; returns what is still open.
async fn record(tx: &mut Tx<'_>, payload: &Payload, now: Timestamp) -> Result<Money, JobError> {
    let Payload { invoice, amount, reference, received_at } = payload;
    let (facts, mut record, invoice) = settlement::open_invoice(tx, invoice).await?;
    let booking = Booking {
        kind: "payment",
        reference,
        amount: *amount,
        event: LedgerEvent::PaymentReceived { amount: *amount },
        shown_on: LedgerAccount::Cash,
        at: ("receivedAt", *received_at),
    };
    let Some(open) = booking.book(tx, &invoice, now).await? else {
        return Ok(invoice.balance.open()?);
    };
    if open.minor == 0 {
        record.state = RecordState::Paid;
        BY_HAND.clone_into(&mut record.reason);
        money::update_record(tx, &record, now).await?;
        settlement::lift_if_settled(tx, &facts, now).await?;
    }
    Ok(open)
}
