//! `billing/issue_credit_note`: an invoice, or a part of it, is taken back.

use billing::{BillingError, InvoiceBalance, LedgerEvent, RecordState, Split};
use contract::NoConfiguration;
use contract::billing::IssueCreditNote as CreditNote;
use database::{Db, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use models::billing::{self as money, Document, DocumentKind, Issue};
use serde_json::json;
use values::{Money, Timestamp};

use super::asked;
use super::invoice_account::send;
use super::settings::Settings;
use super::settlement::{self, book};

/// Issues credit notes.
pub(crate) struct IssueCreditNote {
    db: Db,
    settings: Settings,
}

impl Job for IssueCreditNote {
    type Payload = CreditNote;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: CreditNote,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let mut transaction = self.db.begin().await?;
        let number = note(&mut transaction.tx(), &self.settings, &payload, cx.now()).await?;
        transaction.commit().await?;
        cx.progress(0.9, "the credit note is issued");
        tracing::info!(invoice = payload.invoice, credit_note = number, "credit note issued");
        Ok(send(Outcome::completed(json!({ "creditNote": number })), number))
    }
}

async fn note(
    tx: &mut Tx<'_>,
    settings: &Settings,
    payload: &CreditNote,
    now: Timestamp,
) -> Result<String, JobError> {
    let CreditNote { invoice, amount, reference, reason } = payload;
    asked::text("reason", reason)?;
    let (facts, mut record, invoice) = settlement::open_invoice(tx, invoice).await?;
    asked::claim(tx, "credit_note", reference, &invoice.number).await?;
    if let Some(number) = money::document_of_event(&mut *tx, &event(&invoice, reference)).await? {
        if let Some(InvoiceBalance { net, tax, .. }) =
            money::by_number(&mut *tx, &number).await?.map(|known| known.balance)
        {
            asked::same(reference, net.checked_add(tax).map_err(BillingError::from)?, *amount)?;
        }
        return Ok(number);
    }
    asked::amount("a credit note", *amount, &invoice)?;
    let note = credit(tx, settings, &invoice, *amount, reference, reason, now).await?;
    let invoice = money::by_number(&mut *tx, &invoice.number).await?.unwrap_or(invoice);
    let is_open = matches!(record.state, RecordState::Failed | RecordState::Pending);
    if is_open && invoice.balance.open()?.minor == 0 {
        let is_paid = invoice.balance.paid.minor > 0;
        record.state = if is_paid { RecordState::Paid } else { RecordState::Waived };
        record.reason.clone_from(reason);
        money::update_record(tx, &record, now).await?;
        settlement::lift_if_settled(tx, &facts, now).await?;
    }
    Ok(note)
}

/// Takes an amount of an invoice back by a credit note of its own number.
pub(crate) async fn credit(
    tx: &mut Tx<'_>,
    settings: &Settings,
    invoice: &Document,
    amount: Money,
    reference: &str,
    reason: &str,
    now: Timestamp,
) -> Result<String, JobError> {
    if amount.minor <= 0 {
        return Err(JobError::permanent("a credit note needs an amount above zero"));
    }
    let Split { net, tax } = invoice.balance.split_credit(amount)?;
    let balance = InvoiceBalance::issued(net, tax)?;
    let issue = Issue {
        issuer: &settings.issuer.id,
        prefix: &settings.issuer.credit_note_prefix,
        kind: DocumentKind::CreditNote,
        account: invoice.account,
        month: invoice.month,
        refers_to: Some(&invoice.number),
        balance,
        issued_at: now,
        due_at: now,
        reason: Some(reason),
        details: &invoice.details,
        bill: &invoice.bill,
    };
    let number = money::issue(tx, &issue).await?;
    let name = event(invoice, reference);
    book(tx, &name, &invoice.number, &LedgerEvent::CreditNoteIssued { net, tax }, now).await?;
    money::name_document(tx, &name, &number).await?;
    Ok(number)
}

fn event(invoice: &Document, reference: &str) -> String {
    format!("credit_note/{}/{reference}", invoice.number)
}
