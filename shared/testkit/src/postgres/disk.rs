//! Where data lie: in memory, or on a disk that fills up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rustix::fs::statvfs;

use super::cluster::run;
use crate::account::Account;

/// Containers are often given 64 MiB, which is soon full.
const MEMORY_BYTES_MIN: u64 = 2 << 30;

/// The folder of files in memory, if there is one with plenty of room.
///
/// Making a database is making 300 files: some 15 ms there, and up to 300 ms on a busy disk.
pub(super) fn memory() -> Option<PathBuf> {
    let folder = PathBuf::from("/dev/shm");
    let room = statvfs(&folder).ok()?;
    (room.f_bavail * room.f_frsize >= MEMORY_BYTES_MIN).then_some(folder)
}

/// A file system in memory with a limit; unmounted when dropped.
#[derive(Debug)]
pub(super) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one at `path`, which is made, and gives it to `account`.
    pub(super) fn mount(path: &Path, mib: u32, account: Account) -> Result<Self> {
        fs::create_dir(path)?;
        let options = format!("size={mib}m,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "testkit"]).arg(path);
        run(mount, "only root can mount a small disk: run this test as root")?;
        let disk = Self { path: path.to_owned() };
        account.own(path)?;
        Ok(disk)
    }

    pub(super) fn resize(&self, mib: u32) -> Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={mib}m")]).arg(&self.path);
        run(mount, "is more than that in use?")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, as a process that was just killed may not have closed its files yet.
        Command::new("umount").arg("--lazy").arg(&self.path).status().ok();
    }
}
