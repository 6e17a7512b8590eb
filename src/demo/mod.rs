//! Invented companies in a folder of their own: a day of logs, or a whole month.

mod company;
mod folder;
mod logs;
pub mod month;
mod watch;

pub use company::Company;
pub use folder::{DemoFolder, FolderError};
pub use logs::{Expected, WrittenLogs, write_logs};
pub use watch::Watch;

use crate::app::BUILT_IN_MANIFEST;

/// The manifest of a demonstration: the built-in one, and where its logs are.
pub fn manifest() -> String {
    format!(
        "# Made by `main-worker demo`; go on from here as you like.\n#\n{BUILT_IN_MANIFEST}\n\
         # The logs of this demonstration. Paths are relative to the folder the worker starts in.\n\
         [domains.logs.log_sources.{cloudfront}]\nformat = \"cloudfront\"\nlocation = \"logs/{cloudfront}\"\n\n\
         [domains.logs.log_sources.{edgecast}]\nformat = \"edgecast\"\nlocation = \"logs/{edgecast}\"\n",
        cloudfront = logs::CLOUDFRONT,
        edgecast = logs::EDGECAST,
    )
}

/// Writes bytes as people read them: `999 B`, `1.23 GB`, in powers of a thousand.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut thousandths = u128::from(bytes);
    while thousandths >= 1_000_000 && unit + 1 < UNITS.len() {
        thousandths /= 1_000;
        unit += 1;
    }
    format!("{}.{:02} {}", thousandths / 1_000, thousandths % 1_000 / 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use manifest::Manifest;

    use super::*;

    #[test]
    fn the_manifest_is_right() {
        let names = contract::contract().names();
        let manifest = Manifest::parse(&super::manifest(), &names).unwrap();
        let job: values::JobName = "logs/discover_logs".parse().unwrap();
        let settings = &manifest.jobs[&job].settings;
        assert_eq!(settings["log_sources"]["edgecast"]["location"], "logs/edgecast");
    }

    #[test]
    fn writes_bytes_for_people() {
        let check = |bytes: u64, expected: &str| assert_eq!(human_bytes(bytes), expected);
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1.00 kB");
        check(1_239_999, "1.23 MB");
        check(45_000_000_000, "45.00 GB");
        check(u64::MAX, "18.44 EB");
    }
}
