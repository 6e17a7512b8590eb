//! The recorded file: where it is, that it is the same one all along, and its end.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use contract::archival::{ArchivalConfiguration, ArchiveRecording as Payload};
use job::{Context, JobError};
use objects::{ObjectError, ObjectInfo};
use tokio::fs;
use tokio::io::AsyncWriteExt;
use values::Timestamp;

use super::media::fraction;
use super::workplace::Workplace;
use crate::archival::names;
use crate::archival::settings::Settings;

/// A recorded file on this machine.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is, and where files are made of it.
    pub(super) place: Workplace,
    /// Its name, as it was given.
    pub(super) name: String,
    pub(super) size_bytes: u64,
    /// When it was last written.
    pub(super) written_at: Timestamp,
    /// The object it was copied from, as it was then.
    object: Option<ObjectInfo>,
    /// Where broken files are put.
    quarantine: PathBuf,
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
    /// Looks at the file, or fetches the object; `None` when there is no such thing.
    pub(super) async fn find(
        cx: &Context,
        settings: &Settings,
        config: &ArchivalConfiguration,
        payload: &Payload,
        place: Workplace,
    ) -> Result<Option<Self>, JobError> {
        let path = &place.file;
        let object = match &payload.object {
            Some(key) => fetch(cx, settings, config, key, path).await?,
            None => None,
        };
        let metadata = match fs::metadata(path).await {
            // Another attempt was just through with it.
            Err(error) if is_absent(&error) => return Ok(None),
            metadata => metadata.map_err(|error| broken(path, error))?,
        };
        if !metadata.is_file() {
            let shown = path.display();
            return Err(JobError::permanent(format!("{shown} is not a file")));
        }
        let beside = || path.with_file_name("quarantine");
        Ok(Some(Self {
            name: file_name(payload).to_owned(),
            size_bytes: metadata.len(),
            written_at: written_at(&metadata).map_err(|error| broken(path, error))?,
            object,
            quarantine: settings.quarantine_folder.clone().unwrap_or_else(beside),
            place,
        }))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.place.file
    }

    /// Whether the file is still what it was when it was found.
    pub(super) async fn is_unchanged(&self) -> bool {
        let metadata = fs::metadata(self.path()).await;
        metadata.is_ok_and(|metadata| {
            metadata.len() == self.size_bytes
                && written_at(&metadata).is_ok_and(|at| at == self.written_at)
        })
    }

    /// Removes the file, and the object it was copied from; what somebody wrote to since stays.
    pub(super) async fn remove(
        &self,
        settings: &Settings,
        config: &ArchivalConfiguration,
    ) -> Result<(), JobError> {
        if !self.is_unchanged().await {
            tracing::info!(file = ?self.name, "written to since it was taken; it stays");
            return Ok(());
        }
        self.remove_object(settings, config).await?;
        free(self.path()).await
    }

    /// Removes the object that the file was copied from, unless it is another by now.
    async fn remove_object(
        &self,
        settings: &Settings,
        config: &ArchivalConfiguration,
    ) -> Result<(), JobError> {
        let Some(taken) = &self.object else { return Ok(()) };
        let store = settings.open_incoming(config).await?;
        match store.head(&taken.key).await {
            Ok(now) if now == *taken => Ok(store.delete(&taken.key).await?),
            Ok(_) => {
                tracing::info!(key = taken.key, "another object has its place by now; it stays");
                Ok(())
            }
            Err(ObjectError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
        self.place.tidy().await?;
        if !self.is_unchanged().await {
            return Err(written_meanwhile());
        }
        fs::create_dir_all(folder).await.map_err(|error| broken(folder, error))?;
        let ending = Path::new(&self.name).extension().and_then(|text| text.to_str());
        let ending = ending.filter(|text| text.len() <= 8).unwrap_or("bin");
        let place = folder.join(format!("{}-{}.{ending}", names::stem(&self.name), cx.task_id()));
        let note = place.with_added_extension("reason.txt");
        let text = format!("{reason}\n");
        fs::write(&note, text).await.map_err(|error| broken(&note, error))?;
        match fs::rename(self.path(), &place).await {
            // The folder is on another disk.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                fs::copy(self.path(), &place).await.map_err(|error| broken(&place, error))?;
                sync(&place).await?;
                remove(self.path()).await?;
            }
            moved => moved.map_err(|error| broken(&place, error))?,
        }
        if self.object.is_some() {
            sync(&place).await?;
        }
        self.remove_object(settings, config).await
    }
}

