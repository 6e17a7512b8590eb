//! A file becomes a new object: in one request, or in parts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::config;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::upload_part::UploadPartOutput;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use tokio::task::JoinSet;

use super::S3;
use super::answer::{Asked, chain};
use crate::{ObjectError, PART_BYTES, PARTS_AT_ONCE, Stored};

/// S3's limit.
const PARTS_MAX: u64 = 10_000;
/// Pieces that a file is read in.
const BUFFER_BYTES: usize = 128 * 1024;
/// Unfinished uploads of one key that are dropped at the most.
const ABORTED_MAX: i32 = 100;
/// Only where nothing has the key.
const NOTHING: &str = "*";
/// How long the server may take for one part, or to join them: 140 KB/s are enough for each part.
const PART_LIMIT: Duration = Duration::from_mins(2);

/// A part of a file on its way: its number from 1, where it begins and how long it is.
#[derive(Clone, Copy)]
struct Part {
    number: i32,
    offset: u64,
    len: u64,
}

impl S3 {
    pub(crate) async fn put_file(
        &self,
        key: &str,
        file: &Path,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Stored, ObjectError> {
        let metadata = tokio::fs::metadata(file).await;
        let size = metadata.map_err(|cause| self.unreadable(file, cause))?.len();
        // Not every server knows the condition; this way those see an object of before, too.
        match self.head(key).await {
            Ok(_) => return Ok(Stored::Exists),
            Err(ObjectError::NotFound { .. }) => (),
            Err(error) => return Err(error),
        }
        let stored = if size <= PART_BYTES {
            self.put_whole(key, file, size).await?
        } else {
            self.put_parts(key, file, size, Arc::new(sent)).await?
        };
        if stored == Stored::New {
            let found = self.head(key).await?.size_bytes;
            if found != size {
                return Err(ObjectError::Truncated {
                    place: self.place.clone(),
                    key: key.to_owned(),
                    received_bytes: found,
                    reason: format!("{size} bytes were sent"),
                });
            }
        }
        Ok(stored)
    }

    async fn put_whole(&self, key: &str, file: &Path, len: u64) -> Result<Stored, ObjectError> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .if_none_match(NOTHING)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(self.body(file, Part { number: 1, offset: 0, len }).await?)
            .customize()
            .config_override(patient())
            .send()
            .await
            .map_err(|error| self.upload_error(&error));
        new_unless_taken(put.map(|_| ()))
    }

    async fn put_parts(
        &self,
        key: &str,
        file: &Path,
        size: u64,
        sent: Arc<impl Fn(u64) + Send + Sync + 'static>,
    ) -> Result<Stored, ObjectError> {
        self.abort_earlier(key).await?;
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(self.full(key))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send()
            .await
            .map_err(|error| self.error(Asked::Place, &error))?;
        let upload = begun.upload_id.unwrap_or_default();
        let ended = match self.send_parts(key, &upload, file, size, sent).await {
            Ok(parts) => self.complete(key, &upload, parts).await,
            Err(error) => Err(error),
        };
        if !matches!(ended, Ok(Stored::New)) {
            // The first error is the one to tell; the next attempt drops what stays.
            self.abort(&self.full(key), &upload).await.ok();
        }
        ended
    }

