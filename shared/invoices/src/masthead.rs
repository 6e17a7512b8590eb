//! The top of the first page: who, to whom, which document, how much.

use crate::dates;
use crate::flow::{Align, Band, Cell, Flow, Mark, Rule};
use crate::style::{
    ACCENT_BAND, BODY, BRAND, GAP, HAIR, LABEL, LEAD, LOGO, MARGIN_SIDE, MARGIN_TOP, OVERLINE,
    SMALL, STRONG, TITLE,
};
use crate::table::measure;
use crate::text::Cleaner;
use crate::{Customer, Invoice, Issuer, Kind, Labelled, money};

/// Places the top of the first page; `due` is what is left to pay.
pub(crate) fn place(
    flow: &mut Flow,
    cleaner: &mut Cleaner,
    (issuer, invoice): (&Issuer, &Invoice),
    due: i64,
) {
    let (width, height) = (flow.width, ACCENT_BAND);
    flow.mark(Mark::Fill { x: 0.0, y: 0.0, width, height, colour: issuer.accent });
    brand(flow, cleaner, issuer, invoice);
    facts(flow, cleaner, invoice);
    parties(flow, cleaner, issuer, &invoice.customer);
    let body = Cell::new(MARGIN_SIDE, flow.body_width(), Align::Left);
    let lead = body.add(cleaner, &sentence(invoice, due), LEAD);
    flow.place(Band::new(vec![lead], 16.0, 6.0), 0.0);
}

/// What the document is called.
pub(crate) const fn title(kind: &Kind) -> &'static str {
    match kind {
        Kind::Invoice => "Invoice",
        Kind::CreditNote { .. } => "Credit note",
    }
}

/// The head of all further pages.
pub(crate) fn running_head(cleaner: &mut Cleaner, issuer: &Issuer, invoice: &Invoice) -> Band {
    let width = issuer.paper.size().0 - 2.0 * MARGIN_SIDE;
    let half = (width - GAP) / 2.0;
    let document = format!("{} {}", title(&invoice.kind), invoice.number);
    let mut left = Cell::new(MARGIN_SIDE, half, Align::Left);
    left = left.add(cleaner, &issuer.legal_name, SMALL);
    let mut right = Cell::new(MARGIN_SIDE + half + GAP, half, Align::Right);
    right = right.add(cleaner, &document, SMALL);
    // Both stand in full on the first page.
    left.lines.truncate(2);
    right.lines.truncate(2);
    Band::new(vec![left, right], 0.0, 14.0)
}

fn brand(flow: &mut Flow, cleaner: &mut Cleaner, issuer: &Issuer, invoice: &Invoice) {
    let half = (flow.body_width() - GAP) / 2.0;
    let mut left = Cell::new(MARGIN_SIDE, half, Align::Left);
    let mut room = 0.0;
    if let Some(logo) = issuer.logo.clone() {
        let (width, height) = logo.fit(LOGO.0, LOGO.1);
        flow.mark(Mark::Picture { x: MARGIN_SIDE, y: MARGIN_TOP, width, height, logo });
        room = height;
    } else {
        left = left.add(cleaner, &issuer.legal_name, BRAND);
    }
    let right = Cell::new(MARGIN_SIDE + half + GAP, half, Align::Right);
    let right = right.add(cleaner, title(&invoice.kind), TITLE);
    let band = Band::new(vec![left, right], 0.0, 0.0);
    let missing = (room - band.height()).max(0.0);
    flow.place(band, 0.0);
    flow.space(missing + 15.0);
}

