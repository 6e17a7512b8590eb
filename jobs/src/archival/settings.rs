//! What the archival jobs share: `[domains.archival]` in worker.toml.

use std::path::PathBuf;
use std::time::Duration;

use contract::archival::ArchivalConfiguration;
use job::JobError;
use objects::{Credentials, Location, ObjectStore};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use values::Span;

/// `[domains.archival]` in worker.toml, for every job of the domain.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where recordings are stored: a folder or `s3://BUCKET/PREFIX`.
    #[serde(default, deserialize_with = "location")]
    pub(crate) store: Option<Location>,
    /// Where files wait that are named by `object`.
    #[serde(default, deserialize_with = "location")]
    pub(crate) incoming: Option<Location>,
    /// The only folders that files are taken from.
    #[serde(default)]
    pub(crate) folders: Vec<PathBuf>,
    /// Where MP4s are made before they are stored; the folder of the file itself when absent.
    #[serde(default)]
    pub(crate) work_folder: Option<PathBuf>,
    /// Where broken files are put; `quarantine` in the folder of the file when absent.
    #[serde(default)]
    pub(crate) quarantine_folder: Option<PathBuf>,
    /// The program that makes MP4s and pictures.
    #[serde(default = "ffmpeg")]
    pub(crate) ffmpeg: PathBuf,
    /// The program that looks at files.
    #[serde(default = "ffprobe")]
    pub(crate) ffprobe: PathBuf,
    /// The largest file that is archived.
    #[serde(default = "max_source_bytes")]
    pub(crate) max_source_bytes: u64,
    /// How long one run of a program may take.
    #[serde(default = "program_timeout", deserialize_with = "duration")]
    pub(crate) program_timeout: Duration,
    /// How long a program may be silent.
    #[serde(default = "program_silence", deserialize_with = "duration")]
    pub(crate) program_silence: Duration,
    /// Whether webhooks may lead to private addresses and do without TLS: for tests and
    /// installations whose customers are in the same network.
    #[serde(default)]
    pub(crate) private_webhooks: bool,
}

fn ffmpeg() -> PathBuf {
    "ffmpeg".into()
}

fn ffprobe() -> PathBuf {
    "ffprobe".into()
}

const fn max_source_bytes() -> u64 {
    64 << 30
}

const fn program_timeout() -> Duration {
    Duration::from_hours(1)
}

const fn program_silence() -> Duration {
    Duration::from_mins(5)
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Self::deserialize(deserializer)?;
        match &settings.incoming {
            Some(_) if settings.work_folder.is_none() => Err(D::Error::custom(
                "`incoming` needs a `work_folder`, which its files are fetched into",
            )),
            Some(_) if settings.incoming == settings.store => Err(D::Error::custom(
                "`incoming` is the `store` itself: what is taken from there is deleted",
            )),
            Some(_) | None => Ok(settings),
        }
    }
}

impl Settings {
    /// Opens the store of recordings, or a folder below it.
    pub(crate) async fn open_store(
        &self,
        config: &ArchivalConfiguration,
    ) -> Result<ObjectStore, JobError> {
        open(self.store()?, config).await
    }

    /// The store's location.
    pub(crate) fn store(&self) -> Result<&Location, JobError> {
        self.store.as_ref().ok_or_else(|| {
            JobError::permanent(
                "there is no store of recordings; name it in worker.toml: [domains.archival] \
                 store = \"s3://BUCKET/PREFIX\" or a folder",
            )
        })
    }

    /// Opens the place where files wait that are named by `object`.
    pub(crate) async fn open_incoming(
        &self,
        config: &ArchivalConfiguration,
    ) -> Result<ObjectStore, JobError> {
        let missing = "the task names an `object`, but worker.toml has no place for them: \
                       [domains.archival] incoming = \"s3://BUCKET/PREFIX\" or a folder";
        let location = self.incoming.as_ref().ok_or_else(|| JobError::permanent(missing))?;
        open(location, config).await
    }
}

/// Opens a location with the keys that the configuration brings.
pub(crate) async fn open(
    location: &Location,
    config: &ArchivalConfiguration,
) -> Result<ObjectStore, JobError> {
    let credentials = config.object_storage.as_ref().map(|keys| Credentials {
        access_key_id: keys.access_key_id.clone(),
        secret_access_key: keys.secret_access_key.clone(),
        session_token: keys.session_token.clone(),
    });
    Ok(ObjectStore::open(location, credentials.as_ref()).await?)
}

fn location<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Location>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<Span>().map(Span::to_std).map_err(D::Error::custom)
}