    /// Sends all parts, some at a time; dropped or failed, it takes those on their way back.
    async fn send_parts(
        &self,
        key: &str,
        upload: &str,
        file: &Path,
        size: u64,
        sent: Arc<impl Fn(u64) + Send + Sync + 'static>,
    ) -> Result<Vec<CompletedPart>, ObjectError> {
        let (mut waiting, through) = (parts(size), Arc::new(AtomicU64::new(0)));
        let (mut running, mut done) = (JoinSet::new(), Vec::new());
        loop {
            while running.len() < PARTS_AT_ONCE
                && let Some(part) = waiting.next()
            {
                let (s3, key, upload) = (self.clone(), key.to_owned(), upload.to_owned());
                let (file, sent, through) =
                    (file.to_owned(), Arc::clone(&sent), Arc::clone(&through));
                running.spawn(async move {
                    let answer = s3.send_part(&key, &upload, &file, part).await?;
                    sent(through.fetch_add(part.len, Ordering::Relaxed) + part.len);
                    Ok::<_, ObjectError>(completed(part, answer))
                });
            }
            match running.join_next().await {
                None => break,
                Some(Ok(part)) => done.push(part?),
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        done.sort_unstable_by_key(CompletedPart::part_number);
        Ok(done)
    }

    async fn send_part(
        &self,
        key: &str,
        upload: &str,
        file: &Path,
        part: Part,
    ) -> Result<UploadPartOutput, ObjectError> {
        let sent = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(self.full(key))
            .upload_id(upload)
            .part_number(part.number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(self.body(file, part).await?)
            .customize()
            .config_override(patient())
            .send()
            .await;
        sent.map_err(|error| self.upload_error(&error))
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<Stored, ObjectError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.full(key))
            .upload_id(upload)
            .if_none_match(NOTHING)
            .multipart_upload(parts)
            .customize()
            .config_override(patient())
            .send()
            .await
            .map_err(|error| self.upload_error(&error));
        new_unless_taken(completed.map(|_| ()))
    }

    /// Drops what earlier attempts left of this key: parts that nobody would ever pay for.
    async fn abort_earlier(&self, key: &str) -> Result<(), ObjectError> {
        let full = self.full(key);
        let listed = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(&full)
            .max_uploads(ABORTED_MAX)
            .send()
            .await
            .map_err(|error| self.error(Asked::Place, &error))?;
        for upload in listed.uploads().iter().filter(|upload| upload.key() == Some(&full)) {
            self.abort(&full, upload.upload_id().unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn abort(&self, full: &str, upload: &str) -> Result<(), ObjectError> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(full);
        let aborted = request.upload_id(upload).send().await;
        match aborted.map_err(|error| self.error(Asked::Object(full), &error)) {
            Ok(_) | Err(ObjectError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn body(&self, file: &Path, part: Part) -> Result<ByteStream, ObjectError> {
        ByteStream::read_from()
            .path(file)
            .offset(part.offset)
            .length(Length::Exact(part.len))
            .buffer_size(BUFFER_BYTES)
            .build()
            .await
            .map_err(|error| self.unreadable(file, std::io::Error::other(chain(&error))))
    }

    fn unreadable(&self, file: &Path, cause: std::io::Error) -> ObjectError {
        let place = format!("{} (on its way to {})", file.display(), self.place);
        ObjectError::Io { place, cause }
    }
}

/// Waits longer for the answer to a request that carries a file.
fn patient() -> config::Builder {
    config::Builder::new().timeout_config(TimeoutConfig::builder().read_timeout(PART_LIMIT).build())
}

/// Cuts a file into parts: of [`PART_BYTES`], unless that made too many.
fn parts(size: u64) -> impl Iterator<Item = Part> + Send {
    let each = PART_BYTES.max(size.div_ceil(PARTS_MAX));
    (0..size.div_ceil(each)).map(move |index| {
        let offset = index * each;
        let number = i32::try_from(index + 1).expect("there are at most 10,000 parts");
        Part { number, offset, len: each.min(size - offset) }
    })
}

fn completed(part: Part, answer: UploadPartOutput) -> CompletedPart {
    CompletedPart::builder()
        .part_number(part.number)
        .set_e_tag(answer.e_tag)
        .set_checksum_crc32(answer.checksum_crc32)
        .build()
}

/// Tells a key that was taken meanwhile from a failure.
fn new_unless_taken(put: Result<(), ObjectError>) -> Result<Stored, ObjectError> {
    match put {
        Ok(()) => Ok(Stored::New),
        Err(ObjectError::Refused { place: _, reason }) if reason == "PreconditionFailed" => {
            Ok(Stored::Exists)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file_once() {
        for size in [PART_BYTES + 1, 3 * PART_BYTES, 1 << 30, 5 << 40] {
            let parts: Vec<Part> = parts(size).collect();
            assert!(parts.len() as u64 <= PARTS_MAX);
            let mut end = 0;
            for (index, part) in parts.iter().enumerate() {
                assert_eq!((part.number, part.offset), (i32::try_from(index).unwrap() + 1, end));
                end += part.len;
            }
            assert_eq!(end, size);
        }
    }
}
