//! Where a task makes its files, one attempt at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use contract::archival::ArchiveRecording as Payload;
use job::{Context, JobError};
use objects::{Location, ObjectError};
use tokio::fs;
use tokio::task::spawn_blocking;

use super::source::{broken, is_absent, remove};
use crate::archival::settings::Settings;

/// The folder in which a task works, locked against its other attempts on this machine.
#[derive(Debug)]
pub(super) struct Workplace {
    /// The recorded file, all links followed, or the one that its object is copied to.
    pub(super) file: PathBuf,
    folder: PathBuf,
    /// What the names of the files begin with that the task makes: no other task's do.
    prefix: String,
    lock: Lock,
}

impl Workplace {
    /// Enters the place where the task works; `None` if the file it names is not there.
    ///
    /// Another attempt may be at work when a lease was lost. It comes first, whoever has the lease:
    /// it is the one that has begun, and this one is tried again.
    pub(super) async fn enter(
        cx: &Context,
        settings: &Settings,
        payload: &Payload,
    ) -> Result<Option<Self>, JobError> {
        let prefix = format!(".main-worker-{}", cx.task_id());
        let file = match &payload.file {
            Some(file) => inside(settings, Path::new(file)).await?,
            None => Some(copied_to(settings, &prefix)?),
        };
        let Some(file) = file else { return Ok(None) };
        let beside = || file.parent().unwrap_or(&file).to_owned();
        let folder = settings.work_folder.clone().unwrap_or_else(beside);
        let lock = Lock::take(folder.join(format!("{prefix}.lock"))).await?;
        Ok(Some(Self { file, folder, prefix, lock }))
    }

    /// A file that the task makes; hidden, so that nobody takes it for a recording.
    pub(super) fn scratch(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.prefix))
    }

    /// A file for a program to write: a name of its own, because the program of an attempt whose
    /// process was killed may still be writing.
    pub(super) fn scratch_of_attempt(&self, ending: &str) -> PathBuf {
        let random = values::hex(&tasks::random_bytes::<8>());
        self.scratch(&format!("{random}.{ending}"))
    }

    /// Removes what the task made on the way; the lock goes with its value.
    pub(super) async fn tidy(&self) -> Result<(), JobError> {
        let Self { file, folder, prefix, lock } = self;
        let mut names = fs::read_dir(folder).await.map_err(|error| broken(folder, error))?;
        while let Some(entry) = names.next_entry().await.map_err(|error| broken(folder, error))? {
            let path = entry.path();
            let is_own = entry.file_name().to_string_lossy().starts_with(prefix.as_str());
            if is_own && path != *file && path != lock.path {
                remove(&path).await?;
            }
        }
        Ok(())
    }
}

/// A file that one attempt has locked. The kernel frees it when the process dies.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: nobody takes away the file of another.
        std::fs::remove_file(&self.path).ok();
    }
}

impl Lock {
    async fn take(path: PathBuf) -> Result<Self, JobError> {
        let shown = path.clone();
        let taken = spawn_blocking(|| Self::try_take(path)).await.map_err(io::Error::other);
        let taken = taken.flatten().map_err(|error| broken(&shown, error))?;
        taken.ok_or_else(|| JobError::retryable("another attempt is at work on this file"))
    }

    /// `None` if another attempt has it.
    fn try_take(path: PathBuf) -> io::Result<Option<Self>> {
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(cause)) => {
                let advice = "files cannot be locked here; name a `work_folder` on another disk";
                return Err(io::Error::new(cause.kind(), format!("{advice}: {cause}")));
            }
        }
        // Whoever had it may have removed this file since, and others have locked a new one.
        let (own, named) = (file.metadata()?, std::fs::metadata(&path));
        let is_own = named.is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino()));
        Ok(is_own.then(|| Self { path, _file: file }))
    }
}

/// Finds a file if it lies in one of the folders that files are taken from.
async fn inside(settings: &Settings, file: &Path) -> Result<Option<PathBuf>, JobError> {
    let path = match fs::canonicalize(file).await {
        Err(error) if is_absent(&error) => {
            let mut folders = settings.folders.iter();
            return match folders.find(|folder| file.starts_with(folder) && !folder.exists()) {
                // A disk that is not mounted is no file that is gone.
                Some(folder) => {
                    Err(ObjectError::NoPlace { place: folder.display().to_string() }.into())
                }
                None => Ok(None),
            };
        }
        path => path.map_err(|error| broken(file, error))?,
    };
    let store = settings.store.as_ref().and_then(Location::as_folder);
    if let Some(store) = store
        && fs::canonicalize(store).await.is_ok_and(|store| path.starts_with(store))
    {
        let shown = file.display();
        return Err(JobError::permanent(format!("{shown} is in the store of recordings itself")));
    }
    let mut unread = None;
    for folder in &settings.folders {
        match fs::canonicalize(folder).await {
            Ok(folder) if path.starts_with(&folder) => return Ok(Some(path)),
            Err(error) if !is_absent(&error) => unread = Some(broken(folder, error)),
            Ok(_) | Err(_) => {}
        }
    }
    Err(unread.unwrap_or_else(|| {
        JobError::permanent(format!(
            "{:?} is in none of the folders that recordings are taken from; add its folder in \
             worker.toml: [domains.archival] folders = [...]",
            file.display().to_string()
        ))
    }))
}

/// The file that an object is copied to.
fn copied_to(settings: &Settings, prefix: &str) -> Result<PathBuf, JobError> {
    let folder = settings.work_folder.as_ref().ok_or_else(|| {
        JobError::permanent(
            "files named by `object` need a folder to work in; name it in worker.toml: \
             [domains.archival] work_folder = \"...\"",
        )
    })?;
    Ok(folder.join(format!("{prefix}.source")))
}
