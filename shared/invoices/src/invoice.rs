//! What is printed: one invoice or credit note.

use billing::{BasisPoints, Limits, Usage};
use values::{Month, Timestamp};

use crate::{Figures, Labelled};

/// Lines of one document.
pub const MAX_LINES: usize = 2_000;
/// Projects of one usage report.
pub const MAX_PROJECTS: usize = 5_000;
/// Entries of every other list: address lines, taxes, credits, payments, notes.
pub const MAX_SHORT_LIST: usize = 20;
/// Characters of one field, such as a name.
pub const MAX_FIELD_CHARS: usize = 500;
/// Characters of one note.
pub const MAX_NOTE_CHARS: usize = 4_000;

/// An invoice or a credit note, frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Which of the two it is.
    pub kind: Kind,
    /// Its number in the issuer's series, such as `INV-000017`.
    pub number: String,
    /// When it was issued; its UTC date is printed.
    pub issued_at: Timestamp,
    /// Until when it is to be paid; its UTC date is printed.
    pub due_at: Option<Timestamp>,
    /// The month it is for.
    pub period: Month,
    /// The customer's purchase order.
    pub purchase_order: Option<String>,
    /// Who it is for.
    pub customer: Customer,
    /// What it costs.
    pub figures: Figures,
    /// What was paid, or for a credit note paid back; positive amounts, oldest first.
    pub payments: Vec<Payment>,
    /// What the month used.
    pub usage: Option<UsageReport>,
    /// Sentences below the figures, such as a reverse-charge notice; may have line ends.
    pub notes: Vec<String>,
}

/// Which kind of document it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The customer owes the total.
    Invoice,
    /// The customer is owed the total, which is written as a positive amount.
    CreditNote {
        /// The number of the invoice it corrects.
        invoice: String,
        /// When that invoice was issued.
        invoice_issued_at: Timestamp,
    },
}

/// Who a document is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Customer {
    /// The name in law, or of the account if there is none.
    pub legal_name: String,
    /// The address, line by line; the country's name is its last line.
    pub address: Vec<String>,
    /// Tax ids and the like.
    pub identifiers: Vec<Labelled>,
    /// The account's id or name.
    pub account: Option<String>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is for.
    pub title: String,
    /// More about it, in small print below.
    pub detail: Option<String>,
    /// How many, and the price of each in minor units; together they make the amount.
    pub quantity: Option<(u64, i64)>,
    /// The net amount in minor units; negative if it lowers the total.
    pub amount_minor: i64,
}

impl Line {
    /// Makes a line without quantity.
    pub fn new(title: impl Into<String>, amount_minor: i64) -> Self {
        Self { title: title.into(), detail: None, quantity: None, amount_minor }
    }
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tax {
    /// Its name, such as `VAT`.
    pub name: String,
    /// Its rate.
    pub rate: BasisPoints,
    /// The net amount it is on, in minor units.
    pub base_minor: i64,
    /// The tax in minor units.
    pub amount_minor: i64,
}

/// A credit that lowers what is to pay, tax included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    /// Where it is from.
    pub title: String,
    /// Its amount in minor units, zero or less.
    pub amount_minor: i64,
}

/// Money that changed hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// When.
    pub at: Timestamp,
    /// How, such as `Visa ending in 4242`.
    pub method: String,
    /// How much in minor units, above zero.
    pub amount_minor: i64,
}

/// What the month used beside what its plans include.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// The account's usage.
    pub used: Usage,
    /// What the plans include; `None` hides that column.
    pub included: Option<Limits>,
    /// The same by project, in the order to be printed; empty leaves the table out.
    pub projects: Vec<ProjectUsage>,
}

/// The usage of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectUsage {
    /// The project's name.
    pub name: String,
    /// Its usage.
    pub used: Usage,
}
