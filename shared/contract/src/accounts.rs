//! Customers' accounts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::{AccountId, Secret};

use crate::{Configuration, NoConfiguration, Origin, Payload, Section, SectionCheck};

/// What asking a marketplace needs beyond worker.toml.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketplaceConfiguration {
    /// Who signs in, by marketplace.
    #[serde(default)]
    pub marketplaces: BTreeMap<String, MarketplaceLogin>,
}

/// Who signs in to a marketplace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketplaceLogin {
    /// The user.
    pub user: String,
    /// The user's password.
    #[schemars(with = "String")]
    pub password: Secret<String>,
}

impl Configuration for MarketplaceConfiguration {
    const SECTIONS: &'static [Section] = &[Section {
        name: "marketplaces",
        origin: Origin::Worker,
        required: false,
        description: "user and password per marketplace, such as {heroku: {user, password}}",
        check: SectionCheck::of::<BTreeMap<String, MarketplaceLogin>>(),
    }];
}

/// Asks for what a marketplace knows of an account that it bills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncMarketplaceDetails {
    /// The account.
    pub account_id: AccountId,
}

impl Payload for SyncMarketplaceDetails {
    const JOB: &'static str = "accounts/sync_marketplace_details";
    const DESCRIPTION: &'static str =
        "Fetches an account's name and address from its marketplace; the customer's own stay";
    type Config = MarketplaceConfiguration;

    fn example() -> Self {
        Self { account_id: "acct_01jd0c4x5ve4zrh1k5yq4q8g7m".parse().expect("an id") }
    }
}

/// Asks for every throttle of an account to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiftThrottle {
    /// The account.
    pub account_id: AccountId,
    /// Why, in a word that admins read: letters, digits, `_`, `-`, `.`, `:` and `/`.
    pub reason: String,
}

impl Payload for LiftThrottle {
    const JOB: &'static str = "accounts/lift_throttle";
    const DESCRIPTION: &'static str = "Ends an account's throttles and tells the customer";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {
            account_id: "acct_01jd0c4x5ve4zrh1k5yq4q8g7m".parse().expect("an id"),
            reason: "card_added".to_owned(),
        }
    }
}
