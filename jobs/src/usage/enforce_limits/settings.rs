//! `settings` of `usage/enforce_limits`.

use std::collections::BTreeMap;

use billing::Catalogue;
use mail::Marketplace;
use serde::Deserialize;

use crate::catalogue::catalogue;

/// What worker.toml says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// A file with the plans that are sold, the same as the billing jobs'; those shipped when absent.
    #[serde(default = "Catalogue::built_in", deserialize_with = "catalogue")]
    pub(super) catalogue: Catalogue,
    /// Where the customers of a marketplace change their plan, by the provider's name.
    #[serde(default)]
    pub(super) marketplaces: BTreeMap<String, Marketplace>,
}
