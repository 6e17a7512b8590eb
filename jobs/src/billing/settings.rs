//! What the billing jobs share: `[domains.billing]` in worker.toml.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use billing::{Catalogue, TaxRates, closes_at};
use invoices::{Colour, Labelled, Logo, Paper};
use job::JobError;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use values::{Month, Span, Timestamp};

/// How far a total may move without an approval at the most: to its elevenfold.
const MAX_CHANGE: u32 = 100_000;
/// Characters of a prefix at the most.
const MAX_PREFIX: usize = 20;
/// What to do about two series whose numbers are the same.
const SAME_PREFIX: &str = "invoices and credit notes need prefixes that differ; set invoice_prefix \
                           or credit_note_prefix in [domains.billing.issuer]";
/// What to do about invoices without a sender.
const NO_NAME: &str = "invoices need a sender; set legal_name in [domains.billing.issuer]";

/// `[domains.billing]` in worker.toml, for every job of the domain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The first month this worker bills; nothing is closed without it.
    #[serde(default, deserialize_with = "month")]
    pub(crate) first_month: Option<Month>,
    /// How long after its end a month is closed: late logs have arrived by then.
    #[serde(default = "close_after", deserialize_with = "span")]
    pub(crate) close_after: Span,
    /// Days a customer has who pays by transfer.
    #[serde(default = "payment_term_days")]
    pub(crate) payment_term_days: u16,
    /// Whether a person approves the totals of every month before anything is charged.
    #[serde(default)]
    pub(crate) approve_before_charge: bool,
    /// How far a month's total may move from the one before without an approval.
    #[serde(default = "max_change", deserialize_with = "change")]
    pub(crate) max_change_basis_points: u32,
    /// The tax of each country, by its two letters.
    #[serde(default)]
    pub(crate) tax_basis_points: TaxRates,
    /// A file with the plans that are sold; those shipped when absent.
    #[serde(default = "Catalogue::built_in", deserialize_with = "crate::catalogue::catalogue")]
    pub(crate) catalogue: Catalogue,
    /// Who sends the invoices.
    #[serde(default)]
    pub(crate) issuer: Issuer,
}

/// Who sends invoices and credit notes, and whose series their numbers are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Issuer {
    /// A short name of the company that never changes.
    pub(crate) id: String,
    /// What invoice numbers begin with.
    #[serde(deserialize_with = "prefix")]
    pub(crate) invoice_prefix: String,
    /// What the numbers of credit notes begin with.
    #[serde(deserialize_with = "prefix")]
    pub(crate) credit_note_prefix: String,
    /// The name in law; no month is closed without it.
    pub(crate) legal_name: String,
    /// The address, line by line.
    pub(crate) address: Vec<String>,
    /// Tax ids, registration and the like, by what they are called.
    pub(crate) identifiers: BTreeMap<String, String>,
    /// Where questions go: mail address, telephone, site.
    pub(crate) contact: Vec<String>,
    /// Where to pay to, such as `IBAN` and `BIC`.
    pub(crate) bank: BTreeMap<String, String>,
    /// A PNG or JPEG file.
    pub(crate) logo: Option<PathBuf>,
    /// The colour of rules and bands, such as `#254474`.
    pub(crate) colour: Option<String>,
    /// The paper, `a4` or `letter`.
    pub(crate) paper: PaperSize,
    /// What the tax is called.
    pub(crate) tax_name: String,
    /// Sentences below the figures.
    pub(crate) notes: Vec<String>,
}

/// A size of paper.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PaperSize {
    /// 210 by 297 mm.
    #[default]
    A4,
    /// 8.5 by 11 inches.
    Letter,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            id: "company".to_owned(),
            invoice_prefix: "INV-".to_owned(),
            credit_note_prefix: "CN-".to_owned(),
            legal_name: String::new(),
            address: Vec::new(),
            identifiers: BTreeMap::new(),
            contact: Vec::new(),
            bank: BTreeMap::new(),
            logo: None,
            colour: None,
            paper: PaperSize::default(),
            tax_name: "VAT".to_owned(),
            notes: Vec::new(),
        }
    }
}

