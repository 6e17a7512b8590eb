//! The plans that are sold, as settings name them.

use std::path::PathBuf;

use billing::Catalogue;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Reads the catalogue in the file that a setting names.
pub(crate) fn catalogue<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Catalogue, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    let text = std::fs::read_to_string(&path).map_err(|error| {
        D::Error::custom(format!("cannot read the catalogue {}: {error}", path.display()))
    })?;
    text.parse().map_err(D::Error::custom)
}
