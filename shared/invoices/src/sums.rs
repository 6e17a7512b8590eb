//! Below the lines: subtotal, tax by rate, total, credits, payments, and what is left.

use crate::flow::{Align, Band, Cell, Flow, Rule};
use crate::issuer::Colour;
use crate::style::{BODY, GAP, HAIR, MARGIN_SIDE, QUIET, STRONG, Style, TINT, TOTAL};
use crate::table::measure;
use crate::text::Cleaner;
use crate::{Figures, Invoice, Kind, dates, money};

/// The least width of all of it, and of its labels.
const WIDTH_MIN: f32 = 290.0;
const LABELS_MIN: f32 = 110.0;
/// How far the colour behind the last sum goes beyond the text.
const OUTSET: f32 = 8.0;

/// One sum: what it is, how much, and how it is set.
type Sum = (String, String, Style);

/// Makes the sums of a document; `due` is what is left to pay.
pub(crate) fn bands(
    flow: &Flow,
    cleaner: &mut Cleaner,
    invoice: &Invoice,
    due: i64,
    accent: Colour,
) -> Vec<Band> {
    let sums = sums(invoice, due);
    let widest = sums.iter().map(|(_, figure, style)| measure(cleaner, figure, *style));
    // A line as wide as its column must not be broken for want of a hair.
    let figure_width = widest.fold(0.0, f32::max) + 0.1;
    let right = MARGIN_SIDE + flow.body_width();
    let width = WIDTH_MIN.max(figure_width + GAP + LABELS_MIN).min(flow.body_width());
    let left = right - width;
    let rule = |thickness, colour| Rule { x: left, width, thickness, colour };

    let count = sums.len();
    let mut bands = Vec::with_capacity(count);
    for (at, (label, figure, style)) in sums.into_iter().enumerate() {
        let labels = Cell::new(left, width - figure_width - GAP, Align::Left);
        let figures = Cell::new(right - figure_width, figure_width, Align::Right);
        let cells = vec![labels.add(cleaner, &label, style), figures.add(cleaner, &figure, style)];
        let mut band = Band::new(cells, 3.2, 3.4);
        match count - at {
            1 => {
                (band.above, band.below) = (6.0, 6.0);
                band.tint = Some((left - OUTSET, width + 2.0 * OUTSET, TINT));
            }
            2 => {
                band.below = 7.0;
                let (x, width) = (left - OUTSET, width + 2.0 * OUTSET);
                band.rule = Some(Rule { x, width, thickness: 1.2, colour: accent });
            }
            _ => band.rule = Some(rule(0.5, HAIR)),
        }
        bands.push(band);
    }
    if let Some(first) = bands.first_mut() {
        first.above += 4.0;
    }
    bands
}

fn sums(invoice: &Invoice, due: i64) -> Vec<Sum> {
    let Figures { currency, lines, taxes, credits, total_minor: _ } = &invoice.figures;
    let amount = |minor| money::amount(*currency, minor);
    let net: i64 = lines.iter().map(|line| line.amount_minor).sum();
    let mut sums = vec![("Subtotal".to_owned(), amount(net), BODY)];
    let mut gross = net;
    for tax in taxes {
        gross = gross.saturating_add(tax.amount_minor);
        let (rate, base) = (money::rate(tax.rate), amount(tax.base_minor));
        let label = format!("{} {rate} on {base}", tax.name);
        sums.push((label, amount(tax.amount_minor), BODY));
    }
    if taxes.is_empty() {
        sums.push(("Tax".to_owned(), amount(0), BODY));
    }
    sums.push(("Total".to_owned(), amount(gross), STRONG));
    for credit in credits {
        sums.push((credit.title.clone(), amount(credit.amount_minor), BODY));
    }
    let (paid, left) = match invoice.kind {
        Kind::Invoice => ("Paid", "Amount due"),
        Kind::CreditNote { .. } if invoice.payments.is_empty() => ("Paid back", "Amount credited"),
        Kind::CreditNote { .. } => ("Paid back", "Left to your credit"),
    };
    for payment in &invoice.payments {
        let label = format!("{paid} on {}, {}", dates::date(payment.at), payment.method);
        sums.push((label, amount(-payment.amount_minor), QUIET));
    }
    sums.push((left.to_owned(), amount(due), TOTAL));
    sums
}
