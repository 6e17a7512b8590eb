//! What a document costs.
//!
//! `cargo bench -p invoices` makes each document over and over on one core, for a second five times,
//! and prints the milliseconds by document of the best second. `cargo bench -p invoices -- FOLDER`
//! writes the documents there instead, to be looked at.

#![expect(clippy::print_stdout, reason = "a bench says what it measured")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use invoices::{Colour, Invoice, Issuer, Logo, Paper, render, samples};

const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let issuer = samples::issuer();
    let logo = Logo::from_bytes(include_bytes!("../tests/logo.png").to_vec())?;
    let with_logo = Issuer { logo: Some(logo), ..samples::issuer() };
    let letter = Issuer { paper: Paper::Letter, accent: Colour(190, 60, 40), ..with_logo.clone() };
    let mut foreign = samples::plan_invoice();
    foreign.customer.legal_name = String::from("東京ライブ配信株式会社 / شركة البث المباشر 🎉");
    for (name, issuer, invoice) in [
        ("one_plan", &issuer, samples::plan_invoice()),
        ("one_plan_logo", &with_logo, samples::plan_invoice()),
        ("one_plan_chinese_arabic", &issuer, foreign),
        ("two_plans_due", &with_logo, samples::invoice()),
        ("credit_note_letter", &letter, samples::credit_note()),
        ("200_lines_200_projects", &letter, samples::long_invoice(200, 200)),
    ] {
        match &folder {
            Some(folder) => {
                let file = Path::new(folder).join(name).with_extension("pdf");
                std::fs::write(file, render(issuer, &invoice)?.pdf)?;
            }
            None => measure(name, issuer, &invoice)?,
        }
    }
    Ok(())
}

fn measure(name: &str, issuer: &Issuer, invoice: &Invoice) -> Result<(), Box<dyn Error>> {
    let document = render(issuer, invoice)?;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            black_box(render(black_box(issuer), black_box(invoice))?);
            count += 1;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e3 / f64::from(count));
    }
    let (pages, bytes) = (document.pages, document.pdf.len());
    println!("{name:<26} {pages:>3} pages {bytes:>7} bytes {best:>7.2} ms");
    Ok(())
}
