//! `billing/send_invoice`: makes the PDF of an invoice or credit note, once, and mails it.
//!
//! It follows after the commit of what it shows, from rows that do not change any more. The first
//! PDF is kept and never replaced. An invoice whose charge was declined has a PDF and no mail; the
//! mail follows when it is paid.

use contract::NoConfiguration;
use contract::billing::SendInvoice as Payload;
use database::{Db, DbError, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use mail::{AdminEvent, AdminEventKind, Message};
use models::billing::{self as money, DocumentKind};
use models::outbox::{self, EmailAttachment, NewEmail};
use serde::Serialize;
use values::{AccountId, EmailId, Timestamp};

use super::notices;
use super::printed::Printed;
use super::settings::Settings;
use crate::emails::{Mailing, deliver_each};

/// Makes and mails PDFs.
pub(crate) struct SendInvoice {
    db: Db,
    settings: Settings,
}

/// What became of the document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Bytes of the PDF.
    pdf_bytes: usize,
    /// Mails written; repeats of mails that exist are among them.
    mails: usize,
    /// Why nothing is mailed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsent: Option<&'static str>,
}

impl Job for SendInvoice {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let number = payload.number;
        let Some(printed) = Printed::read(&self.db, &number).await? else {
            return Err(JobError::permanent(format!("there is no document {number}")));
        };
        let pdf = match money::file(&self.db, &number).await? {
            Some(pdf) => pdf,
            None => self.render(cx, &printed).await?,
        };
        cx.progress(0.7, "the PDF is made");
        let message = match printed.document.kind {
            DocumentKind::CreditNote => None,
            DocumentKind::Invoice => printed.message(&self.settings)?,
        };
        let mails = match &message {
            None => Vec::new(),
            Some(message) => mails(&printed, message, &pdf, cx.now())?,
        };
        let unsent = match (&message, mails.is_empty()) {
            (None, _) => Some("nothing to tell yet"),
            (Some(_), true) => Some("no_address"),
            (Some(_), false) => None,
        };
        let report = Report { pdf_bytes: pdf.len(), mails: mails.len(), unsent };
        tracing::info!(number, bytes = pdf.len(), mails = mails.len(), "document sent");
        let (now, account) = (cx.now(), printed.account.id);
        let unaddressed = unsent == Some("no_address");
        let ids: Vec<EmailId> = mails.iter().map(|mail| mail.id).collect();
        let outcome = deliver_each(Outcome::completed(report), ids.into_iter());
        Ok(outcome.commit(move |tx| {
            Box::pin(async move {
                money::keep_file(tx, &number, &pdf, now).await?;
                for mail in &mails {
                    outbox::add(tx, mail).await?;
                }
                if unaddressed {
                    tell_unaddressed(tx, &number, account, now).await?;
                }
                Ok(())
            })
        }))
    }
}

impl SendInvoice {
    /// Makes the PDF on a thread of its own: it takes milliseconds of computing.
    async fn render(&self, cx: &Context, printed: &Printed) -> Result<Vec<u8>, JobError> {
        let issuer = self.settings.issuer.printed()?;
        let invoice = printed.invoice(&self.settings)?;
        let made = tokio::task::spawn_blocking(move || invoices::render(&issuer, &invoice)).await;
        let made = made.map_err(|error| JobError::retryable(format!("the PDF: {error}")))??;
        cx.check_cancelled()?;
        if !made.missing.is_empty() {
            let missing: String = made.missing.iter().collect();
            tracing::warn!(
                missing,
                "no font has these characters; the PDF shows their code points in brackets"
            );
        }
        Ok(made.pdf)
    }
}

/// The mails with an invoice: to the account, and to whoever gets a copy.
fn mails(
    printed: &Printed,
    message: &Message,
    pdf: &[u8],
    now: Timestamp,
) -> Result<Vec<NewEmail>, JobError> {
    let number = &printed.document.number;
    let mut mails = Vec::new();
    let main = printed.account.billing_email.iter().map(|to| (to, String::new()));
    let copies = printed.document.details.copy_addresses.iter().map(|to| (to, format!("/{to}")));
    for (to, key) in main.chain(copies) {
        let mailing = Mailing {
            unique_key: format!("monthly_invoice/{number}{key}"),
            account_id: Some(printed.account.id),
            to,
            name: Some(&printed.account.name),
            message,
            attachments: vec![EmailAttachment {
                name: format!("{number}.pdf"),
                media_type: "application/pdf".to_owned(),
                content: pdf.to_vec(),
            }],
        };
        mails.push(mailing.row(now)?);
    }
    Ok(mails)
}

async fn tell_unaddressed(
    tx: &mut Tx<'_>,
    number: &str,
    account: AccountId,
    now: Timestamp,
) -> Result<(), DbError> {
    let happened = AdminEvent {
        account: Some(account),
        code: format!("no_address:{number}").parse().ok(),
        ..AdminEvent::new(AdminEventKind::MailRefused, now)
    };
    notices::note(tx, format!("no_address/{number}"), &happened).await
}
