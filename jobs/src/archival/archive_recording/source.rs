//! The recorded file: where it is, that it is the same one all along, and its end.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use contract::archival::{ArchivalConfiguration, ArchiveRecording as Payload};
use job::{Context, JobError};
use objects::ObjectError;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use values::Timestamp;

use super::media::fraction;
use crate::archival::names;
use crate::archival::settings::Settings;

/// A recorded file on this machine.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is, all links followed.
    pub(super) path: PathBuf,
    /// Its name, as it was given.
    pub(super) name: String,
    pub(super) size_bytes: u64,
    /// When it was last written.
    pub(super) written_at: Timestamp,
    /// The object it was copied from, if it was.
    object: Option<String>,
    /// Where broken files are put.
    quarantine: PathBuf,
    /// Where files are made of it.
    work_folder: PathBuf,
    /// What those files' names begin with: no other task's do.
    prefix: String,
}

/// What a file is called in the records of its task.
pub(super) fn name_of(payload: &Payload) -> String {
    let Payload { file, host, object, stream_name: _ } = payload;
    match (file, object) {
        (Some(file), _) => format!("{}:{file}", host.as_deref().unwrap_or_default()),
        (None, object) => format!("object:{}", object.as_deref().unwrap_or_default()),
    }
}

/// The name of a file without its folders.
pub(super) fn file_name(payload: &Payload) -> &str {
    let path = payload.file.as_deref().or(payload.object.as_deref()).unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

impl Source {
    /// Finds the file, or fetches the object; `None` when there is no such thing.
    pub(super) async fn find(
        cx: &Context,
        settings: &Settings,
        config: &ArchivalConfiguration,
        payload: &Payload,
    ) -> Result<Option<Self>, JobError> {
        let prefix = format!(".main-worker-{}", cx.task_id());
        let name = file_name(payload).to_owned();
        let (path, folder) = match (&payload.file, &payload.object) {
            (Some(file), _) => {
                let Some(path) = inside(settings, Path::new(file)).await? else { return Ok(None) };
                let folder = path.parent().unwrap_or(&path).to_owned();
                (path, folder)
            }
            (None, object) => {
                let missing = "files named by `object` need a folder to work in; name it in \
                               worker.toml: [domains.archival] work_folder = \"...\"";
                let folder = settings.work_folder.clone();
                let folder = folder.ok_or_else(|| JobError::permanent(missing))?;
                let path = folder.join(format!("{prefix}.source"));
                let key = object.as_deref().unwrap_or_default();
                if !fetch(cx, settings, config, key, &path).await? {
                    return Ok(None);
                }
                (path, folder)
            }
        };
        let metadata = fs::metadata(&path).await.map_err(|error| broken(&path, error))?;
        if !metadata.is_file() {
            let shown = path.display();
            return Err(JobError::permanent(format!("{shown} is not a file")));
        }
        Ok(Some(Self {
            name,
            size_bytes: metadata.len(),
            written_at: written_at(&metadata).map_err(|error| broken(&path, error))?,
            path,
            object: payload.object.clone(),
            quarantine: settings
                .quarantine_folder
                .clone()
                .unwrap_or_else(|| folder.join("quarantine")),
            work_folder: settings.work_folder.clone().unwrap_or(folder),
            prefix,
        }))
    }

    /// A file beside this one that its task makes; hidden, so that nobody takes it for a recording.
    pub(super) fn scratch(&self, ending: &str) -> PathBuf {
        self.work_folder.join(format!("{}.{ending}", self.prefix))
    }

    /// A file like [`Source::scratch`] that no other attempt has.
    pub(super) fn scratch_of_attempt(&self, ending: &str) -> PathBuf {
        let random = values::hex(&tasks::random_bytes::<8>());
        self.work_folder.join(format!("{}.{random}.{ending}", self.prefix))
    }

    /// Whether the file is still what it was when it was found.
    pub(super) async fn is_unchanged(&self) -> bool {
        let metadata = fs::metadata(&self.path).await;
        metadata.is_ok_and(|metadata| {
            metadata.len() == self.size_bytes
                && written_at(&metadata).is_ok_and(|at| at == self.written_at)
        })
    }

    /// Removes the file, and the object it was copied from.
    pub(super) async fn remove(
        &self,
        settings: &Settings,
        config: &ArchivalConfiguration,
    ) -> Result<(), JobError> {
        if let Some(key) = &self.object {
            settings.open_incoming(config).await?.delete(key).await?;
        }
        remove(&self.path).await
    }

    /// Removes what its task made on the way.
    pub(super) async fn tidy(&self) -> Result<(), JobError> {
        let folder = &self.work_folder;
        let mut names = fs::read_dir(folder).await.map_err(|error| broken(folder, error))?;
        while let Some(entry) = names.next_entry().await.map_err(|error| broken(folder, error))? {
            let path = entry.path();
            let is_own = entry.file_name().to_string_lossy().starts_with(&self.prefix);
            if is_own && path != self.path {
                remove(&path).await?;
            }
        }
        Ok(())
    }

    /// Puts the file where a person looks at it, with the reason beside it.
    pub(super) async fn quarantine(
        &self,
        cx: &Context,
        settings: &Settings,
        config: &ArchivalConfiguration,
        reason: &str,
    ) -> Result<(), JobError> {
        let folder = &self.quarantine;
        self.tidy().await?;
        fs::create_dir_all(folder).await.map_err(|error| broken(folder, error))?;
        let ending = Path::new(&self.name).extension().and_then(|text| text.to_str());
        let ending = ending.filter(|text| text.len() <= 8).unwrap_or("bin");
        let place = folder.join(format!("{}-{}.{ending}", names::stem(&self.name), cx.task_id()));
        let note = place.with_added_extension("reason.txt");
        let text = format!("{reason}\n");
        fs::write(&note, text).await.map_err(|error| broken(&note, error))?;
        match fs::rename(&self.path, &place).await {
            // The folder is on another disk.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                fs::copy(&self.path, &place).await.map_err(|error| broken(&place, error))?;
            }
            moved => moved.map_err(|error| broken(&place, error))?,
        }
        self.remove(settings, config).await
    }
}

