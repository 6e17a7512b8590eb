//! The embedded default: one folder with the database and the keys, made at the first start.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use envelope::{Algorithm, KeyFile};
use values::{Source, Timestamp};

/// The folder's name when nothing else is set.
pub const DEFAULT_FOLDER: &str = ".main-worker";
/// Sources that speak from this machine, whose keys are made at the first start.
const LOCAL_SOURCES: [&str; 3] = ["operator", "scheduler", "main_worker"];

/// The folder of the embedded database and the keys.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// Opens the folder and makes it, with new keys, if it is missing.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self> {
        let shown = folder.display();
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot make the folder {shown}; set MAIN_WORKER_HOME to one that can be written")
                });
            }
        }
        let home = Self { folder: folder.to_owned() };
        if !home.keys_path().exists() {
            home.make_keys(now)?;
        }
        Ok(home)
    }

    /// Names the folder without opening or making it.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database's file.
    pub fn database_path(&self) -> PathBuf {
        self.folder.join("main.db")
    }

    /// The key file.
    pub fn keys_path(&self) -> PathBuf {
        self.folder.join("keys.json")
    }

    /// Reads the key file.
    pub fn read_keys(&self) -> Result<KeyFile> {
        let path = self.keys_path();
        let shown = path.display();
        let mode = fs::metadata(&path).with_context(|| format!("cannot read {shown}"))?;
        if mode.permissions().mode() & 0o077 != 0 {
            bail!("{shown} can be read by others on this machine; run: chmod 600 {shown}");
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
        KeyFile::parse(&text).with_context(|| format!("{shown} is not a usable key file"))
    }

    /// Replaces the key file as a whole.
    pub fn write_keys(&self, keys: &KeyFile) -> Result<()> {
        let path = self.keys_path();
        let draft = self.draft(keys)?;
        fs::rename(&draft, &path).with_context(|| format!("cannot replace {}", path.display()))?;
        sync_folder(&self.folder)
    }

    /// Makes the first keys; whoever comes second takes those of the first.
    fn make_keys(&self, now: Timestamp) -> Result<()> {
        let mut keys = KeyFile::default();
        for name in LOCAL_SOURCES {
            let source: Source = name.parse().expect("a source of this program");
            keys.add_proof_key(&source, Algorithm::Mac, &format!("{name}-1"), now)?;
        }
        keys.rotate_sealing("sealing-1", now)?;
        let draft = self.draft(&keys)?;
        // A hard link appears with its whole content, and fails if another process was first.
        let linked = fs::hard_link(&draft, self.keys_path());
        fs::remove_file(&draft).ok();
        match linked {
            Ok(()) => sync_folder(&self.folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("cannot make {}", self.keys_path().display()))
            }
        }
    }

    fn draft(&self, keys: &KeyFile) -> Result<PathBuf> {
        let name = format!("keys.json.{}.draft", std::process::id());
        let path = self.folder.join(name);
        fs::remove_file(&path).ok();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write in {}", self.folder.display()))?;
        file.write_all(keys.to_json().expose().as_bytes())?;
        file.sync_all()?;
        Ok(path)
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    fs::File::open(folder)?.sync_all().with_context(|| format!("cannot sync {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_private_keys_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home");
        let now = Timestamp::from_seconds(1_790_000_000);
        let home = Home::open(&path, now).unwrap();
        let first = fs::read_to_string(home.keys_path()).unwrap();
        Home::open(&path, now).unwrap();
        assert_eq!(fs::read_to_string(home.keys_path()).unwrap(), first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&home.keys_path()), 0o600);
        let keys = home.read_keys().unwrap();
        for source in LOCAL_SOURCES {
            assert!(keys.signing_key(&source.parse().unwrap(), now).is_some(), "{source}");
        }
        fs::set_permissions(home.keys_path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(home.read_keys().unwrap_err().to_string().contains("chmod 600"));
    }
}
