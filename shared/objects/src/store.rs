//! The store: one face for a folder and for S3.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use values::{Secret, Timestamp};

use crate::folder::Folder;
use crate::key;
use crate::location::Place;
#[cfg(feature = "s3")]
use crate::s3::S3;
use crate::{Location, ObjectError, ObjectReader};

/// The most objects in one page of a listing.
pub const PAGE: usize = 1000;

/// The most names of [`Page::skipped_names`].
pub const SKIPPED_NAMES_MAX: usize = 10;

/// The length of a part of an upload to S3; larger only for files of more than 10,000 such parts.
pub const PART_BYTES: u64 = 16 * 1024 * 1024;

/// How many parts of one file are on their way to S3 at a time.
pub const PARTS_AT_ONCE: usize = 4;

/// What became of a file that was to be a new object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The object is there, made from this file.
    New,
    /// An object had the key before, and stayed as it was.
    Exists,
}

/// An open location whose objects can be listed, read, written and deleted.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    place: String,
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    Folder(Folder),
    #[cfg(feature = "s3")]
    S3(Box<S3>),
}

/// Keys for S3.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Secret<String>,
    /// What temporary credentials carry besides.
    pub session_token: Option<Secret<String>>,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The name, relative to the location, with `/` between its parts.
    pub key: String,
    /// The length in bytes.
    pub size_bytes: u64,
    /// When it was last written, by the file system's or the server's clock.
    pub modified_at: Timestamp,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// At most [`PAGE`] objects, ascending by the bytes of their keys.
    pub objects: Vec<ObjectInfo>,
    /// What to ask for next; `None` when there is no more.
    pub next: Option<String>,
    /// How many things in this part of the listing cannot be objects: names that are not UTF-8
    /// or contain control characters, symbolic links to folders or out of the location, devices.
    pub skipped: usize,
    /// The names of the first of them, at most [`SKIPPED_NAMES_MAX`], escaped and cut so that each
    /// can be shown on a line.
    pub skipped_names: Vec<String>,
}

impl Page {
    /// Counts a thing that cannot be an object.
    pub(crate) fn skip(&mut self, name: &[u8]) {
        self.skipped += 1;
        if self.skipped_names.len() < SKIPPED_NAMES_MAX {
            self.skipped_names.push(key::shown(name));
        }
    }
}

/// How long S3 may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To take a connection.
    pub connect: Duration,
    /// To begin an answer, and between two pieces of a body.
    pub read: Duration,
    /// How often a request is tried in all; between tries it waits up to a second or two.
    pub attempts: u32,
}

