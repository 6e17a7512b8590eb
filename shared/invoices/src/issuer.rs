//! Who sends the document, and how it looks.

use crate::Logo;

/// Who sends the document; the same for all documents of a company.
#[derive(Debug, Clone, Default)]
pub struct Issuer {
    /// The name in law.
    pub legal_name: String,
    /// The address, line by line.
    pub address: Vec<String>,
    /// Tax ids, registration and the like.
    pub identifiers: Vec<Labelled>,
    /// Where questions go: mail address, telephone, site.
    pub contact: Vec<String>,
    /// Where to pay to: `IBAN`, `BIC`, `Bank`; empty leaves the section out.
    pub bank: Vec<Labelled>,
    /// The logo; without one the name stands in its place.
    pub logo: Option<Logo>,
    /// The colour of the band at the top and of the rule above the amount due.
    pub accent: Colour,
    /// The paper.
    pub paper: Paper,
}

/// A value and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// What it is, such as `VAT ID`.
    pub label: String,
    /// The value.
    pub value: String,
}

impl Labelled {
    /// Puts a label and a value together.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into() }
    }
}

/// A size of paper, upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paper {
    /// 210 by 297 mm.
    #[default]
    A4,
    /// 8.5 by 11 inches.
    Letter,
}

impl Paper {
    /// Width and height in points.
    pub(crate) const fn size(self) -> (f32, f32) {
        match self {
            Self::A4 => (595.28, 841.89),
            Self::Letter => (612.0, 792.0),
        }
    }
}

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

impl Default for Colour {
    /// A quiet dark blue.
    fn default() -> Self {
        Self(37, 68, 116)
    }
}
