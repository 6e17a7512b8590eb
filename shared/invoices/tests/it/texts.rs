//! What people read and search for.

use billing::BasisPoints;
use invoices::{Invoice, Labelled, Line, Tax, samples};

use crate::reader::Reader;

fn check(invoice: &Invoice, expected: &[&str]) {
    let text = Reader::of(&samples::issuer(), invoice).text();
    for words in expected {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}

#[test]
fn an_invoice_says_all_of_it() {
    check(
        &samples::invoice(),
        &[
            "INV-000417",
            "3 Dec 2026",
            "17 Dec 2026",
            "1 – 30 Nov 2026",
            "PO-7781",
            "Żywiec Media sp. z o.o.",
            "VAT ID: PL5260001246",
            "VAT ID: DE123456789",
            "Account: acct_01jd8m3v7k",
            "Pro, broadcast 1 $500.00 $500.00",
            "Proration -$260.00",
            "17 of 30 days of Nov 2026 are billed",
            "Additional seats 4 $5.00 $20.00",
            "Subtotal $360.00",
            "VAT 19% on $360.00 $68.40",
            "Total $428.40",
            "Credit from CN-000012 -$15.35",
            "Amount due $413.05",
            "$413.05 due by 17 Dec 2026",
            "IBAN DE02 1203 0000 0000 2020 51",
            "Reference INV-000417",
            "Bandwidth 18.00 GiB 1.15 TiB 1%",
            "project-0003 9.00 GiB 1.40 GiB 3.05",
            "Account 18.00 GiB 2.79 GiB 6.10",
            "Page 1 of 2",
        ],
    );
}

#[test]
fn a_paid_invoice_says_how_and_asks_for_nothing() {
    let invoice = samples::paid_invoice();
    check(
        &invoice,
        &[
            "$413.05 paid on 3 Dec 2026",
            "Paid on 3 Dec 2026, Visa ending in 4242 -$413.05",
            "Amount due $0.00",
        ],
    );
    assert!(!Reader::of(&samples::issuer(), &invoice).text().contains("How to pay"));
    let mut partly = samples::invoice();
    partly.payments = invoice.payments;
    partly.payments[0].amount_minor = 10_000;
    check(&partly, &["$313.05 due by 17 Dec 2026", "Amount due $313.05", "How to pay"]);
}

#[test]
fn a_credit_note_names_its_invoice() {
    let mut note = samples::credit_note();
    check(
        &note,
        &[
            "Credit note number",
            "CN-000013",
            "INV-000417 of 3 Dec 2026",
            "$119.00 credited",
            "Amount credited $119.00",
        ],
    );
    note.payments = samples::paid_invoice().payments;
    note.payments[0].amount_minor = 1_900;
    check(&note, &["Paid back on 3 Dec 2026", "Left to your credit $100.00"]);
    assert!(!Reader::of(&samples::issuer(), &note).text().contains("How to pay"));
}

#[test]
fn tax_comes_by_rate() {
    let mut invoice = samples::invoice();
    let tax = |points, base_minor, amount_minor| Tax {
        name: "USt".to_owned(),
        rate: BasisPoints::new(points).unwrap(),
        base_minor,
        amount_minor,
    };
    invoice.figures.taxes = vec![tax(1_900, 34_000, 6_460), tax(770, 2_000, 154)];
    invoice.figures.credits.clear();
    invoice.figures.total_minor = 36_000 + 6_460 + 154;
    check(&invoice, &["USt 19% on $340.00 $64.60", "USt 7.7% on $20.00 $1.54", "Total $426.14"]);
}

#[test]
fn currencies_have_their_own_decimals() {
    for (code, text) in [("JPY", "JPY 1,234,567"), ("KWD", "KWD 1,234.567"), ("EUR", "€12,345.67")]
    {
        let mut invoice = samples::invoice();
        invoice.figures.currency = code.parse().unwrap();
        invoice.figures.lines = vec![Line::new("Plan", 1_234_567)];
        invoice.figures.taxes.clear();
        invoice.figures.credits.clear();
        invoice.figures.total_minor = 1_234_567;
        check(&invoice, &[&format!("Amount due {text}"), &format!("{text} due by"), code]);
    }
}

#[test]
fn names_of_all_scripts_can_be_searched() {
    let names = [
        "東京ライブ配信株式会社",
        "北京直播科技有限公司",
        "한국방송주식회사",
        "Ελληνική Ραδιοφωνία ΑΕ",
        "ООО «Российское вещание»",
        "Công ty Truyền hình Việt Nam",
        "ไทยทีวี",
        "Հայաստան",
        "საქართველო",
    ];
    for name in names {
        let mut invoice = samples::invoice();
        invoice.customer.legal_name = name.to_owned();
        check(&invoice, &[name]);
    }
    // Right to left: each word is found; poppler puts marks of direction around them.
    for name in ["شركة البث المباشر", "חברת שידור"] {
        let mut invoice = samples::invoice();
        invoice.customer.legal_name = name.to_owned();
        let words: Vec<&str> = name.split(' ').collect();
        check(&invoice, &words);
    }
}

#[test]
fn long_names_are_there_in_full() {
    let mut invoice = samples::invoice();
    let name = "Gesellschaft ".repeat(23) + "mbH";
    invoice.customer.legal_name = name.clone();
    invoice.customer.identifiers = vec![Labelled::new("VAT ID", "X".repeat(300))];
    invoice.figures.lines[0].title = "W".repeat(300);
    let text = Reader::of(&samples::issuer(), &invoice).text();
    assert_eq!(text.matches("Gesellschaft").count(), 23, "{text}");
    let letters = |letter| text.chars().filter(|&c| c == letter).count();
    assert_eq!(letters('X'), 300);
    assert!(letters('W') >= 300);
}