impl Timeouts {
    /// 5 s to connect, 30 s without a byte, three tries.
    pub const DEFAULT: Self =
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(30), attempts: 3 };
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl ObjectStore {
    /// Opens a location.
    ///
    /// Without `credentials` S3 takes them from where the AWS SDK looks: environment, profile,
    /// container or machine role. With them it looks nowhere else. Opening sends no request, so
    /// a wrong bucket or key shows at the first use.
    ///
    /// # Errors
    /// `NoPlace`, `Denied` or `Io` for a folder that cannot be used, `FeatureMissing`.
    pub async fn open(
        location: &Location,
        credentials: Option<&Credentials>,
    ) -> Result<Self, ObjectError> {
        Self::open_with(location, credentials, Timeouts::DEFAULT).await
    }

    /// Opens a location as [`ObjectStore::open`] does, with other timeouts for S3.
    pub async fn open_with(
        location: &Location,
        credentials: Option<&Credentials>,
        timeouts: Timeouts,
    ) -> Result<Self, ObjectError> {
        let place = location.place();
        let backend = match &location.0 {
            Place::Folder(path) => Backend::Folder(Folder::open(path, place.clone()).await?),
            #[cfg(feature = "s3")]
            Place::Bucket(bucket) => {
                Backend::S3(Box::new(S3::open(bucket, place.clone(), credentials, timeouts).await))
            }
            #[cfg(not(feature = "s3"))]
            Place::Bucket(_) => {
                let (_, _) = (credentials, timeouts);
                return Err(ObjectError::FeatureMissing { place });
            }
        };
        Ok(Self { place, backend })
    }

    /// The folder's path or `s3://bucket/prefix`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Lists the objects whose keys come after `after`, at most [`PAGE`] of them.
    ///
    /// Any text will do for `after`; it need not be the key of an object. What is written while
    /// pages are read may or may not be in later ones. In a folder each page reads the names of
    /// the directories it touches again, so keep directories below some 100,000 files.
    ///
    /// Going from `next` to `next` gives every object once. S3 itself and folders give them in
    /// the order of their bytes throughout; a server that lists folder by folder (SeaweedFS) has
    /// all of `a/` before `a-b`, and then a page's objects are in order but not the pages.
    pub async fn list_page(&self, after: Option<&str>) -> Result<Page, ObjectError> {
        let after = after.unwrap_or_default();
        match &self.backend {
            Backend::Folder(folder) => folder.list_page(after).await,
            #[cfg(feature = "s3")]
            Backend::S3(bucket) => bucket.list_page(after).await,
        }
    }

    /// Opens an object for reading in pieces, in order.
    ///
    /// # Errors
    /// `TooLarge` at once when the object's announced length is beyond `max_bytes`.
    pub async fn read(&self, key: &str, max_bytes: u64) -> Result<ObjectReader, ObjectError> {
        key::check(key)?;
        match &self.backend {
            Backend::Folder(folder) => folder.read(key, max_bytes).await,
            #[cfg(feature = "s3")]
            Backend::S3(bucket) => bucket.read(key, max_bytes).await,
        }
    }

    /// Asks for an object's length and time without reading it.
    pub async fn head(&self, key: &str) -> Result<ObjectInfo, ObjectError> {
        key::check(key)?;
        match &self.backend {
            Backend::Folder(folder) => folder.head(key).await,
            #[cfg(feature = "s3")]
            Backend::S3(bucket) => bucket.head(key).await,
        }
    }

    /// Writes an object, replacing one of the same key. Readers see the old or the new body,
    /// never a part; when this returns the new one is on disk. S3 takes it in one request, which
    /// has to be through within [`Timeouts::read`].
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        key::check(key)?;
        match &self.backend {
            Backend::Folder(folder) => folder.put(key, body).await,
            #[cfg(feature = "s3")]
            Backend::S3(bucket) => bucket.put(key, body).await,
        }
    }

    /// Stores a file as a new object; an object that has the key already is left as it is.
    ///
    /// A folder gets a copy under a temporary name, which takes the key once it is on disk. S3 gets
    /// files above [`PART_BYTES`] in parts, [`PARTS_AT_ONCE`] at a time, each with a checksum that
    /// the server compares; what an earlier attempt left of the same key is dropped first. Memory
    /// does not grow with the file. `sent` is told how many bytes are through, in no even steps.
    /// Dropped before its end, it leaves no object.
    ///
    /// # Errors
    /// `Truncated` when the stored object has another length than the file.
    pub async fn put_file(
        &self,
        key: &str,
        file: &Path,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Stored, ObjectError> {
        key::check(key)?;
        match &self.backend {
            Backend::Folder(folder) => folder.put_file(key, file, sent).await,
            #[cfg(feature = "s3")]
            Backend::S3(bucket) => bucket.put_file(key, file, sent).await,
        }
    }

    /// Compares an object with a file, byte by byte.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub async fn is_same_as_file(&self, key: &str, file: &Path) -> Result<bool, ObjectError> {
        let broken = |cause| ObjectError::Io { place: file.display().to_string(), cause };
        let mut reader = self.read(key, u64::MAX).await?;
        let mut file = tokio::fs::File::open(file).await.map_err(broken)?;
        if reader.info().size_bytes != file.metadata().await.map_err(broken)?.len() {
            return Ok(false);
        }
        let mut expected = Vec::new();
        while let Some(chunk) = reader.next_chunk().await? {
            expected.resize(chunk.len(), 0);
            file.read_exact(&mut expected).await.map_err(broken)?;
            if chunk != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes an object; deleting one that is not there is no error.
    pub async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        key::check(key)?;
        match &self.backend {
            Backend::Folder(folder) => folder.delete(key).await,
            #[cfg(feature = "s3")]
            Backend::S3(bucket) => bucket.delete(key).await,
        }
    }
}
