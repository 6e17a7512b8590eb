//! The bad day for real: what servers, networks, disks, clocks and processes do to workers.
//!
//! Every scenario is one function that asserts what is promised. `cargo nextest run` runs each in a
//! short form; `ci/soak` in full, and shows what each one found in a table.

mod clocks;
mod connections;
mod cut_off;
mod disk;
mod failover;
mod ground;
mod kills;
mod load;
mod outages;
mod pauses;
mod schedules;
mod snapshots;

use std::fs::File;
use std::io::Write;

/// Where `ci/soak` wants its table; scenarios run in full if it is set.
const TABLE: &str = "SOAK_TABLE";

/// Chooses between the size of the short and that of the full form.
fn size<T>(short: T, full: T) -> T {
    if table().is_some() { full } else { short }
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings file")]
fn table() -> Option<std::ffi::OsString> {
    std::env::var_os(TABLE)
}

/// Adds a row to the table of the full form.
fn tell(scenario: &str, found: &str) {
    let Some(path) = table() else { return };
    let mut table = File::options().append(true).create(true).open(path).unwrap();
    table.write_all(format!("| {scenario} | {found} |\n").as_bytes()).unwrap();
}
