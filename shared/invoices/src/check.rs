//! Refuses what must not be printed: empty names, endless texts, figures that do not add up.

use crate::invoice::{MAX_FIELD_CHARS, MAX_LINES, MAX_NOTE_CHARS, MAX_PROJECTS, MAX_SHORT_LIST};
use crate::text::Cleaner;
use crate::{Customer, Figures, Invoice, InvoiceError, Issuer, Kind, Labelled};

/// Checks both; afterwards every sum of them fits 63 bits.
pub(crate) fn check(issuer: &Issuer, invoice: &Invoice) -> Result<(), InvoiceError> {
    let Invoice {
        kind,
        number,
        issued_at: _,
        due_at: _,
        period: _,
        purchase_order,
        customer,
        figures,
        payments,
        usage,
        notes,
    } = invoice;
    check_issuer(issuer)?;
    check_customer(customer)?;
    check_figures(figures)?;
    needed("the invoice's number", number)?;
    if let Kind::CreditNote { invoice, invoice_issued_at: _ } = kind {
        needed("the number of the invoice that is credited", invoice)?;
    }
    fields("the purchase order", purchase_order)?;
    short("payments", payments)?;
    for payment in payments {
        needed("a payment's method", &payment.method)?;
        if payment.amount_minor <= 0 {
            return Err(InvoiceError::Sign { what: "a payment", minor: payment.amount_minor });
        }
    }
    paid(invoice).ok_or(InvoiceError::Overflow)?;
    if let Some(report) = usage {
        list("projects", report.projects.len(), MAX_PROJECTS)?;
        fields("a project's name", report.projects.iter().map(|project| &project.name))?;
    }
    short("notes", notes)?;
    notes.iter().try_for_each(|note| length("a note", note, MAX_NOTE_CHARS))
}

/// What was paid, and what is left to pay; negative if too much was paid.
pub(crate) fn paid(invoice: &Invoice) -> Option<(i64, i64)> {
    let mut paid = invoice.payments.iter().map(|payment| payment.amount_minor);
    let paid = paid.try_fold(0_i64, i64::checked_add)?;
    Some((paid, invoice.figures.total_minor.checked_sub(paid)?))
}

fn check_issuer(issuer: &Issuer) -> Result<(), InvoiceError> {
    let Issuer { legal_name, address, identifiers, contact, bank, logo: _, accent: _, paper: _ } =
        issuer;
    needed("the issuer's name", legal_name)?;
    short("lines of the issuer's address", address)?;
    fields("a line of the issuer's address", address)?;
    labelled("identifiers of the issuer", identifiers)?;
    short("ways to contact the issuer", contact)?;
    fields("a way to contact the issuer", contact)?;
    labelled("lines of the bank account", bank)
}

fn check_customer(customer: &Customer) -> Result<(), InvoiceError> {
    let Customer { legal_name, address, identifiers, account } = customer;
    needed("the customer's name", legal_name)?;
    short("lines of the customer's address", address)?;
    fields("a line of the customer's address", address)?;
    labelled("identifiers of the customer", identifiers)?;
    fields("the account", account)
}

fn check_figures(figures: &Figures) -> Result<(), InvoiceError> {
    let Figures { currency: _, lines, taxes, credits, total_minor } = figures;
    list("lines", lines.len(), MAX_LINES)?;
    short("taxes", taxes)?;
    short("credits", credits)?;
    for (at, line) in lines.iter().enumerate() {
        needed("a line's title", &line.title)?;
        fields("a line's detail", &line.detail)?;
        if let Some((quantity, price_minor)) = line.quantity
            && i128::from(quantity).checked_mul(price_minor.into())
                != Some(line.amount_minor.into())
        {
            let (line, amount_minor) = (at + 1, line.amount_minor);
            return Err(InvoiceError::LineDiffers { line, quantity, price_minor, amount_minor });
        }
    }
    fields("a tax's name", taxes.iter().map(|tax| &tax.name))?;
    for credit in credits {
        needed("a credit's title", &credit.title)?;
        if credit.amount_minor > 0 {
            return Err(InvoiceError::Sign { what: "a credit", minor: credit.amount_minor });
        }
    }
    let sum = |minors: &mut dyn Iterator<Item = i64>| minors.map(i128::from).sum::<i128>();
    let net = sum(&mut lines.iter().map(|line| line.amount_minor));
    i64::try_from(net).map_err(|_| InvoiceError::Overflow)?;
    let sum = net
        + sum(&mut taxes.iter().map(|tax| tax.amount_minor))
        + sum(&mut credits.iter().map(|credit| credit.amount_minor));
    if sum == i128::from(*total_minor) {
        return Ok(());
    }
    Err(InvoiceError::TotalDiffers { sum, total: *total_minor })
}

fn needed(field: &'static str, text: &str) -> Result<(), InvoiceError> {
    length(field, text, MAX_FIELD_CHARS)?;
    // What cannot be seen is nothing.
    if Cleaner::default().clean(text).is_empty() {
        return Err(InvoiceError::Empty { field });
    }
    Ok(())
}

fn fields<'a>(
    field: &'static str,
    texts: impl IntoIterator<Item = &'a String>,
) -> Result<(), InvoiceError> {
    texts.into_iter().try_for_each(|text| length(field, text, MAX_FIELD_CHARS))
}

fn labelled(what: &'static str, entries: &[Labelled]) -> Result<(), InvoiceError> {
    short(what, entries)?;
    fields(what, entries.iter().flat_map(|entry| [&entry.label, &entry.value]))
}

fn length(field: &'static str, text: &str, max: usize) -> Result<(), InvoiceError> {
    match text.chars().count() {
        found if found > max => Err(InvoiceError::TooLong { field, found, max }),
        _ => Ok(()),
    }
}

fn short<T>(what: &'static str, entries: &[T]) -> Result<(), InvoiceError> {
    list(what, entries.len(), MAX_SHORT_LIST)
}

fn list(list: &'static str, found: usize, max: usize) -> Result<(), InvoiceError> {
    if found > max { Err(InvoiceError::TooMany { list, found, max }) } else { Ok(()) }
}
