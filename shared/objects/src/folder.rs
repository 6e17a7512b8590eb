//! Objects as files below a folder.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use crate::reader::Body;
use crate::{ObjectError, ObjectInfo, ObjectReader, Page, Stored, key, walk};

const LEAVES: &str = "it leads out of the folder through a symbolic link";
const IN_THE_WAY: &str = "another object or a folder is in its way";
/// Leftovers of an earlier process with the same number may hold some names.
const PART_NAMES_TRIED: usize = 100;
/// Bytes of a file that are copied between two looks at whether to go on.
const COPIED_AT_ONCE: u64 = 64 * 1024 * 1024;

/// A folder, by its canonical path.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    place: String,
}

impl Folder {
    pub(crate) async fn open(path: &Path, place: String) -> Result<Self, ObjectError> {
        let path = path.to_owned();
        blocking(move || {
            let root = fs::canonicalize(path).and_then(|root| fs::read_dir(&root).map(|_| root));
            match root {
                Ok(root) => Ok(Self { root, place }),
                Err(error) => Err(place_error(place, error)),
            }
        })
        .await
    }

    pub(crate) async fn list_page(&self, after: &str) -> Result<Page, ObjectError> {
        let Self { root, place } = self.clone();
        let after = after.to_owned();
        blocking(move || walk::list_page(&root, &after).map_err(|error| place_error(place, error)))
            .await
    }

    pub(crate) async fn read(
        &self,
        key: &str,
        max_bytes: u64,
    ) -> Result<ObjectReader, ObjectError> {
        let (folder, key) = (self.clone(), key.to_owned());
        blocking(move || {
            // Asked before it is opened: opening a named pipe would wait for a writer.
            folder.info(&key)?;
            let file = folder.inside(&key).and_then(|path| {
                let file = File::open(path).map_err(|error| folder.error(&key, error))?;
                let metadata = file.metadata().map_err(|error| folder.error(&key, error))?;
                Ok((file, metadata))
            });
            let (file, metadata) = file?;
            let info = walk::info(key.clone(), &metadata).map_err(|e| folder.error(&key, e))?;
            let body = Body::File(tokio::fs::File::from_std(file));
            ObjectReader::new(folder.place, info, max_bytes, body)
        })
        .await
    }

    pub(crate) async fn head(&self, key: &str) -> Result<ObjectInfo, ObjectError> {
        let (folder, key) = (self.clone(), key.to_owned());
        blocking(move || folder.info(&key)).await
    }