/// Number, dates and the like, label above value.
fn facts(flow: &mut Flow, cleaner: &mut Cleaner, invoice: &Invoice) {
    let mut facts = Vec::new();
    let mut fact = |label, value: String| facts.push((label, value));
    match &invoice.kind {
        Kind::Invoice => fact("Invoice number", invoice.number.clone()),
        Kind::CreditNote { invoice: corrected, invoice_issued_at } => {
            fact("Credit note number", invoice.number.clone());
            let of = format!("{corrected} of {}", dates::date(*invoice_issued_at));
            fact("Corrects invoice", of);
        }
    }
    fact("Date of issue", dates::date(invoice.issued_at));
    if let Some(due_at) = invoice.due_at {
        fact("Due date", dates::date(due_at));
    }
    fact("Billing period", dates::period(invoice.period));
    fact("Currency", invoice.figures.currency.to_string());
    if let Some(order) = &invoice.purchase_order {
        fact("PO number", order.clone());
    }
    let width = flow.body_width();
    let rule = Rule { x: MARGIN_SIDE, width, thickness: 0.5, colour: HAIR };
    flow.mark(Mark::Fill {
        x: MARGIN_SIDE,
        y: flow.y(),
        width,
        height: rule.thickness,
        colour: HAIR,
    });
    let widths = fact_widths(cleaner, &facts, width);
    let mut x = MARGIN_SIDE;
    let cells = facts.iter().zip(widths).map(|((label, value), column)| {
        let cell = Cell::new(x, column, Align::Left);
        x += column + GAP;
        cell.add(cleaner, label, LABEL).add(cleaner, value, STRONG)
    });
    let mut band = Band::new(cells.collect(), 8.0, 9.0);
    band.rule = Some(rule);
    flow.place(band, 0.0);
}

/// As wide as the facts are, with the room that is left shared out; all the same if there is none.
fn fact_widths(cleaner: &mut Cleaner, facts: &[(&str, String)], width: f32) -> Vec<f32> {
    let natural = facts.iter().map(|(label, value)| {
        let value = measure(cleaner, value, STRONG);
        measure(cleaner, label, LABEL).max(value) + 0.1
    });
    let natural: Vec<f32> = natural.collect();
    #[expect(clippy::cast_precision_loss, reason = "seven at most")]
    let count = natural.len() as f32;
    let room = width - GAP * (count - 1.0);
    match room - natural.iter().sum::<f32>() {
        rest if rest >= 0.0 => natural.iter().map(|width| width + rest / count).collect(),
        _ => vec![room / count; natural.len()],
    }
}

/// Issuer and customer side by side.
fn parties(flow: &mut Flow, cleaner: &mut Cleaner, issuer: &Issuer, customer: &Customer) {
    let half = (flow.body_width() - GAP) / 2.0;
    let Customer { legal_name, address, identifiers, account } = customer;
    let mut to = Cell::new(MARGIN_SIDE, half, Align::Left).add(cleaner, "Billed to", OVERLINE);
    to = party(to, cleaner, legal_name, [address, &[][..]], identifiers);
    if let Some(account) = account {
        to = to.add(cleaner, &format!("Account: {account}"), BODY);
    }
    let from = Cell::new(MARGIN_SIDE + half + GAP, half, Align::Left);
    let from = from.add(cleaner, "From", OVERLINE);
    let name = &issuer.legal_name;
    let from = party(from, cleaner, name, [&issuer.address, &issuer.contact], &issuer.identifiers);
    flow.place(Band::new(vec![to, from], 12.0, 0.0), 0.0);
}

fn party(
    cell: Cell,
    cleaner: &mut Cleaner,
    name: &str,
    lines: [&[String]; 2],
    identifiers: &[Labelled],
) -> Cell {
    let mut cell = cell.add(cleaner, name, STRONG);
    for line in lines.into_iter().flatten() {
        cell = cell.add(cleaner, line, BODY);
    }
    for Labelled { label, value } in identifiers {
        cell = cell.add(cleaner, &format!("{label}: {value}"), BODY);
    }
    cell
}

/// The amount in one sentence.
fn sentence(invoice: &Invoice, due: i64) -> String {
    let currency = invoice.figures.currency;
    let total = invoice.figures.total_minor;
    match (&invoice.kind, invoice.due_at, invoice.payments.last()) {
        (Kind::CreditNote { .. }, ..) => format!("{} credited", money::amount(currency, total)),
        (Kind::Invoice, Some(at), _) if due > 0 => {
            format!("{} due by {}", money::amount(currency, due), dates::date(at))
        }
        (Kind::Invoice, None, _) if due > 0 => format!("{} due", money::amount(currency, due)),
        (Kind::Invoice, _, Some(payment)) => {
            let paid = money::amount(currency, total);
            format!("{paid} paid on {}", dates::date(payment.at))
        }
        (Kind::Invoice, _, None) => "Nothing to pay".to_owned(),
    }
}
