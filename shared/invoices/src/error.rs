//! Why a document cannot be made.

use values::{Classify, Retry};

/// Why a document cannot be made; the same values give the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// A field that must not be empty is.
    #[error("{field} is empty; an invoice cannot do without it")]
    Empty {
        /// Which field.
        field: &'static str,
    },
    /// A text is too long.
    #[error("{field} has {found} characters; shorten it to {max}")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its length in characters.
        found: usize,
        /// The most there may be.
        max: usize,
    },
    /// A list is too long.
    #[error("there are {found} {list}; one document holds {max}")]
    TooMany {
        /// Which list.
        list: &'static str,
        /// Its length.
        found: usize,
        /// The most there may be.
        max: usize,
    },
    /// Lines, taxes and credits are not the total.
    #[error("lines, taxes and credits make {sum} minor units, the total says {total}")]
    TotalDiffers {
        /// What they make.
        sum: i128,
        /// What the total says.
        total: i64,
    },
    /// Quantity and price of a line are not its amount.
    #[error("line {line} is {quantity} times {price_minor}, which is not its {amount_minor}")]
    LineDiffers {
        /// Which line, from 1.
        line: usize,
        /// How many.
        quantity: u64,
        /// The price of each in minor units.
        price_minor: i64,
        /// The amount in minor units.
        amount_minor: i64,
    },
    /// A credit above zero, or a payment of nothing or less.
    #[error("{what} of {minor} minor units has the wrong sign")]
    Sign {
        /// `a credit` or `a payment`.
        what: &'static str,
        /// Its amount.
        minor: i64,
    },
    /// The lines or the payments make more than 63 bits of minor units hold.
    #[error("the amounts are too large")]
    Overflow,
    /// A bill in two currencies.
    #[error("the bill mixes currencies")]
    Currencies,
    /// The logo cannot be used.
    #[error("the logo cannot be used: {why}; give a PNG or JPEG file")]
    Logo {
        /// What is wrong with it.
        why: String,
    },
    /// The document breaks a rule of PDF/A.
    #[error("the document cannot be written: {why}")]
    Pdf {
        /// What the PDF library says.
        why: String,
    },
}

impl Classify for InvoiceError {
    fn retry(&self) -> Retry {
        match self {
            Self::Empty { .. }
            | Self::TooLong { .. }
            | Self::TooMany { .. }
            | Self::TotalDiffers { .. }
            | Self::LineDiffers { .. }
            | Self::Sign { .. }
            | Self::Overflow
            | Self::Currencies
            | Self::Logo { .. }
            | Self::Pdf { .. } => Retry::Never,
        }
    }
}
