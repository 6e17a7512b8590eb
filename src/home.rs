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
    ///
    /// # Errors
    /// The folder cannot be made or written, or its database is there without the keys: new ones
    /// would turn every waiting task away.
    pub fn open(folder: &Path, database: &Path, now: Timestamp) -> Result<Self> {
        let home = Self::make(folder)?;
        // The first start makes keys before the database, so a database found here has, or had,
        // its keys, even if another process is at its first start right now.
        let has_database = database.exists();
        if !home.keys_path().exists() {
            if has_database {
                bail!(
                    "{} is missing beside the database {}; restore it from a backup, or, if it is lost, run: main-worker keys init --force",
                    home.keys_path().display(),
                    database.display()
                );
            }
            home.make_keys(now)?;
        }
        Ok(home)
    }

    /// Opens a folder whose keys must have been made before, as for a database of several hosts.
    ///
    /// # Errors
    /// There are none; the message names the commands that make them.
    pub fn given(folder: &Path) -> Result<Self> {
        let home = Self::at(folder);
        if !home.keys_path().exists() {
            let shown = home.keys_path();
            bail!(
                "{} is missing, and for a database that several hosts may use keys are never made by themselves; \
                 on the first host run: main-worker keys init\n\
                 then give every other host the same file (mode 0600), in a folder that MAIN_WORKER_HOME names",
                shown.display()
            );
        }
        Ok(home)
    }

    /// Makes the first keys; with `lost`, also beside a database file whose keys are gone for good.
    ///
    /// # Errors
    /// There is a key file, or there is a database and `lost` is not set; nothing is replaced.
    pub fn init_keys(
        folder: &Path,
        database: Option<&Path>,
        lost: bool,
        now: Timestamp,
    ) -> Result<Self> {
        let home = Self::make(folder)?;
        let shown = home.keys_path();
        let shown = shown.display();
        if home.keys_path().exists() {
            bail!(
                "{shown} exists; `main-worker keys rotate` replaces single keys; to give all of them up, move the file away first"
            );
        }
        if let Some(database) = database.filter(|database| database.exists() && !lost) {
            bail!(
                "{shown} is missing beside the database {}; restore it from a backup, or add --force to make new keys, under which no task that waits now can be proven",
                database.display()
            );
        }
        home.make_keys(now)?;
        Ok(home)
    }

    /// Makes the folder if it is missing.
    fn make(folder: &Path) -> Result<Self> {
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
        Ok(Self { folder: folder.to_owned() })
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
            keys.add_proof_key(&source, Algorithm::Mac, &key_id(name, 1), now)?;
        }
        keys.rotate_sealing(&key_id("sealing", 1), now)?;
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

/// The id of a key made here: `NAME-NUMBER-` and four random characters, as in `api-1-k7f3`.
///
/// The random part keeps two homes from using one id for different keys: a task proven with a
/// foreign key is then known to be that, instead of looking altered.
pub(crate) fn key_id(name: &str, number: u32) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let random = tasks::random_bytes::<4>();
    let tail = random.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    format!("{name}-{number}-{}", tail.iter().collect::<String>())
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
        let home = Home::open(&path, &path.join("main.db"), now).unwrap();
        let first = fs::read_to_string(home.keys_path()).unwrap();
        Home::open(&path, &path.join("main.db"), now).unwrap();
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

    #[test]
    fn makes_no_new_keys_beside_a_database_unless_told() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_seconds(1_790_000_000);
        let home = Home::open(folder.path(), &folder.path().join("main.db"), now).unwrap();
        let database = home.database_path();
        let init = |lost| Home::init_keys(folder.path(), Some(&database), lost, now);
        let refused = |lost| init(lost).unwrap_err().to_string();
        assert!(refused(true).contains("keys rotate"));
        fs::write(home.database_path(), b"").unwrap();
        Home::open(folder.path(), &folder.path().join("main.db"), now).unwrap();
        fs::remove_file(home.keys_path()).unwrap();
        let error =
            Home::open(folder.path(), &folder.path().join("main.db"), now).unwrap_err().to_string();
        assert!(
            error.contains("keys.json is missing") && error.contains("init --force"),
            "{error}"
        );
        assert!(refused(false).contains("--force"));
        assert!(!home.keys_path().exists());
        init(true).unwrap();
        Home::open(folder.path(), &folder.path().join("main.db"), now).unwrap();
    }

    #[test]
    fn two_homes_share_no_key_id() {
        let ids: std::collections::BTreeSet<_> = (0..8).map(|_| key_id("api", 1)).collect();
        assert!(ids.len() > 1, "{ids:?}");
        assert!(ids.iter().all(|id| id.starts_with("api-1-") && id.len() == 10), "{ids:?}");
    }
}
