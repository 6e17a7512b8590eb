//! A frozen bill becomes the lines of a document.

use billing::{AccountPlans, BasisPoints, BillFacts, Carried, Catalogue, Usage, bill_of_month};
use invoices::{Credit, Figures, samples};
use values::Currency;

use crate::reader::Reader;

/// Fault 6: what is printed is what is charged.
#[test]
fn a_bill_with_everything_is_printed_to_the_cent() {
    let catalogue = Catalogue::built_in();
    let plans = AccountPlans { broadcast: vec!["basic".into(), "pro".into()], peer: vec![] };
    let holding = catalogue.hold("cine.io", &plans, "2015-01".parse().unwrap()).unwrap();
    let bill = bill_of_month(&BillFacts {
        created_at: "2015-01-15T10:00:00Z".parse().unwrap(),
        holding: &holding,
        usage: Usage::default(),
        currency: Currency::USD,
        tax: BasisPoints::new(1_900).unwrap(),
        carried: &[Carried { month: "2014-12".parse().unwrap(), minor: 40 }],
        credit_minor: 1_000,
    })
    .unwrap();
    let figures = Figures::of_bill(&bill, "VAT").unwrap();
    assert_eq!(figures.total_minor, bill.total.minor);
    assert_eq!(figures.credits, [Credit { title: "Credit".to_owned(), amount_minor: -1_000 }]);

    let mut invoice = samples::invoice();
    invoice.period = bill.month;
    invoice.figures = figures;
    let text = Reader::of(&samples::issuer(), &invoice).text();
    // 600.00 * 17 / 31 = 329.03, and 0.40 of December; 19% of 329.43 is 62.59.
    let total = 32_943 + 6_259 - 1_000;
    assert_eq!(bill.total.minor, total);
    for words in [
        "17 of 31 days of Jan 2015 are billed",
        "Carried over from Dec 2014",
        "Subtotal $329.43",
        "VAT 19% on $329.43 $62.59",
        "Amount due $382.02",
        "1 – 31 Jan 2015",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}