/// Has a file and its name on disk before what it was copied from is removed.
async fn sync(path: &Path) -> Result<(), JobError> {
    for path in [Some(path), path.parent()].into_iter().flatten() {
        let file = fs::File::open(path).await.map_err(|error| broken(path, error))?;
        file.sync_all().await.map_err(|error| broken(path, error))?;
    }
    Ok(())
}

/// Has a store that refuses access asked again: keys that have ended are renewed, and a recording
/// should not need a person for that.
pub(super) fn or_later(error: JobError) -> JobError {
    match error {
        JobError::Permanent(cause)
            if matches!(cause.downcast_ref(), Some(ObjectError::Denied { .. })) =>
        {
            JobError::Retryable { after: None, cause }
        }
        error => error,
    }
}

/// What is done with a file that is not what it was when the attempt began.
pub(super) fn written_meanwhile() -> JobError {
    JobError::retryable("the file was written to meanwhile; it is archived once it is complete")
}

/// Copies an object to a file, unless an earlier attempt did; `None` when there is no object.
///
/// The copy gets the object's time: another object of the same key is noticed by it.
async fn fetch(
    cx: &Context,
    settings: &Settings,
    config: &ArchivalConfiguration,
    key: &str,
    path: &Path,
) -> Result<Option<ObjectInfo>, JobError> {
    let store = settings.open_incoming(config).await?;
    let mut reader = match store.read(key, settings.max_source_bytes).await {
        Err(ObjectError::NotFound { .. }) => return Ok(None),
        reader => reader?,
    };
    let info = reader.info().clone();
    let is_copy = |metadata: std::fs::Metadata| {
        metadata.len() == info.size_bytes
            && written_at(&metadata).is_ok_and(|at| at == info.modified_at)
    };
    if fs::metadata(path).await.is_ok_and(is_copy) {
        return Ok(Some(info));
    }
    let part = path.with_added_extension("part");
    let mut file = fs::File::create(&part).await.map_err(|error| broken(&part, error))?;
    let (mut copied, size) = (0, info.size_bytes);
    while let Some(chunk) = reader.next_chunk().await? {
        file.write_all(&chunk).await.map_err(|error| broken(&part, error))?;
        copied += chunk.len() as u64;
        cx.progress(fraction(copied, size), format!("fetched {copied} of {size} bytes"));
    }
    file.flush().await.map_err(|error| broken(&part, error))?;
    let micros = u64::try_from(info.modified_at.as_micros()).unwrap_or(0);
    let modified = UNIX_EPOCH + Duration::from_micros(micros);
    let file = file.into_std().await;
    file.set_modified(modified).map_err(|error| broken(&part, error))?;
    fs::rename(&part, path).await.map_err(|error| broken(path, error))?;
    Ok(Some(info))
}

/// Removes a file that may be gone already.
pub(super) async fn remove(path: &Path) -> Result<(), JobError> {
    match fs::remove_file(path).await {
        Err(error) if !is_absent(&error) => Err(broken(path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a large file like [`remove`], and waits for its name only: a disk takes long to free what
/// a file held, and begins when it is closed.
pub(super) async fn free(path: &Path) -> Result<(), JobError> {
    let open = fs::File::open(path).await;
    remove(path).await?;
    if let Ok(file) = open {
        let file = file.into_std().await;
        tokio::task::spawn_blocking(move || drop(file));
    }
    Ok(())
}

pub(super) fn is_absent(error: &io::Error) -> bool {
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
