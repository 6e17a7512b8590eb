//! Texts that want to break the document, or to make it say something else.

use invoices::{Labelled, MAX_FIELD_CHARS, MAX_NOTE_CHARS, MAX_SHORT_LIST, samples};
use proptest::prelude::*;

use crate::reader::Reader;

#[test]
fn shows_what_no_font_has_as_code_points_and_says_so() {
    let mut invoice = samples::invoice();
    invoice.customer.legal_name = "Party 🎉 Ltd".to_owned();
    let reader = Reader::of(&samples::issuer(), &invoice);
    assert_eq!(reader.document.missing, ['🎉']);
    let text = reader.text();
    assert!(text.contains("Party [U+1F389] Ltd"), "{text}");
    assert!(text.contains("code points in brackets: U+1F389."), "{text}");
}

#[test]
fn prints_markup_as_it_is_and_hides_nothing() {
    let mut invoice = samples::invoice();
    invoice.customer.legal_name = "<b>Evil</b> & \"Sons\" (a\\b) %PDF endstream ]]>".to_owned();
    invoice.number = "INV-\u{202e}7100\u{202c}-1\n\n\u{0}x".to_owned();
    let reader = Reader::of(&samples::issuer(), &invoice);
    let text = reader.text();
    assert!(text.contains("<b>Evil</b> & \"Sons\" (a\\b) %PDF endstream ]]>"), "{text}");
    assert!(text.contains("INV-7100-1 x"), "{text}");
    assert_eq!(reader.fact("Title"), "Invoice INV-7100-1 x");
}

#[test]
fn every_character_prints_or_is_named() {
    // All of the first planes' scripts; of the ideographs, private and emoji blocks every seventh.
    let blocks = ('\u{1}'..'\u{3400}').chain('\u{a000}'..'\u{ac00}').chain('\u{f900}'..='\u{ffff}');
    let sampled = ('\u{3400}'..='\u{1ffff}').step_by(7);
    let all: Vec<char> = blocks.chain(sampled).filter(|c| !c.is_whitespace()).collect();
    let mut missing = 0;
    for part in all.chunks(MAX_NOTE_CHARS * MAX_SHORT_LIST) {
        let mut invoice = samples::invoice();
        invoice.notes = part.chunks(MAX_NOTE_CHARS).map(|note| note.iter().collect()).collect();
        missing += invoices::render(&samples::issuer(), &invoice).unwrap().missing.len();
    }
    assert!(missing < all.len() && missing > 5_000, "{missing} of {}", all.len());
}

#[test]
fn the_longest_texts_everywhere_still_end() {
    let worst = "🎉".repeat(MAX_FIELD_CHARS);
    let mut issuer = samples::issuer();
    let mut invoice = samples::invoice();
    issuer.legal_name.clone_from(&worst);
    issuer.address = vec![worst.clone(); MAX_SHORT_LIST];
    issuer.bank = vec![Labelled::new(&worst, &worst); 3];
    invoice.number.clone_from(&worst);
    invoice.customer.legal_name.clone_from(&worst);
    invoice.figures.lines[0].title.clone_from(&worst);
    invoice.figures.credits[0].title.clone_from(&worst);
    invoice.notes = vec![worst; MAX_SHORT_LIST];
    let reader = Reader::of(&issuer, &invoice);
    let text = reader.text();
    assert!(reader.document.pages < 200, "{} pages", reader.document.pages);
    assert!(text.contains("Amount due") && text.contains("Subtotal"));
    // Notes alone; each character of them stands there.
    assert!(text.matches("[U+1F389").count() >= MAX_SHORT_LIST * MAX_FIELD_CHARS / 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_text_prints(name in ".{1,80}", mixed in any::<String>(), rtl in "[א-ת؀-ۿa-z0-9(]{0,60}") {
        let mut invoice = samples::invoice();
        invoice.customer.legal_name = format!("A{name}");
        invoice.customer.address = vec![mixed.chars().take(200).collect(), rtl.clone()];
        invoice.figures.lines[0].title = format!("B{rtl}");
        let document = invoices::render(&samples::issuer(), &invoice).unwrap();
        prop_assert!(document.pages <= 4);
    }
}
