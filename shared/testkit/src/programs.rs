//! Where the servers' programs are.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

/// Finds `name` in the folder that `ci/services PEER` fills, or else on `PATH`.
pub(crate) fn find(peer: &str, name: &str) -> Result<PathBuf> {
    let installed = peers_dir().map(|peers| peers.join(peer).join("bin").join(name));
    let path = variable("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join(name));
    match installed.into_iter().chain(on_path).find(|program| program.is_file()) {
        Some(program) => Ok(program),
        None => bail!("`{name}` is not installed: run ci/services {peer}"),
    }
}

/// Finds what `ci/services PEER` prepared beside the programs.
pub(crate) fn prepared(peer: &str, name: &str) -> Result<PathBuf> {
    match peers_dir().map(|peers| peers.join(peer).join(name)) {
        Some(found) if found.exists() => Ok(found),
        _ => bail!("{peer}'s `{name}` is not prepared: run ci/services {peer}"),
    }
}

/// Where tests keep what is costly to make, beside the programs; `None` for a user without a home.
pub(crate) fn kept(name: &str) -> Option<PathBuf> {
    Some(peers_dir()?.join("kept").join(name))
}

/// The folder that `ci/services` fills: the same three rules as in that script.
fn peers_dir() -> Option<PathBuf> {
    if let Some(peers) = variable("PEERS_DIR") {
        return Some(peers.into());
    }
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(cache.join("main-worker-peers"))
}

/// Reads a variable of the environment; an empty one counts as absent.
#[expect(clippy::disallowed_methods, reason = "tests have no settings file")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_command_that_installs_a_missing_program() {
        let error = find("s3", "no-such-program").unwrap_err().to_string();
        assert_eq!(error, "`no-such-program` is not installed: run ci/services s3");
        let error = prepared("sentry", "no-such-file").unwrap_err().to_string();
        assert!(error.ends_with("run ci/services sentry"), "{error}");
    }
}
