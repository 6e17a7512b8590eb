//! Why a database cannot be opened: often its folder cannot be written.

use std::io;
use std::path::Path;

/// Says so instead, if the folder cannot be written; the database's own message does not tell.
pub(crate) fn explain(folder: &Path, error: anyhow::Error) -> anyhow::Error {
    check(folder).err().unwrap_or(error)
}

/// Sees whether the folder can be written: a database in it can be read for a while even if not.
pub(crate) fn check(folder: &Path) -> anyhow::Result<()> {
    probe(folder).map_err(|cause| {
        anyhow::anyhow!(
            "the folder {} cannot be written ({cause}); make it writable, or set MAIN_WORKER_HOME to one that is",
            folder.display()
        )
    })
}

/// Makes a file in the folder and removes it again.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".probe.{}", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_that_a_folder_cannot_be_written_and_leaves_other_errors_alone() {
        let folder = tempfile::tempdir().unwrap();
        let code = || anyhow::anyhow!("code 14");
        assert_eq!(explain(folder.path(), code()).to_string(), "code 14");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // Nobody can make a file there, not even root.
        let told = explain(Path::new("/proc/self"), code()).to_string();
        assert!(told.starts_with("the folder /proc/self cannot be written ("), "{told}");
        assert!(!told.contains("code 14"), "{told}");
    }
}
