//! An object's body, piece by piece.

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::{ObjectError, ObjectInfo};

/// The largest piece that a file is read in.
const FILE_CHUNK_BYTES: usize = 256 * 1024;

/// An object that is being read.
#[derive(Debug)]
pub struct ObjectReader {
    place: String,
    info: ObjectInfo,
    max_bytes: u64,
    received_bytes: u64,
    body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    File(File),
    #[cfg(feature = "s3")]
    Stream(Box<crate::s3::BodyStream>),
}

/// A piece of a body, or why there is none.
pub(crate) enum Broken {
    /// The connection or its peer ended the body.
    #[cfg(feature = "s3")]
    Off(String),
    /// Nothing came for too long.
    #[cfg(feature = "s3")]
    Silent(String),
    Disk(std::io::Error),
}

impl ObjectReader {
    pub(crate) fn new(
        place: String,
        info: ObjectInfo,
        max_bytes: u64,
        body: Body,
    ) -> Result<Self, ObjectError> {
        let reader = Self { place, info, max_bytes, received_bytes: 0, body };
        if reader.info.size_bytes > max_bytes { Err(reader.too_large()) } else { Ok(reader) }
    }

    /// The object's key, announced length and time.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Waits for the next piece (never empty); `None` at the announced end.
    ///
    /// # Errors
    /// `Truncated` when the body ends early, `TooLarge` when it does not end where announced and
    /// goes on beyond the maximum, `Unreachable` when nothing comes for too long, `Io`.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, ObjectError> {
        let missing = self.info.size_bytes.saturating_sub(self.received_bytes);
        let chunk = match &mut self.body {
            Body::File(file) => next_of_file(file, missing).await,
            #[cfg(feature = "s3")]
            Body::Stream(stream) => stream.next().await,
        };
        match chunk.map_err(|broken| self.error(broken))? {
            Some(chunk) => {
                self.received_bytes += chunk.len() as u64;
                if self.received_bytes > self.max_bytes {
                    return Err(self.too_large());
                }
                Ok(Some(chunk))
            }
            None if missing > 0 => {
                Err(self.truncated(format!("{} were announced", self.info.size_bytes)))
            }
            None => Ok(None),
        }
    }

    /// Reads the whole rest; at most the maximum that the reader was opened with.
    pub async fn read_to_end(mut self) -> Result<Bytes, ObjectError> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.next_chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    fn error(&self, broken: Broken) -> ObjectError {
        match broken {
            #[cfg(feature = "s3")]
            Broken::Off(reason) => self.truncated(reason),
            #[cfg(feature = "s3")]
            Broken::Silent(reason) => {
                ObjectError::Unreachable { place: self.place.clone(), reason }
            }
            Broken::Disk(cause) => ObjectError::Io { place: self.place.clone(), cause },
        }
    }

    fn truncated(&self, reason: String) -> ObjectError {
        ObjectError::Truncated {
            place: self.place.clone(),
            key: self.info.key.clone(),
            received_bytes: self.received_bytes,
            reason,
        }
    }

    fn too_large(&self) -> ObjectError {
        ObjectError::TooLarge {
            place: self.place.clone(),
            key: self.info.key.clone(),
            max_bytes: self.max_bytes,
        }
    }
}

/// Reads no further than the length the file had when it was opened: what is appended meanwhile
/// belongs to a later reading.
async fn next_of_file(file: &mut File, missing: u64) -> Result<Option<Bytes>, Broken> {
    let wanted = usize::try_from(missing).unwrap_or(usize::MAX).min(FILE_CHUNK_BYTES);
    let mut chunk = BytesMut::with_capacity(wanted);
    if wanted > 0 {
        (&mut *file).take(missing).read_buf(&mut chunk).await.map_err(Broken::Disk)?;
    }
    Ok(if chunk.is_empty() { None } else { Some(chunk.freeze()) })
}