    pub(crate) async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        let (folder, key) = (self.clone(), key.to_owned());
        blocking(move || {
            let (parent, name) = folder.make_parent(&key)?;
            replace_file(&parent, name, &body).map_err(|error| folder.error_of_put(&key, error))
        })
        .await
    }

    pub(crate) async fn put_file(
        &self,
        key: &str,
        file: &Path,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<Stored, ObjectError> {
        let (folder, key, file) = (self.clone(), key.to_owned(), file.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let _stop_when_dropped = Stop(Arc::clone(&stop));
        blocking(move || {
            let (parent, name) = folder.make_parent(&key)?;
            copy_new(&file, &parent, name, &stop, &sent)
                .map_err(|error| folder.error_of_put(&key, error))
        })
        .await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let (folder, key) = (self.clone(), key.to_owned());
        blocking(move || {
            let deleted = folder.inside(&key).and_then(|_| {
                // The name goes, not what a link stands for.
                let path = folder.root.join(&key);
                let parent = path.parent().unwrap_or(&folder.root).to_owned();
                let deleted = fs::remove_file(&path).and_then(|()| sync_folder(&parent));
                deleted.map_err(|error| folder.error(&key, error))
            });
            match deleted {
                Err(ObjectError::NotFound { .. }) => Ok(()),
                deleted => deleted,
            }
        })
        .await
    }

    fn info(&self, key: &str) -> Result<ObjectInfo, ObjectError> {
        let path = self.inside(key)?;
        let metadata = fs::metadata(path).map_err(|error| self.error(key, error))?;
        if !metadata.is_file() {
            return Err(self.not_found(key));
        }
        walk::info(key.to_owned(), &metadata).map_err(|error| self.error(key, error))
    }

    /// Finds the file a key stands for, all links followed, if it lies within the root.
    fn inside(&self, key: &str) -> Result<PathBuf, ObjectError> {
        match fs::canonicalize(self.root.join(key)) {
            Ok(path) if path.starts_with(&self.root) => Ok(path),
            Ok(_) => Err(key::bad(key, LEAVES)),
            Err(error) => Err(self.error(key, error)),
        }
    }

    /// Makes the folders above a key, one by one, so that none is made outside the root.
    fn make_parent<'a>(&self, key: &'a str) -> Result<(PathBuf, &'a str), ObjectError> {
        let Some((parents, name)) = key.rsplit_once('/') else {
            return Ok((self.root.clone(), key));
        };
        let mut folder = self.root.clone();
        for parent in parents.split('/') {
            let made = fs::create_dir(folder.join(parent)).and_then(|()| sync_folder(&folder));
            match made {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(self.error_of_put(key, error));
                }
                Ok(()) | Err(_) => (),
            }
            folder = fs::canonicalize(folder.join(parent))
                .map_err(|error| self.error_of_put(key, error))?;
            if !folder.starts_with(&self.root) {
                return Err(key::bad(key, LEAVES));
            }
        }
        Ok((folder, name))
    }

    fn error(&self, key: &str, error: io::Error) -> ObjectError {
        match error.kind() {
            // The whole folder may be gone: a missing mount must not read as a missing file.
            ErrorKind::NotFound if !self.root.is_dir() => place_error(self.place.clone(), error),
            // `a/b` where `a` is a file, or a folder's name: no object has this key.
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                self.not_found(key)
            }
            _ => place_error(self.place.clone(), error),
        }
    }

    fn error_of_put(&self, key: &str, error: io::Error) -> ObjectError {
        match error.kind() {
            ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty => {
                key::bad(key, IN_THE_WAY)
            }
            _ => place_error(self.place.clone(), error),
        }
    }

    fn not_found(&self, key: &str) -> ObjectError {
        ObjectError::NotFound { place: self.place.clone(), key: key.to_owned() }
    }
}

fn place_error(place: String, error: io::Error) -> ObjectError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => ObjectError::NoPlace { place },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            ObjectError::Denied { place, reason: error.to_string(), is_folder: true }
        }
        _ => ObjectError::Io { place, cause: error },
    }
}

/// Writes a file beside its place and moves it there, both durably.
fn replace_file(folder: &Path, name: &str, body: &[u8]) -> io::Result<()> {
    let (part, mut file) = create_part(folder)?;
    let written = file
        .write_all(body)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&part, folder.join(name)))
        .and_then(|()| sync_folder(folder));
    if written.is_err() {
        // Already moved or not removable: the first error is the one to tell.
        fs::remove_file(part).ok();
    }
    written
}

/// Tells the thread that copies to stop.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Copies a file into a folder under a name that nothing has yet; the name stays free until the
/// copy is on disk.
fn copy_new(
    file: &Path,
    folder: &Path,
    name: &str,
    stop: &AtomicBool,
    sent: &impl Fn(u64),
) -> io::Result<Stored> {
    let place = folder.join(name);
    if place.try_exists()? {
        return Ok(Stored::Exists);
    }
    let (part, copy) = create_part(folder)?;
    let copied = copy_all(&File::open(file)?, &copy, stop, sent)
        .and_then(|()| copy.sync_all())
        // A link, unlike a move, never takes the place of another file.
        .and_then(|()| match fs::hard_link(&part, &place) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Stored::Exists),
            linked => linked.and_then(|()| sync_folder(folder)).map(|()| Stored::New),
        });
    // What cannot be removed is left out of listings; the result is the one to tell.
    fs::remove_file(part).ok();
    copied
}

fn copy_all(from: &File, mut to: &File, stop: &AtomicBool, sent: &impl Fn(u64)) -> io::Result<()> {
    let mut done = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::new(ErrorKind::Interrupted, "the upload was given up"));
        }
        let copied = io::copy(&mut from.take(COPIED_AT_ONCE), &mut to)?;
        if copied == 0 {
            return Ok(());
        }
        done += copied;
        sent(done);
    }
}

fn create_part(folder: &Path) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut tried = 1;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let part = folder.join(key::part_name(std::process::id(), number));
        match File::create_new(&part) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && tried < PART_NAMES_TRIED => {
                tried += 1;
            }
            created => return created.map(|file| (part, file)),
        }
    }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
