//! Checks a catalogue as a whole.

use std::collections::BTreeSet;

use super::{Catalogue, Plan, Provider};

/// Most rows of plans.
const MAX_ROWS: usize = 1_000;
/// Longest name or title, in characters.
const MAX_NAME: usize = 64;

/// Adds every problem of the catalogue, one sentence each, saying what to change.
pub(super) fn check(catalogue: &Catalogue, problems: &mut Vec<String>) {
    let rows = catalogue.plans.len();
    if rows > MAX_ROWS {
        problems.push(format!("{rows} rows of plans; write at most {MAX_ROWS}"));
    }
    let mut names = BTreeSet::new();
    for Provider { name, billed_by: _ } in &catalogue.providers {
        check_name("provider", name, problems);
        if !names.insert(name.as_str()) {
            problems.push(format!("provider `{name}` is there twice; keep one"));
        }
    }
    let mut seen = BTreeSet::new();
    for plan in &catalogue.plans {
        let Plan { provider, product, name, title, from, prices_minor, .. } = plan;
        check_name("plan", name, problems);
        check_name("title", title, problems);
        let known = names.contains(provider.as_str());
        if !known {
            problems.push(format!(
                "plan `{name}`: provider `{provider}` is not known; add it under [[providers]]"
            ));
        }
        if known && !seen.insert((provider, product, name, from)) {
            let since = from.map_or(String::new(), |from| format!(" from {from}"));
            problems.push(format!(
                "{product} plan `{name}`{since} of `{provider}` is there twice; keep one"
            ));
        }
        for currency in prices_minor.keys() {
            if !catalogue.minimum_charge_minor.contains_key(currency) {
                problems.push(format!(
                    "plan `{name}` is sold in {currency}; add {currency} to minimum_charge_minor"
                ));
            }
        }
    }
}

fn check_name(what: &str, name: &str, problems: &mut Vec<String>) {
    let length = name.chars().count();
    if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
        let excerpt: String = name.chars().take(20).collect();
        problems.push(format!("{what} {excerpt:?}; write 1 to {MAX_NAME} printable characters"));
    }
}