/// Finds a file if it lies in one of the folders that files are taken from.
async fn inside(settings: &Settings, file: &Path) -> Result<Option<PathBuf>, JobError> {
    let path = match fs::canonicalize(file).await {
        Err(error) if is_absent(&error) => return Ok(None),
        path => path.map_err(|error| broken(file, error))?,
    };
    for folder in &settings.folders {
        if fs::canonicalize(folder).await.is_ok_and(|folder| path.starts_with(folder)) {
            return Ok(Some(path));
        }
    }
    Err(JobError::permanent(format!(
        "{:?} is in none of the folders that recordings are taken from; add its folder in \
         worker.toml: [domains.archival] folders = [...]",
        file.display().to_string()
    )))
}

/// Copies an object to a file, unless an earlier attempt did; `false` when there is no object.
async fn fetch(
    cx: &Context,
    settings: &Settings,
    config: &ArchivalConfiguration,
    key: &str,
    path: &Path,
) -> Result<bool, JobError> {
    let store = settings.open_incoming(config).await?;
    let mut reader = match store.read(key, settings.max_source_bytes).await {
        Err(ObjectError::NotFound { .. }) => {
            return fs::try_exists(path).await.map_err(|error| broken(path, error));
        }
        reader => reader?,
    };
    let size = reader.info().size_bytes;
    if fs::metadata(path).await.is_ok_and(|metadata| metadata.len() == size) {
        return Ok(true);
    }
    let part = path.with_added_extension("part");
    let mut file = fs::File::create(&part).await.map_err(|error| broken(&part, error))?;
    let mut copied = 0;
    while let Some(chunk) = reader.next_chunk().await? {
        file.write_all(&chunk).await.map_err(|error| broken(&part, error))?;
        copied += chunk.len() as u64;
        cx.progress(fraction(copied, size), format!("fetched {copied} of {size} bytes"));
    }
    file.flush().await.map_err(|error| broken(&part, error))?;
    fs::rename(&part, path).await.map_err(|error| broken(path, error))?;
    Ok(true)
}

/// Removes a file that may be gone already.
pub(super) async fn remove(path: &Path) -> Result<(), JobError> {
    match fs::remove_file(path).await {
        Err(error) if !is_absent(&error) => Err(broken(path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    // A name that is too long for a folder is no file's.
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

fn written_at(metadata: &std::fs::Metadata) -> io::Result<Timestamp> {
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

/// What the file system refuses may go well later: a disk gets room, a mount comes back.
pub(super) fn broken(path: &Path, cause: io::Error) -> JobError {
    let place = path.display().to_string();
    JobError::from(ObjectError::Io { place, cause })
}
