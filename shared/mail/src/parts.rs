//! What messages are made of.

use std::fmt;

use serde::{Deserialize, Serialize};
use values::{Money, Month, Timestamp};

/// A link that only its recipient may know; printed as `[redacted]`, stored and mailed in full.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateLink(pub String);

impl fmt::Debug for PrivateLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What plans are sold for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// Live streaming.
    Broadcast,
    /// Calls between browsers.
    Peer,
}

/// A plan as customers know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPrice {
    /// Its name, such as `Basic`.
    pub name: String,
    /// What it costs per month.
    pub price: Money,
}

/// The plans of a product before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductChange {
    /// The product.
    pub product: Product,
    /// Names of the plans it had, perhaps none.
    pub from: Vec<String>,
    /// The plan that replaces them all.
    pub to: PlanPrice,
}

/// Broadcast plans of a month and what was used of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BroadcastUse {
    /// The plans held, at least one.
    pub plans: Vec<PlanPrice>,
    /// Bytes served to viewers.
    pub bandwidth_bytes: u64,
    /// Bytes the plans allow to be served.
    pub bandwidth_limit_bytes: u64,
    /// Bytes of recordings kept.
    pub storage_bytes: u64,
    /// Bytes the plans allow to be kept.
    pub storage_limit_bytes: u64,
}

/// Peer plans of a month and what was used of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerUse {
    /// The plans held, at least one.
    pub plans: Vec<PlanPrice>,
    /// Milliseconds talked.
    pub milliseconds: u64,
    /// Milliseconds the plans allow.
    pub limit_milliseconds: u64,
}

/// How an invoice is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Paid {
    /// It was charged to a card.
    Card(CardName),
    /// The customer pays by transfer.
    Transfer {
        /// Until when.
        due: Timestamp,
    },
    /// There was nothing to pay.
    Nothing {},
}

/// A card as its owner recognises it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardName {
    /// Who issued it, such as `Visa`.
    pub brand: String,
    /// Its last four digits.
    pub last4: String,
    /// Its last valid month.
    pub expires: Month,
}

impl CardName {
    /// Names a card by the code that gateways have for its brand, such as `visa`; a code that is
    /// not known stays as it is.
    pub fn new(code: &str, last4: &str, expires: Month) -> Self {
        let brand = match code {
            "amex" => "American Express",
            "cartes_bancaires" => "Cartes Bancaires",
            "diners" => "Diners Club",
            "discover" => "Discover",
            "eftpos_au" => "Eftpos",
            "jcb" => "JCB",
            "mastercard" => "Mastercard",
            "unionpay" => "UnionPay",
            "visa" => "Visa",
            other => other,
        };
        Self { brand: brand.to_owned(), last4: last4.to_owned(), expires }
    }
}

/// What is metered, used and allowed, in its own unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case", deny_unknown_fields)]
pub enum Metered {
    /// Bytes served to viewers.
    Bandwidth {
        /// Bytes used.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Bytes of recordings kept.
    Storage {
        /// Bytes used.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Milliseconds of peer time.
    Peer {
        /// Milliseconds used.
        used: u64,
        /// Milliseconds allowed.
        limit: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_called_as_its_owner_calls_it() {
        let month = Month::new(2026, 12).unwrap();
        assert_eq!(CardName::new("amex", "0005", month).brand, "American Express");
        assert_eq!(CardName::new("Otter Card", "0005", month).brand, "Otter Card");
    }
}
