//! The document from top to bottom.

use krilla::metadata::Metadata;

use crate::flow::{Align, Band, Cell, Flow, Mark, baseline};
use crate::fonts::Weight;
use crate::shape::shape;
use crate::style::{BODY, FOOTER, GAP, MARGIN_SIDE, QUIET, SECTION_GAP, SMALL, STRONG};
use crate::table::{Entry, Table, section};
use crate::text::{Cleaner, code_point};
use crate::{Figures, Invoice, InvoiceError, Issuer, Kind, Labelled};
use crate::{check, dates, masthead, money, pdf, sums, usage};

/// Missing characters that the closing note names.
const MAX_MISSING_NAMED: usize = 20;

/// A document that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The bytes of the PDF file.
    pub pdf: Vec<u8>,
    /// How many pages it has.
    pub pages: usize,
    /// The characters that no font has, in the order of their code points; the document shows
    /// their code points in their place and says so at its end.
    pub missing: Vec<char>,
}

/// Makes a document; the same values give the same bytes.
///
/// # Errors
/// [`InvoiceError`] for an empty name, a text or list beyond its bound, or figures that do not add
/// up.
pub fn render(issuer: &Issuer, invoice: &Invoice) -> Result<Document, InvoiceError> {
    check::check(issuer, invoice)?;
    let (_, due) = check::paid(invoice).ok_or(InvoiceError::Overflow)?;
    let cleaner = &mut Cleaner::default();
    let head = masthead::running_head(cleaner, issuer, invoice);
    let mut flow = Flow::new(issuer.paper.size(), head);
    masthead::place(&mut flow, cleaner, (issuer, invoice), due);
    figures(&mut flow, cleaner, (issuer, invoice), due);
    if due > 0 && invoice.kind == Kind::Invoice {
        bank(&mut flow, cleaner, &issuer.bank, &invoice.number);
    }
    notes(&mut flow, cleaner, &invoice.notes);
    if let Some(report) = &invoice.usage {
        usage::place(&mut flow, cleaner, report, &dates::period(invoice.period));
    }
    missing_note(&mut flow, cleaner);
    footers(&mut flow, cleaner, issuer);
    let (pages, missing) = (flow.pages.len(), cleaner.missing());
    let metadata = metadata(cleaner, issuer, invoice);
    let pdf = pdf::write((flow.width, flow.height), flow.pages, metadata)?;
    Ok(Document { pdf, pages, missing })
}

fn metadata(cleaner: &mut Cleaner, issuer: &Issuer, invoice: &Invoice) -> Metadata {
    let title = format!("{} {}", masthead::title(&invoice.kind), invoice.number);
    Metadata::new()
        .title(cleaner.clean(&title))
        .authors(vec![cleaner.clean(&issuer.legal_name)])
        .language("en".to_owned())
        .creator("MainWorker".to_owned())
        .creation_date(dates::metadata(invoice.issued_at))
        .document_id(cleaner.clean(&invoice.number))
}

/// The lines, and the sums on the page of the last of them.
fn figures(
    flow: &mut Flow,
    cleaner: &mut Cleaner,
    (issuer, invoice): (&Issuer, &Invoice),
    due: i64,
) {
    let Figures { currency, lines, .. } = &invoice.figures;
    let amount = |minor| money::amount(*currency, minor);
    let one = |text: String, style| -> Entry { vec![(text, style)] };
    let rows = lines.iter().map(|line| {
        let mut title = one(line.title.clone(), BODY);
        title.extend(line.detail.clone().map(|detail| (detail, SMALL)));
        let (quantity, price) = match line.quantity {
            Some((quantity, price)) => (money::count(quantity), amount(price)),
            None => (String::new(), String::new()),
        };
        let amount = amount(line.amount_minor);
        vec![title, one(quantity, BODY), one(price, BODY), one(amount, BODY)]
    });
    let rows = rows.collect();
    let sums = sums::bands(flow, cleaner, invoice, due, issuer.accent);
    let keep = sums.iter().map(Band::height).sum();
    let heads = &["Description", "Quantity", "Unit price", "Amount"];
    Table { title: None, heads, rows, keep }.place(flow, cleaner);
    flow.reserve(keep);
    for band in sums {
        flow.place(band, 0.0);
    }
}

