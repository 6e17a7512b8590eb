//! Invoices and credit notes as PDF documents.
//!
//! [`render`] takes an [`Issuer`] and an [`Invoice`] and gives the bytes of a PDF/A-2u file: A4 or
//! Letter, page numbers, tables whose heads repeat on every page, fonts embedded, text that can be
//! searched and copied. The same values give the same bytes; no clock, network, file or setting is
//! read. A document whose figures do not add up is refused.
//!
//! ```
//! use invoices::{Customer, Figures, Invoice, Issuer, Kind, Line, render};
//! use values::Currency;
//!
//! let issuer = Issuer { legal_name: "Example Streaming GmbH".into(), ..Issuer::default() };
//! let invoice = Invoice {
//!     kind: Kind::Invoice,
//!     number: "INV-000017".into(),
//!     issued_at: "2026-12-03T06:00:00Z".parse()?,
//!     due_at: None,
//!     period: "2026-11".parse()?,
//!     purchase_order: None,
//!     customer: Customer { legal_name: "Żółw sp. z o.o.".into(), ..Customer::default() },
//!     figures: Figures {
//!         currency: Currency::USD,
//!         lines: vec![Line::new("Solo, broadcast", 2_000)],
//!         taxes: vec![],
//!         credits: vec![],
//!         total_minor: 2_000,
//!     },
//!     payments: vec![],
//!     usage: None,
//!     notes: vec![],
//! };
//! let document = render(&issuer, &invoice)?;
//! assert!(document.pdf.starts_with(b"%PDF-1.7"));
//! assert_eq!((document.pages, document.missing.as_slice()), (1, &[][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod compose;
mod dates;
mod error;
mod figures;
mod flow;
mod fonts;
mod invoice;
mod issuer;
mod logo;
mod masthead;
mod money;
mod pdf;
pub mod samples;
mod shape;
mod style;
mod sums;
mod table;
mod text;
mod usage;
mod wrap;

pub use compose::{Document, render};
pub use error::InvoiceError;
pub use figures::Figures;
pub use invoice::{
    Credit, Customer, Invoice, Kind, Line, MAX_FIELD_CHARS, MAX_LINES, MAX_NOTE_CHARS,
    MAX_PROJECTS, MAX_SHORT_LIST, Payment, ProjectUsage, Tax, UsageReport,
};
pub use issuer::{Colour, Issuer, Labelled, Paper};
pub use logo::{Logo, MAX_LOGO_BYTES, MAX_LOGO_SIDE};
