//! Paper, pages, repeated heads, and what stays together.

use invoices::{Issuer, Logo, Paper, samples};

use crate::reader::Reader;

#[test]
fn says_what_it_is_to_programs() {
    let reader = Reader::of(&samples::issuer(), &samples::invoice());
    assert_eq!(reader.fact("Title"), "Invoice INV-000417");
    assert_eq!(reader.fact("Author"), "Northlight Streaming GmbH");
    assert_eq!(reader.fact("PDF version"), "1.7");
    assert_eq!(reader.fact("JavaScript"), "no");
    assert_eq!(reader.fact("Encrypted"), "no");
    assert!(reader.fact("CreationDate").starts_with("Thu Dec  3 00:00:00 2026"));
    let raw = String::from_utf8_lossy(&reader.document.pdf);
    assert!(raw.contains("<pdfaid:part>2</pdfaid:part>"));
    assert!(raw.contains("<pdfaid:conformance>U</pdfaid:conformance>"));
    assert!(raw.contains("/Lang(en)"));
}

#[test]
fn embeds_all_fonts() {
    let mut invoice = samples::invoice();
    invoice.customer.legal_name = "東京 한국 العربية עברית ไทย हिन्दी বাংলা தமிழ் Հայ ქართ".to_owned();
    let fonts = Reader::of(&samples::issuer(), &invoice).fonts();
    assert!(fonts.iter().all(|(_, flags)| *flags == [true; 3]), "{fonts:?}");
    assert_eq!(fonts.len(), 11, "{fonts:?}");
}

#[test]
fn comes_on_both_papers() {
    for (paper, size) in
        [(Paper::A4, "595.28 x 841.89 pts (A4)"), (Paper::Letter, "612 x 792 pts (letter)")]
    {
        let issuer = Issuer { paper, ..samples::issuer() };
        let reader = Reader::of(&issuer, &samples::long_invoice(40, 0));
        assert_eq!(reader.fact("Page size"), size);
        assert_eq!(reader.fact("Pages"), reader.document.pages.to_string());
    }
}

#[test]
fn a_long_document_has_each_line_once_and_its_heads_on_each_page() {
    for paper in [Paper::A4, Paper::Letter] {
        let issuer = Issuer { paper, ..samples::issuer() };
        let reader = Reader::of(&issuer, &samples::long_invoice(200, 150));
        let count = reader.document.pages;
        assert!(count > 6, "{count} pages");
        let text = reader.text();
        for at in 1..=200 {
            let line = format!("Event package {at:04} ");
            assert_eq!(text.matches(&line).count(), 1, "{line}");
        }
        for at in 1..=150 {
            assert_eq!(text.matches(&format!("project-{at:04} ")).count(), 1, "project {at}");
        }
        for page in 1..=count {
            let text = reader.page(page);
            assert!(text.contains(&format!("Page {page} of {count}")), "{text}");
            let running_head = text.contains("Invoice INV-000417");
            assert_eq!(running_head, page > 1, "page {page}");
            for (row, head) in [("Event package", "Unit price"), ("project-0", "Bandwidth")] {
                assert!(!text.contains(row) || text.contains(head), "page {page} lacks {head}");
            }
        }
    }
}

#[test]
fn the_sums_never_leave_the_last_line() {
    for lines in 10..28 {
        let reader = Reader::of(&samples::issuer(), &samples::long_invoice(lines, 0));
        let last = format!("Event package {lines:04}");
        let page = (1..=reader.document.pages).map(|page| reader.page(page));
        let page = page.into_iter().find(|text| text.contains(&last)).unwrap();
        for sum in ["Subtotal", "VAT 0%", "Total", "Amount due"] {
            assert!(page.contains(sum), "{lines} lines: {sum} is on another page");
        }
    }
}

#[test]
fn a_head_never_ends_a_page_and_a_last_row_never_begins_one() {
    for lines in 1..28 {
        let reader = Reader::of(&samples::issuer(), &samples::long_invoice(lines, 4));
        for page in 1..=reader.document.pages {
            let text = reader.page(page);
            let lone = text.contains("Account  ") && !text.contains("project-0004");
            assert!(!lone, "{lines} lines, page {page}: the last row is alone");
            let has = |title: &str, row: &str| !text.contains(title) || text.contains(row);
            assert!(has("Usage by project", "project-0001"), "{lines} lines, page {page}");
            assert!(has("How to pay", "Reference"), "{lines} lines, page {page}");
            assert!(has("Notes", "Thank you"), "{lines} lines, page {page}");
        }
    }
}

#[test]
fn a_month_of_one_plan_is_one_page() {
    let logo = Logo::from_bytes(include_bytes!("../logo.png").to_vec()).unwrap();
    let issuer = Issuer { logo: Some(logo), ..samples::issuer() };
    let reader = Reader::of(&issuer, &samples::plan_invoice());
    assert_eq!(reader.document.pages, 1, "{}", reader.text());
}

#[test]
fn the_same_values_give_the_same_bytes() {
    let logo = || Some(Logo::from_bytes(include_bytes!("../logo.png").to_vec()).unwrap());
    let make = move || {
        let issuer = Issuer { logo: logo(), ..samples::issuer() };
        invoices::render(&issuer, &samples::long_invoice(60, 30)).unwrap().pdf
    };
    let first = make();
    // Other documents before it must leave no trace.
    let _other =
        std::thread::spawn(|| Reader::of(&samples::issuer(), &samples::credit_note()).text())
            .join();
    assert!(first == make());
    assert!(first == std::thread::spawn(make).join().unwrap());
}
