//! Documents to look at, to test with and to measure by.

use billing::{BasisPoints, Metered};

use crate::{
    Credit, Customer, Figures, Invoice, Issuer, Kind, Labelled, Line, Payment, ProjectUsage, Tax,
    UsageReport,
};

const GIB: u64 = 1 << 30;

/// A company without logo.
pub fn issuer() -> Issuer {
    Issuer {
        legal_name: "Northlight Streaming GmbH".to_owned(),
        address: texts(&["Lindenallee 12", "20259 Hamburg", "Germany"]),
        identifiers: vec![
            Labelled::new("VAT ID", "DE123456789"),
            Labelled::new("Register", "HRB 123456, Amtsgericht Hamburg"),
        ],
        contact: texts(&["billing@northlight.example", "+49 40 5550100"]),
        bank: vec![
            Labelled::new("Bank", "Beispielbank Hamburg"),
            Labelled::new("IBAN", "DE02 1203 0000 0000 2020 51"),
            Labelled::new("BIC", "BYLADEM1001"),
        ],
        ..Issuer::default()
    }
}

/// A prorated month of two plans with tax and credit, due by transfer; two pages.
pub fn invoice() -> Invoice {
    let line = |title: &str, detail: &str, quantity, amount_minor| Line {
        title: title.to_owned(),
        detail: Some(detail.to_owned()),
        quantity,
        amount_minor,
    };
    let net = 36_000;
    let (tax, rate) = (6_840, BasisPoints::new(1_900).unwrap_or_default());
    Invoice {
        kind: Kind::Invoice,
        number: "INV-000417".to_owned(),
        issued_at: time("2026-12-03T06:00:00Z"),
        due_at: Some(time("2026-12-17T06:00:00Z")),
        period: month("2026-11"),
        purchase_order: Some("PO-7781".to_owned()),
        customer: customer(),
        figures: Figures {
            currency: values::Currency::USD,
            lines: vec![
                line("Basic, broadcast", "Monthly plan, Nov 2026", Some((1, 10_000)), 10_000),
                line("Pro, broadcast", "Monthly plan, Nov 2026", Some((1, 50_000)), 50_000),
                line("Proration", "17 of 30 days of Nov 2026 are billed", None, -26_000),
                line("Additional seats", "Support desk", Some((4, 500)), 2_000),
            ],
            taxes: vec![Tax { name: "VAT".to_owned(), rate, base_minor: net, amount_minor: tax }],
            credits: vec![Credit {
                title: "Credit from CN-000012".to_owned(),
                amount_minor: -1_535,
            }],
            total_minor: net + tax - 1_535,
        },
        payments: Vec::new(),
        usage: Some(report(3)),
        notes: texts(&["Thank you. Questions about this invoice: billing@northlight.example."]),
    }
}

/// The same, paid by card.
pub fn paid_invoice() -> Invoice {
    let mut invoice = invoice();
    invoice.due_at = None;
    invoice.payments = vec![Payment {
        at: time("2026-12-03T06:00:02Z"),
        method: "Visa ending in 4242".to_owned(),
        amount_minor: invoice.figures.total_minor,
    }];
    invoice
}

/// A month of one plan, paid by card: what most documents are; one page.
pub fn plan_invoice() -> Invoice {
    let mut invoice = paid_invoice();
    let figures = &mut invoice.figures;
    figures.lines.truncate(1);
    figures.taxes.clear();
    figures.credits.clear();
    figures.total_minor = figures.lines[0].amount_minor;
    invoice.payments[0].amount_minor = figures.total_minor;
    invoice
}

/// A note that credits a part of [`invoice`].
pub fn credit_note() -> Invoice {
    let (net, tax) = (10_000, 1_900);
    let rate = BasisPoints::new(1_900).unwrap_or_default();
    let mut note = invoice();
    note.kind = Kind::CreditNote { invoice: note.number, invoice_issued_at: note.issued_at };
    note.number = String::from("CN-000013");
    note.issued_at = time("2026-12-09T10:00:00Z");
    note.due_at = None;
    note.figures.lines = vec![Line::new("Basic, broadcast: not available 4 to 9 Nov", net)];
    note.figures.taxes =
        vec![Tax { name: "VAT".to_owned(), rate, base_minor: net, amount_minor: tax }];
    note.figures.credits = Vec::new();
    note.figures.total_minor = net + tax;
    note.usage = None;
    note.notes = Vec::new();
    note
}

/// An invoice of many lines and projects.
pub fn long_invoice(lines: u16, projects_count: u16) -> Invoice {
    let mut invoice = invoice();
    invoice.figures.lines = (1..=lines)
        .map(|at| Line {
            title: format!("Event package {at:04}"),
            detail: at.is_multiple_of(5).then(|| format!("Booked for show {at}")),
            quantity: Some((at.into(), 250)),
            amount_minor: i64::from(at) * 250,
        })
        .collect();
    let net = invoice.figures.lines.iter().map(|line| line.amount_minor).sum();
    let zero =
        Tax { name: "VAT".to_owned(), rate: BasisPoints::ZERO, base_minor: net, amount_minor: 0 };
    invoice.figures.taxes = vec![zero];
    invoice.figures.credits = Vec::new();
    invoice.figures.total_minor = net;
    invoice.usage = Some(report(projects_count));
    invoice
}

fn customer() -> Customer {
    Customer {
        legal_name: "Żywiec Media sp. z o.o.".to_owned(),
        address: texts(&["ul. Świętokrzyska 31/33a", "00-049 Warszawa", "Poland"]),
        identifiers: vec![Labelled::new("VAT ID", "PL5260001246")],
        account: Some("acct_01jd8m3v7k".to_owned()),
    }
}

/// What so many projects used together, beside what two plans include.
fn report(count: u16) -> UsageReport {
    let used = |at: u64| usage(at * 3 * GIB, at * 500_000_000, at * 61_000);
    let project =
        |at: u16| ProjectUsage { name: format!("project-{at:04}"), used: used(at.into()) };
    let all = (1..=u64::from(count)).sum();
    UsageReport {
        used: used(all),
        included: Some(usage(1_174 * GIB, 125 * GIB, 3_600_000)),
        projects: (1..=count).map(project).collect(),
    }
}

const fn usage(bandwidth_bytes: u64, storage_bytes: u64, peer_milliseconds: u64) -> Metered {
    Metered { bandwidth_bytes, storage_bytes, peer_milliseconds }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn time(text: &str) -> values::Timestamp {
    text.parse().expect("a time of the samples")
}

fn month(text: &str) -> values::Month {
    text.parse().expect("a month of the samples")
}
