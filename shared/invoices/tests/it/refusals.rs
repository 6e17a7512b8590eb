//! What is never printed.

use invoices::{
    Invoice, InvoiceError, Issuer, Line, Logo, MAX_FIELD_CHARS, MAX_LINES, MAX_LOGO_BYTES, render,
    samples,
};
use values::{Classify, Retry};

fn refused(change: impl FnOnce(&mut Issuer, &mut Invoice)) -> InvoiceError {
    let (mut issuer, mut invoice) = (samples::issuer(), samples::paid_invoice());
    change(&mut issuer, &mut invoice);
    let error = render(&issuer, &invoice).expect_err("it is refused");
    assert_eq!(error.retry(), Retry::Never);
    error
}

#[test]
fn figures_that_do_not_add_up() {
    let error = refused(|_, invoice| invoice.figures.total_minor += 1);
    assert_eq!(error, InvoiceError::TotalDiffers { sum: 41_305, total: 41_306 });
    let error = refused(|_, invoice| invoice.figures.lines[3].quantity = Some((3, 500)));
    let text = "line 4 is 3 times 500, which is not its 2000";
    assert_eq!(error.to_string(), text);
    let error = refused(|_, invoice| invoice.figures.credits[0].amount_minor = 1);
    assert_eq!(error, InvoiceError::Sign { what: "a credit", minor: 1 });
    let error = refused(|_, invoice| invoice.payments[0].amount_minor = 0);
    assert_eq!(error, InvoiceError::Sign { what: "a payment", minor: 0 });
}

#[test]
fn figures_beyond_the_integers() {
    let error = refused(|_, invoice| {
        invoice.figures.lines = vec![Line::new("a", i64::MAX), Line::new("b", i64::MAX)];
    });
    assert_eq!(error, InvoiceError::Overflow);
    let error = refused(|_, invoice| {
        let payment = invoice.payments[0].clone();
        invoice.payments = vec![payment; 2];
        invoice.payments[0].amount_minor = i64::MAX;
    });
    assert_eq!(error, InvoiceError::Overflow);
    let (issuer, mut invoice) = (samples::issuer(), samples::invoice());
    invoice.figures.lines = vec![Line::new("all the money", i64::MAX)];
    invoice.figures.taxes.clear();
    invoice.figures.credits.clear();
    invoice.figures.total_minor = i64::MAX;
    assert!(render(&issuer, &invoice).is_ok());
}

#[test]
fn empty_and_endless_texts() {
    let error = refused(|_, invoice| invoice.customer.legal_name = " \n\u{200b}".to_owned());
    assert_eq!(error, InvoiceError::Empty { field: "the customer's name" });
    let error = refused(|issuer, _| issuer.legal_name.clear());
    assert_eq!(error, InvoiceError::Empty { field: "the issuer's name" });
    let error = refused(|_, invoice| invoice.number.clear());
    assert_eq!(error, InvoiceError::Empty { field: "the invoice's number" });
    let error = refused(|_, invoice| {
        invoice.customer.legal_name = "x".repeat(MAX_FIELD_CHARS + 1);
    });
    assert_eq!(error.to_string(), "the customer's name has 501 characters; shorten it to 500");
    let error = refused(|_, invoice| {
        invoice.figures.lines = vec![Line::new("x", 0); MAX_LINES + 1];
    });
    assert_eq!(error.to_string(), "there are 2001 lines; one document holds 2000");
    let error = refused(|issuer, _| issuer.address = vec![String::new(); 21]);
    assert!(matches!(error, InvoiceError::TooMany { found: 21, max: 20, .. }));
}

#[test]
fn logos_that_are_none() {
    let png = include_bytes!("../logo.png");
    assert!(Logo::from_bytes(png.to_vec()).is_ok());
    let refused = |bytes: Vec<u8>, why: &str| {
        let error = Logo::from_bytes(bytes).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(b"<svg/>".to_vec(), "neither PNG nor JPEG");
    refused(Vec::new(), "neither PNG nor JPEG");
    refused(vec![0; MAX_LOGO_BYTES + 1], "at most");
    refused(png[..png.len() / 2].to_vec(), "the logo cannot be used");
    refused(b"\xff\xd8\xff\xe0 no picture".to_vec(), "the logo cannot be used");
    let mut huge = png.to_vec();
    // The width in the picture's head, and the check sum that goes with it.
    huge[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    refused(huge, "the logo cannot be used");
}
