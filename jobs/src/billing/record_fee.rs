//! `billing/record_fee`: what the gateway kept of a payment, as its statement says.

use billing::{LedgerAccount, LedgerEvent};
use contract::NoConfiguration;
use contract::billing::RecordFee as Payload;
use database::{Db, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use serde_json::json;
use values::Timestamp;

use super::asked::Booking;
use super::settings::Settings;
use super::settlement;

/// Books fees.
pub(crate) struct RecordFee {
    db: Db,
}

impl Job for RecordFee {
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
        let booked = record(&mut transaction.tx(), &payload, cx.now()).await?;
        transaction.commit().await?;
        cx.progress(0.9, "the fee is booked");
        Ok(Outcome::completed(json!({ "invoice": payload.invoice, "booked": booked })))
    }
}

/// Books a fee; `false` if it was booked before.
async fn record(tx: &mut Tx<'_>, payload: &Payload, now: Timestamp) -> Result<bool, JobError> {
    let Payload { invoice, amount, reference, charged_at } = payload;
    let (_, _, invoice) = settlement::open_invoice(tx, invoice).await?;
    let booking = Booking {
        kind: "fee",
        reference,
        amount: *amount,
        event: LedgerEvent::FeeCharged { amount: *amount },
        shown_on: LedgerAccount::Fees,
        at: ("chargedAt", *charged_at),
    };
    Ok(booking.book(tx, &invoice, now).await?.is_some())
}
