//! What one mail costs before it leaves: `cargo bench -p mail --bench letter`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mail::{Attachment, Brand, Parcel, Recipient, Templates, samples};
use values::Timestamp;

const LETTERS: u32 = 500;
const ROUNDS: u32 = 5;
/// About an invoice of one page.
const PDF_BYTES: usize = 30_000;

fn main() {
    let started = Instant::now();
    let templates = Templates::load(Brand::example(), None).expect("the templates are in order");
    println!("load, with every sample written once: {:?}", started.elapsed());
    let samples = samples();
    let invoice = samples.iter().find(|sample| sample.name() == "monthly_invoice");
    let invoice = invoice.expect("there is an invoice among the samples");
    let to = Recipient::new("ann@example.org".parse().expect("an address"), Some("Ann Lee"));
    let pdf = [Attachment::pdf("invoice.pdf", vec![0x95; PDF_BYTES])];

    let render = best(|| drop(black_box(templates.render(invoice).expect("it is written"))));
    println!("invoice, text and HTML: {render:?}");
    let letter = best(|| {
        let date = Timestamp::EPOCH;
        let parcel = Parcel { id: "mail_1", date, to: &to, message: invoice, attachments: &pdf };
        drop(black_box(templates.letter(&parcel).expect("it is put together")));
    });
    println!("invoice with a PDF of {PDF_BYTES} bytes, ready to be sent: {letter:?}");
}

/// The time of one call, in the best of some rounds.
fn best(call: impl Fn()) -> Duration {
    let round = || {
        let started = Instant::now();
        (0..LETTERS).for_each(|_| call());
        started.elapsed() / LETTERS
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}
