//! What a person asks for by hand, checked before anything of it is written.

use billing::{LedgerAccount, LedgerEvent, format};
use database::Tx;
use job::JobError;
use models::billing::{self as money, Document};
use values::{Money, Timestamp};

use super::settlement;

/// Characters of a reference or a reason at the most.
const MAX_CHARS: usize = 200;
/// Bytes of a refund's reference at the most: with the invoice's number it is a key of 200.
const MAX_WORD_BYTES: usize = 100;

/// Refuses a `reference` or `reason` that says nothing, or that no line could show.
pub(crate) fn text(key: &str, text: &str) -> Result<(), JobError> {
    let wrong = if text.trim().is_empty() {
        "is empty; say something".to_owned()
    } else if text.chars().any(char::is_control) {
        "holds a line break or another control character; write it without".to_owned()
    } else if text.chars().count() > MAX_CHARS {
        format!("is longer than {MAX_CHARS} characters; shorten it")
    } else {
        return Ok(());
    };
    Err(JobError::permanent(format!("`{key}` {wrong}")))
}

/// Refuses a name that cannot be a part of a gateway's idempotency key.
pub(crate) fn word(key: &str, word: &str) -> Result<(), JobError> {
    text(key, word)?;
    if word.len() <= MAX_WORD_BYTES && word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(JobError::permanent(format!(
        "`{key}` of a refund has 1 to {MAX_WORD_BYTES} of A-Z, a-z, 0-9 and signs, without blanks"
    )))
}

/// Refuses an amount that is not above zero, or not in the invoice's currency.
pub(crate) fn amount(what: &str, amount: Money, invoice: &Document) -> Result<(), JobError> {
    let of_invoice = invoice.balance.net.currency;
    if amount.currency != of_invoice {
        return Err(JobError::permanent(format!(
            "invoice {} is in {of_invoice}, {what} of {} cannot be booked on it",
            invoice.number,
            format::money(amount)
        )));
    }
    if amount.minor <= 0 {
        return Err(JobError::permanent(format!("{what} needs an amount above zero")));
    }
    Ok(())
}

/// Refuses a day that is to come, or before the invoice's: banks name days, not instants.
fn day(key: &str, at: Timestamp, invoice: &Document, now: Timestamp) -> Result<(), JobError> {
    if at > now {
        return Err(JobError::permanent(format!("{key} {at} is to come; it is {now}")));
    }
    let issued = invoice.issued_at;
    if at.to_chrono().date_naive() < issued.to_chrono().date_naive() {
        return Err(JobError::permanent(format!(
            "{key} {at} is before the invoice, which was issued at {issued}"
        )));
    }
    Ok(())
}

/// What is booked on an invoice because a person says so.
pub(crate) struct Booking<'a> {
    /// The beginning of the event's name in the ledger: `payment`, `fee`, `write_off`.
    pub(crate) kind: &'static str,
    /// The asker's own name for it.
    pub(crate) reference: &'a str,
    pub(crate) amount: Money,
    pub(crate) event: LedgerEvent,
    /// The account of the ledger that shows the whole amount.
    pub(crate) shown_on: LedgerAccount,
    /// The payload's key for when it happened, and when.
    pub(crate) at: (&'static str, Timestamp),
}

impl Booking<'_> {
    /// Books it; returns what is open of the invoice then, or `None` if it was booked before.
    pub(crate) async fn book(
        &self,
        tx: &mut Tx<'_>,
        invoice: &Document,
        now: Timestamp,
    ) -> Result<Option<Money>, JobError> {
        let Self { kind, reference, event, .. } = self;
        claim(tx, kind, reference, &invoice.number).await?;
        let name = format!("{kind}/{}/{reference}", invoice.number);
        if let Some(known) = money::posted(&mut *tx, &name, self.shown_on).await? {
            same(reference, known, self.amount)?;
            return Ok(None);
        }
        amount(&format!("a {}", kind.replace('_', "-")), self.amount, invoice)?;
        let (key, at) = self.at;
        day(key, at, invoice, now)?;
        let open = invoice.balance.after(event)?.open()?; // says at once what is wrong with it
        settlement::book(tx, &name, &invoice.number, event, at).await?;
        Ok(Some(open))
    }
}

/// Keeps a reference for one invoice: the same reference for another one is refused.
pub(crate) async fn claim(
    tx: &mut Tx<'_>,
    kind: &str,
    reference: &str,
    invoice: &str,
) -> Result<(), JobError> {
    text("reference", reference)?;
    let name = format!("reference/{kind}/{reference}");
    match money::document_of_event(&mut *tx, &name).await? {
        None => Ok(money::name_document(tx, &name, invoice).await?),
        Some(known) if known == invoice => Ok(()),
        Some(known) => Err(JobError::permanent(format!(
            "the reference `{reference}` was used for invoice {known}; give another one"
        ))),
    }
}

/// Refuses a reference that was used for another amount of the same invoice.
pub(crate) fn same(reference: &str, known: Money, asked: Money) -> Result<(), JobError> {
    if known == asked {
        return Ok(());
    }
    Err(JobError::permanent(format!(
        "the reference `{reference}` was used for {}, not for {}; give another one",
        format::money(known),
        format::money(asked)
    )))
}
