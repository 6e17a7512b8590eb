//! A folder that ends with the measurement.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A temporary folder, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a folder inside `parent`, or where temporary files belong.
    pub fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let unique = u64::from_be_bytes(tasks::random_bytes());
        let path = parent.join(format!("main-worker-bench-{unique:016x}"));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| {
            format!("cannot make {}; name another folder with --folder", path.display())
        })?;
        Ok(Self { path })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The home inside.
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever clears temporary files.
        std::fs::remove_dir_all(&self.path).ok();
    }
}
