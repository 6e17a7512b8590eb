//! Where an export goes: a file that is replaced as a whole, or something that takes bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A file being written.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
    /// As it was named.
    shown: String,
    replaced: Option<Replaced>,
}

/// A regular file that appears, or is replaced, once all of it is written.
#[derive(Debug)]
struct Replaced {
    path: PathBuf,
    /// The content until then, beside it.
    draft: PathBuf,
}

impl Target {
    /// Opens a file that is written as a draft first; a device or a pipe is written as it is.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let about = match fs::metadata(path) {
            Ok(about) => Some(about),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot write {shown}")),
        };
        if about.as_ref().is_some_and(fs::Metadata::is_dir) {
            bail!("{shown} is a folder; name a file");
        }
        if about.as_ref().is_some_and(|about| !about.is_file()) {
            let file = OpenOptions::new().write(true).open(path);
            let file = file.with_context(|| format!("cannot write {shown}"))?;
            return Ok(Self { file, shown, replaced: None });
        }
        // A link goes on pointing at the file.
        let path = if about.is_some() { fs::canonicalize(path)? } else { path.to_owned() };
        let Some(name) = path.file_name() else { bail!("{shown} names no file") };
        let random = u64::from_be_bytes(tasks::random_bytes());
        let mut draft = name.to_owned();
        draft.push(format!(".{}-{random:016x}.part", std::process::id()));
        let draft = path.with_file_name(draft);
        let file = OpenOptions::new().write(true).create_new(true).open(&draft);
        let file = file.with_context(|| format!("cannot write {}", draft.display()))?;
        let target = Self { file, shown, replaced: Some(Replaced { path, draft }) };
        if let Some(about) = about {
            let kept = target.file.set_permissions(about.permissions());
            kept.with_context(|| format!("cannot write {}", target.shown))?;
        }
        Ok(target)
    }

    /// Puts the draft in the place of the file.
    pub(super) fn finish(mut self) -> Result<()> {
        let shown = format!("cannot write {}", self.shown);
        self.file.flush().with_context(|| shown.clone())?;
        let Some(Replaced { path, draft }) = &self.replaced else { return Ok(()) };
        self.file.sync_all().with_context(|| shown.clone())?;
        fs::rename(draft, path).with_context(|| shown.clone())?;
        self.replaced = None;
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(replaced) = &self.replaced {
            // What was not finished is of no use to anyone.
            fs::remove_file(&replaced.draft).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn replaces_a_file_as_a_whole_and_touches_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("out"), folder.path().join("out.part"));
        fs::write(&beside, "mine").unwrap();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut cut = Target::open(&link).unwrap();
        cut.write_all(b"half").unwrap();
        drop(cut);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut whole = Target::open(&link).unwrap();
        whole.write_all(b"new").unwrap();
        whole.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&beside).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        let error = Target::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
    }
}
