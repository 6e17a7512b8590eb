//! Objects in an S3 bucket, or on anything that speaks the same protocol.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{self, BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::EncodingType;
use bytes::Bytes;
use values::{MICROS_PER_SECOND, Timestamp};

use crate::location::BucketPlace;
use crate::reader::{Body, Broken};
use crate::{
    Credentials, ObjectError, ObjectInfo, ObjectReader, PAGE, Page, Timeouts, key, percent,
};

mod answer;
mod upload;

use answer::{Asked, chain};

/// What S3 itself takes for a region that is not given; other servers take any.
const DEFAULT_REGION: &str = "us-east-1";

/// A part of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    client: Client,
    bucket: String,
    /// Empty, or ends with a slash.
    prefix: String,
    place: String,
    silence: Duration,
}

impl S3 {
    pub(crate) async fn open(
        location: &BucketPlace,
        place: String,
        credentials: Option<&Credentials>,
        timeouts: Timeouts,
    ) -> Self {
        let BucketPlace { bucket, prefix, endpoint, region, path_style } = location;
        let mut config = match credentials {
            Some(credentials) => given(credentials),
            None => looked_up(region.is_none() && endpoint.is_none()).await,
        };
        if let Some(region) = region {
            config = config.region(Region::new(region.clone()));
        } else if credentials.is_some() || endpoint.is_some() {
            config = config.region(Region::from_static(DEFAULT_REGION));
        }
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint.clone());
        }
        let config = config
            .force_path_style(path_style.unwrap_or(endpoint.is_some()))
            .retry_config(RetryConfig::standard().with_max_attempts(timeouts.attempts))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(timeouts.connect)
                    .read_timeout(timeouts.read)
                    .build(),
            )
            // Bodies that come are timed here, piece by piece; bodies that go are timed by the SDK.
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .download_enabled(false)
                    .upload_enabled(true)
                    .grace_period(timeouts.read)
                    .build(),
            )
            .build();
        Self {
            client: Client::from_conf(config),
            bucket: bucket.clone(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            place,
            silence: timeouts.read,
        }
    }

    pub(crate) async fn list_page(&self, after: &str) -> Result<Page, ObjectError> {
        let start_after = format!("{}{after}", self.prefix);
        let listed = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&self.prefix)
            .set_start_after(Some(start_after).filter(|_| !after.is_empty()))
            .max_keys(i32::try_from(PAGE).expect("a page is small"))
            // Otherwise a key with a control character breaks the whole answer.
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| self.error(Asked::Place, &error))?;
        self.page(&listed, after)
    }

    pub(crate) async fn read(
        &self,
        key: &str,
        max_bytes: u64,
    ) -> Result<ObjectReader, ObjectError> {
        let object = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .send()
            .await
            .map_err(|error| self.error(Asked::Object(key), &error))?;
        let info = self.info(key, object.content_length, object.last_modified)?;
        let stream = BodyStream { stream: object.body, silence: self.silence };
        ObjectReader::new(self.place.clone(), info, max_bytes, Body::Stream(Box::new(stream)))
    }

    pub(crate) async fn head(&self, key: &str) -> Result<ObjectInfo, ObjectError> {
        let object = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .send()
            .await
            .map_err(|error| self.error(Asked::Object(key), &error))?;
        self.info(key, object.content_length, object.last_modified)
    }

    pub(crate) async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| self.error(Asked::Place, &error))?;
        Ok(())
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let deleted = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .send()
            .await
            .map_err(|error| self.error(Asked::Object(key), &error));
        match deleted {
            Ok(_) | Err(ObjectError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn page(&self, listed: &ListObjectsV2Output, after: &str) -> Result<Page, ObjectError> {
        let is_encoded = listed.encoding_type() == Some(&EncodingType::Url);
        let mut page = Page::default();
        let mut last = None;
        for object in listed.contents() {
            let key = object.key().unwrap_or_default();
            let decoded = is_encoded.then(|| percent::decode(&key.replace('+', " ")));
            let full = decoded.unwrap_or_else(|| Some(key.to_owned()));
            let Some(relative) = full.as_deref().and_then(|full| full.strip_prefix(&self.prefix))
            else {
                page.skip(full.as_deref().unwrap_or(key).as_bytes());
                continue;
            };
            last = Some(relative.to_owned());
            if key::problem(relative).is_some() {
                // `logs/` is how S3 browsers show an empty folder: not an object.
                if !relative.is_empty() && !relative.ends_with('/') {
                    page.skip(relative.as_bytes());
                }
                continue;
            }
            page.objects.push(self.info(
                relative,
                object.size(),
                object.last_modified().copied(),
            )?);
        }
        page.objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        if listed.is_truncated() == Some(true) {
            // The last as the server orders them: some go folder by folder, not byte by byte. A
            // server that says "more" without going on would have us ask for ever.
            let next = last
                .filter(|last| last != after)
                .ok_or_else(|| self.refused("the listing does not advance".to_owned()))?;
            page.next = Some(next);
        }
        Ok(page)
    }

    fn info(
        &self,
        key: &str,
        size: Option<i64>,
        modified: Option<DateTime>,
    ) -> Result<ObjectInfo, ObjectError> {
        let (Some(Ok(size_bytes)), Some(modified)) = (size.map(u64::try_from), modified) else {
            return Err(self.refused("the answer has no length or no time".to_owned()));
        };
        let micros = i64::from(modified.subsec_nanos() / 1_000)
            .saturating_add(modified.secs().saturating_mul(MICROS_PER_SECOND));
        Ok(ObjectInfo {
            key: key.to_owned(),
            size_bytes,
            modified_at: Timestamp::from_micros(micros),
        })
    }
}

fn given(credentials: &Credentials) -> config::Builder {
    let Credentials { access_key_id, secret_access_key, session_token } = credentials;
    config::Builder::new().behavior_version(BehaviorVersion::latest()).credentials_provider(
        config::Credentials::new(
            access_key_id,
            secret_access_key.expose(),
            session_token.as_ref().map(|token| token.expose().clone()),
            None,
            "given",
        ),
    )
}

/// Lets the SDK look: environment, profile, container, machine.
async fn looked_up(region_too: bool) -> config::Builder {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
    if !region_too {
        loader = loader.region(Region::from_static(DEFAULT_REGION));
    }
    config::Builder::from(&loader.load().await)
}

/// A body that comes over the network, with a limit on its silence.
#[derive(Debug)]
pub(crate) struct BodyStream {
    stream: ByteStream,
    silence: Duration,
}

impl BodyStream {
    /// Waits for the next piece that is not empty.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match tokio::time::timeout(self.silence, self.stream.next()).await {
                Err(_) => {
                    return Err(Broken::Silent(format!("no byte came for {:?}", self.silence)));
                }
                Ok(Some(Ok(chunk))) if chunk.is_empty() => (),
                Ok(Some(Ok(chunk))) => return Ok(Some(chunk)),
                Ok(Some(Err(error))) => return Err(Broken::Off(chain(&error))),
                Ok(None) => return Ok(None),
            }
        }
    }
}
