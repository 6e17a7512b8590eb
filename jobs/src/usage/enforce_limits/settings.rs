//! `settings` of `usage/enforce_limits`.

use std::collections::BTreeMap;

use billing::Catalogue;
use serde::Deserialize;

use crate::catalogue::catalogue;

/// What worker.toml says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// A file with the plans that are sold, the same as the billing jobs'; those shipped when absent.
    #[serde(default = "Catalogue::built_in", deserialize_with = "catalogue")]
    pub(super) catalogue: Catalogue,
    /// Where customers change plan or card.
    #[serde(default = "account_url")]
    pub(super) account_url: String,
    /// Where the customers of a marketplace do so, by the provider's name.
    #[serde(default)]
    pub(super) marketplaces: BTreeMap<String, Marketplace>,
}

/// A marketplace as its customers know it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marketplace {
    /// Its name.
    pub(super) name: String,
    /// Its page where plans are changed.
    pub(super) url: String,
}

fn account_url() -> String {
    "https://example.com/account".to_owned()
}
