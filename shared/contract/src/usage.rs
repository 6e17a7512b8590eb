//! Usage of accounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::Month;

use crate::{NoConfiguration, Payload};

/// Asks for month-to-date usage per account to be brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollUpUsage {
    /// The only month to look at; every month with changed rows when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

impl Payload for RollUpUsage {
    const JOB: &'static str = "usage/roll_up_usage";
    const DESCRIPTION: &'static str =
        "Sums usage rows that changed into month-to-date usage per account";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { month: Month::new(2026, 10) }
    }
}