/// Where to pay to, kept together.
fn bank(flow: &mut Flow, cleaner: &mut Cleaner, bank: &[Labelled], number: &str) {
    const LABELS: f32 = 100.0;
    if bank.is_empty() {
        return;
    }
    let reference = Labelled::new("Reference", number);
    let rows = bank.iter().chain([&reference]).map(|Labelled { label, value }| {
        let x = MARGIN_SIDE + LABELS + GAP;
        let label = Cell::new(MARGIN_SIDE, LABELS, Align::Left).add(cleaner, label, QUIET);
        let width = flow.body_width() - LABELS - GAP;
        let value = Cell::new(x, width, Align::Left).add(cleaner, value, STRONG);
        Band::new(vec![label, value], 1.5, 1.5)
    });
    let rows: Vec<Band> = rows.collect();
    let title = section(flow, cleaner, "How to pay");
    flow.reserve(title.height() + rows.iter().map(Band::height).sum::<f32>());
    for band in [title].into_iter().chain(rows) {
        flow.place(band, 0.0);
    }
}

fn notes(flow: &mut Flow, cleaner: &mut Cleaner, notes: &[String]) {
    let body = Cell::new(MARGIN_SIDE, flow.body_width(), Align::Left);
    let texts = notes.iter().flat_map(|note| note.lines());
    let bands = texts.map(|text| body.clone().add(cleaner, text, BODY));
    let bands: Vec<Band> = bands
        .filter(|cell| !cell.lines.is_empty())
        .map(|cell| Band::new(vec![cell], 2.0, 2.0))
        .collect();
    let Some(first) = bands.first().map(Band::height) else { return };
    let title = section(flow, cleaner, "Notes");
    flow.place(title, first);
    for band in bands {
        flow.place(band, 0.0);
    }
}

/// Says which characters stand as code points, so that nobody takes those for the name.
fn missing_note(flow: &mut Flow, cleaner: &mut Cleaner) {
    let missing = cleaner.missing();
    if missing.is_empty() {
        return;
    }
    let named: Vec<String> =
        missing.iter().take(MAX_MISSING_NAMED).map(|&c| code_point(c)).collect();
    let more = match missing.len().saturating_sub(MAX_MISSING_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!(
        "Characters that the typefaces of this document lack are written as their Unicode code \
         points in brackets: {}{more}.",
        named.join(", ")
    );
    let cell = Cell::new(MARGIN_SIDE, flow.body_width(), Align::Left);
    let band = Band::new(vec![cell.add(cleaner, &text, SMALL)], SECTION_GAP, 0.0);
    flow.place(band, 0.0);
}

/// Issuer and page number below every page, now that their number is known.
fn footers(flow: &mut Flow, cleaner: &mut Cleaner, issuer: &Issuer) {
    const NUMBERS: f32 = 90.0;
    let identifiers =
        issuer.identifiers.iter().map(|entry| format!("{}: {}", entry.label, entry.value));
    let parts: Vec<String> = [issuer.legal_name.clone()].into_iter().chain(identifiers).collect();
    let left = Cell::new(MARGIN_SIDE, flow.body_width() - NUMBERS - GAP, Align::Left);
    let mut left = left.add(cleaner, &parts.join("  ·  "), SMALL);
    // All of it stands in full on the first page.
    left.lines.truncate(2);
    let right = MARGIN_SIDE + flow.body_width();
    let top = flow.height - FOOTER;
    let count = flow.pages.len();
    for (at, page) in flow.pages.iter_mut().enumerate() {
        let mut y = top + baseline(SMALL);
        for (text, style) in &left.lines {
            page.push(Mark::Text { x: MARGIN_SIDE, y, text: text.clone(), style: *style });
            y += style.leading;
        }
        let text = shape(format!("Page {} of {count}", at + 1), Weight::Regular);
        let x = right - text.width * SMALL.size;
        page.push(Mark::Text { x, y: top + baseline(SMALL), text, style: SMALL });
    }
}
