//! The server's files: made once, copied for each server, set aside and put back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::account::Account;
use crate::programs;

/// Raise it when a new cluster is made differently, so that kept ones are not used any more.
const RECIPE: u32 = 1;
const INITDB: [&str; 6] = [
    "--auth=trust",
    "--username=postgres",
    "--locale=C",
    "--encoding=UTF8",
    "--no-sync",
    "--no-instructions",
];

/// Finds a program of the server.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    // The server runs under an account that may not enter the folder of links.
    Ok(fs::canonicalize(programs::find("postgres", name)?)?)
}

/// Puts the files of a new server at `data`.
///
/// They are made once for each version and account and kept with the installed programs: a copy
/// takes a tenth of the time.
pub(super) fn create(data: &Path, account: Account) -> Result<()> {
    let initdb = program("initdb")?;
    let Some(kept) = programs::kept(&format!("postgres-{}-{account}-{RECIPE}", version(&initdb)?))
    else {
        return make(&initdb, data, account);
    };
    if !kept.is_dir() {
        let fresh = TempDir::with_prefix("testkit-cluster-")?;
        account.own(fresh.path())?;
        let made = fresh.path().join("data");
        make(&initdb, &made, account)?;
        keep(&made, &kept)?;
    }
    copy(&kept, data)
}

fn make(initdb: &Path, data: &Path, account: Account) -> Result<()> {
    let mut command = Command::new("setpriv");
    command.args(account.setpriv_arguments()).arg("--").arg(initdb).args(INITDB).arg(data);
    command.current_dir(data.parent().context("data lie in a folder")?);
    run(command, "PostgreSQL cannot make a cluster")
}

/// Copies a cluster to where the next one looks for it; the first of several wins.
fn keep(made: &Path, kept: &Path) -> Result<()> {
    let parent = kept.parent().context("what is kept lies in a folder")?;
    fs::create_dir_all(parent)?;
    let copied = TempDir::with_prefix_in(".cluster-", parent)?;
    let whole = copied.path().join("data");
    copy(made, &whole)?;
    match fs::rename(&whole, kept) {
        Err(_) if kept.is_dir() => Ok(()),
        renamed => Ok(renamed?),
    }
}

fn version(initdb: &Path) -> Result<String> {
    let output = Command::new(initdb).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
    let version = text.split_whitespace().nth(2).context("initdb does not tell its version")?;
    Ok(version.to_owned())
}

/// The data of a server at one moment; deleted when dropped.
#[derive(Debug)]
pub struct Snapshot {
    folder: TempDir,
}

impl Snapshot {
    pub(super) fn take(data: &Path, folder: TempDir) -> Result<Self> {
        copy(data, &folder.path().join("data"))?;
        // It names a process that does not run on these files.
        fs::remove_file(folder.path().join("data/postmaster.pid")).ok();
        Ok(Self { folder })
    }

    pub(super) fn put_back(&self, data: &Path) -> Result<()> {
        // The folder itself stays: it may be a disk of its own.
        for entry in fs::read_dir(data)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        copy(&self.folder.path().join("data"), data)
    }
}

/// Copies a folder's content with its owner and rights to a folder that is made if missing.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["--archive", "--sparse=always", "--no-target-directory"]).arg(from).arg(to);
    run(command, "cannot copy the data of PostgreSQL")
}

/// Runs a command to its end; an error holds what it printed and `advice`.
pub(super) fn run(mut command: Command, advice: &str) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{advice} ({command:?}: {})", said.trim());
    }
    Ok(())
}
