//! The acceptance cases and the laws of this crate, through its public API.

#[cfg(test)]
mod bills;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod storage;

use billing::{AccountPlans, Usage};
use serde::Deserialize;

/// Reads a file of cases.
fn cases<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    #[derive(Deserialize)]
    struct File<T> {
        cases: Vec<T>,
    }
    let File { cases } = serde_json::from_str(text).expect("a file of this crate");
    assert!(!cases.is_empty());
    cases
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UsageRow {
    bandwidth: Option<i64>,
    storage: Option<i64>,
    peer_milliseconds: Option<i64>,
}

impl UsageRow {
    fn usage(&self) -> Usage {
        Usage::from_figures(self.bandwidth, self.storage, self.peer_milliseconds)
            .expect("cases hold no absurd usage")
    }
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Plans {
    broadcast: Vec<String>,
    peer: Vec<String>,
}

impl Plans {
    fn held(&self) -> AccountPlans {
        AccountPlans { broadcast: self.broadcast.clone(), peer: self.peer.clone() }
    }
}