impl Issuer {
    /// The issuer as it is printed.
    pub(crate) fn printed(&self) -> Result<invoices::Issuer, JobError> {
        let labelled = |map: &BTreeMap<String, String>| {
            map.iter().map(|(label, value)| Labelled::new(label, value)).collect()
        };
        if self.legal_name.is_empty() {
            return Err(JobError::permanent(NO_NAME));
        }
        Ok(invoices::Issuer {
            legal_name: self.legal_name.clone(),
            address: self.address.clone(),
            identifiers: labelled(&self.identifiers),
            contact: self.contact.clone(),
            bank: labelled(&self.bank),
            logo: self.logo.as_deref().map(logo).transpose()?,
            accent: self.colour.as_deref().map_or(Ok(Colour::default()), colour)?,
            paper: match self.paper {
                PaperSize::A4 => Paper::A4,
                PaperSize::Letter => Paper::Letter,
            },
        })
    }
}

fn logo(path: &Path) -> Result<Logo, JobError> {
    let shown = path.display();
    let read = std::fs::read(path);
    let bytes = read.map_err(|error| JobError::permanent(format!("the logo {shown}: {error}")))?;
    Ok(Logo::from_bytes(bytes)?)
}

fn colour(text: &str) -> Result<Colour, JobError> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii());
    let part = |at: usize| digits.and_then(|all| u8::from_str_radix(&all[at..at + 2], 16).ok());
    match (part(0), part(2), part(4)) {
        (Some(red), Some(green), Some(blue)) => Ok(Colour(red, green, blue)),
        _ => Err(JobError::permanent(format!("the colour `{text}` is none; write #rrggbb"))),
    }
}

impl Settings {
    /// Why no run of a month charges: it is not billed here, or not closed yet; `None` if one may.
    pub(crate) fn no_run(&self, month: Month, now: Timestamp) -> Option<String> {
        let Some(first) = self.first_month else {
            return Some("nothing is billed; set first_month in [domains.billing]".to_owned());
        };
        if month < first {
            return Some(format!(
                "{month} is before first_month {first} of [domains.billing] and was settled \
                 elsewhere"
            ));
        }
        let at = closes_at(month, self.close_after);
        (now < at).then(|| format!("{month} is not closed before {at}"))
    }

    /// Refuses to bill in nobody's name.
    pub(crate) fn check_issuer(&self) -> Result<(), JobError> {
        let Issuer { invoice_prefix, credit_note_prefix, .. } = &self.issuer;
        if invoice_prefix == credit_note_prefix {
            return Err(JobError::permanent(SAME_PREFIX));
        }
        self.issuer.printed().map(|_| ())
    }

    /// The time a customer has to pay an invoice.
    pub(crate) fn payment_term(&self) -> Span {
        Span::from_days(self.payment_term_days.into())
    }
}

fn close_after() -> Span {
    Span::from_hours(48)
}

fn payment_term_days() -> u16 {
    14
}

fn max_change() -> u32 {
    3_000
}

/// Takes what may stand in a number, in the name of a file and in the subject of a mail.
fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let found = String::deserialize(deserializer)?;
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if found.chars().count() <= MAX_PREFIX && found.chars().all(letter) {
        return Ok(found);
    }
    Err(D::Error::custom(format!(
        "a prefix has at most {MAX_PREFIX} of A-Z, a-z, 0-9, `-`, `_` and `.`"
    )))
}

fn change<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let found = u32::deserialize(deserializer)?;
    if found <= MAX_CHANGE {
        return Ok(found);
    }
    Err(D::Error::custom(format!(
        "max_change_basis_points of {found}; give 0 to {MAX_CHANGE}, where 3000 is 30 %"
    )))
}

fn month<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Month>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
