//! Whether a machine has what archival needs, looked at without touching any recording.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::ObjectStorage;
use contract::archival::ArchivalConfiguration;
use job::JobError;
use objects::{ObjectStore, Stored};
use serde_json::{Map, Value};
use tokio::fs;

use super::child::{self, ChildError, Limits};
use crate::archival::settings::Settings;

/// What a program may take to tell its version.
const VERSION_LIMITS: Limits =
    Limits { time: Duration::from_secs(20), silence: Duration::from_secs(20) };
/// Bytes of its answer that are kept.
const VERSION_BYTES_MAX: usize = 4 * 1024;
/// How long a store may take for everything that is asked of it.
const STORE_PATIENCE: Duration = Duration::from_secs(30);

/// One thing that was looked at: what it is, and what was found or what to change.
pub type ArchivalFinding = (&'static str, Result<String, String>);

/// What the archival jobs need: `[domains.archival]` of worker.toml.
#[derive(Debug)]
pub struct ArchivalNeeds {
    settings: Settings,
}

impl ArchivalNeeds {
    /// Reads the settings of `archival/archive_recording`; `None` when there are none.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(settings: &Map<String, Value>) -> Result<Option<Self>, String> {
        if settings.is_empty() {
            return Ok(None);
        }
        let settings = serde_json::from_value(Value::Object(settings.clone()));
        settings.map(|settings| Some(Self { settings })).map_err(|error| error.to_string())
    }

    /// Looks at the programs, the folders and the stores.
    ///
    /// `scratch` is a folder for a file of some bytes, which is stored under a name of its own and
    /// deleted again. A machine that has no recorder (`has_recorder`) needs none of the `folders`.
    pub async fn look(
        &self,
        keys: Option<ObjectStorage>,
        scratch: &Path,
        has_recorder: bool,
    ) -> Vec<ArchivalFinding> {
        let settings = &self.settings;
        let mut found = vec![
            ("ffmpeg", version("ffmpeg", &settings.ffmpeg).await),
            ("ffprobe", version("ffprobe", &settings.ffprobe).await),
        ];
        self.folders(has_recorder, &mut found).await;
        if let Some(folder) = &settings.work_folder {
            found.push(("archival work folder", folder_to_use(folder, "work_folder").await));
        }
        if let Some(folder) = &settings.quarantine_folder {
            found.push(("archival quarantine", folder_to_make(folder).await));
        }
        let config = ArchivalConfiguration { object_storage: keys };
        found.push(("recording store", Box::pin(within(self.store(&config, scratch))).await));
        if settings.incoming.is_some() {
            found.push(("incoming recordings", Box::pin(within(self.incoming(&config))).await));
        }
        found
    }

    async fn folders(&self, has_recorder: bool, found: &mut Vec<ArchivalFinding>) {
        const WHAT: &str = "recordings folder";
        let folders = &self.settings.folders;
        if !has_recorder && !folders.is_empty() && folders.iter().all(|folder| !folder.exists()) {
            let told = "none of `folders` is on this machine: it takes no files by their paths";
            found.push((WHAT, Ok(told.to_owned())));
            return;
        }
        for folder in folders {
            found.push((WHAT, folder_to_use(folder, "folders").await));
        }
    }

    /// Stores a small object as recordings are stored, and deletes it.
    async fn store(
        &self,
        config: &ArchivalConfiguration,
        scratch: &Path,
    ) -> Result<String, JobError> {
        let store = self.settings.open_store(config).await?;
        // Some servers make the bucket of what they are given; a missing one shows here.
        store.list_page(None).await?;
        let key = probe_name();
        let file = scratch.join(&key);
        fs::write(&file, "main-worker check\n").await.map_err(|cause| {
            JobError::permanent(format!("{} cannot be written ({cause})", scratch.display()))
        })?;
        let put = store.put_file(&key, &file, |_| ()).await;
        fs::remove_file(&file).await.ok();
        let stored = put?;
        store.delete(&key).await?;
        if stored == Stored::Exists {
            return Err(JobError::permanent("the store says that it has an object of a new name"));
        }
        Ok(format!("{} takes objects and deletes them", store.place()))
    }

    async fn incoming(&self, config: &ArchivalConfiguration) -> Result<String, JobError> {
        let store: ObjectStore = self.settings.open_incoming(config).await?;
        let page = store.list_page(None).await?;
        let more = if page.next.is_some() { " or more" } else { "" };
        Ok(format!("{}: {}{more} files", store.place(), page.objects.len()))
    }
}

/// Bounds what is asked of a store.
async fn within(asked: impl Future<Output = Result<String, JobError>>) -> Result<String, String> {
    match tokio::time::timeout(STORE_PATIENCE, asked).await {
        Ok(answered) => answered.map_err(|error| error.chain()),
        Err(_) => Err(format!(
            "no answer within {} s; check the location, the network and the keys",
            STORE_PATIENCE.as_secs()
        )),
    }
}

/// Starts a program, which says who it is.
async fn version(name: &str, program: &Path) -> Result<String, String> {
    let mut said = Vec::new();
    let arguments = [OsString::from("-version")];
    let ran = child::run(program, &arguments, VERSION_LIMITS, |bytes| {
        said.extend_from_slice(&bytes[..bytes.len().min(VERSION_BYTES_MAX - said.len())]);
        Ok(())
    });
    let named = format!("[domains.archival] {name} = \"/path/of/{name}\"");
    ran.await.map_err(|error| match error {
        ChildError::Refused { program, reason } => {
            format!("`{program} -version` fails: {reason}\n{named}")
        }
        error => format!("{}\n{named}", JobError::from(error).chain()),
    })?;
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().next().unwrap_or_default().trim();
    match line.strip_prefix(name).and_then(|rest| rest.strip_prefix(" version ")) {
        // What follows are the names of its authors.
        Some(rest) => Ok(format!("version {}", rest.split(' ').next().unwrap_or_default())),
        None => Err(format!("`{}` is not {name}: it says {line:?}\n{named}", program.display())),
    }
}

/// Sees whether a folder is there, and can be read and written.
async fn folder_to_use(folder: &Path, key: &str) -> Result<String, String> {
    let shown = folder.display();
    match fs::metadata(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "there is no folder {shown}; make it, or correct [domains.archival] {key}"
            ));
        }
        Ok(metadata) if !metadata.is_dir() => {
            return Err(format!("{shown} is no folder; correct [domains.archival] {key}"));
        }
        Ok(_) | Err(_) => {}
    }
    let refused = |what: &str, cause: &io::Error| {
        format!("{shown} cannot be {what} ({cause}); give the worker's user the right to")
    };
    drop(fs::read_dir(folder).await.map_err(|cause| refused("read", &cause))?);
    probe(folder).await.map_err(|cause| refused("written", &cause))?;
    Ok(format!("{shown} can be read and written"))
}

/// Sees whether a folder can be written, or can be made once it is needed.
async fn folder_to_make(folder: &Path) -> Result<String, String> {
    let mut place: PathBuf = folder.to_owned();
    while !place.exists() {
        let parent = place.parent().unwrap_or(Path::new(""));
        place = if parent.as_os_str().is_empty() { ".".into() } else { parent.to_owned() };
    }
    if place == folder {
        return folder_to_use(folder, "quarantine_folder").await;
    }
    probe(&place).await.map_err(|cause| {
        format!("{} cannot be made in {} ({cause})", folder.display(), place.display())
    })?;
    Ok(format!("{} is made when it is needed", folder.display()))
}

/// Makes a hidden file in a folder and removes it again.
async fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(probe_name());
    fs::OpenOptions::new().write(true).create_new(true).open(&path).await?;
    fs::remove_file(&path).await
}

/// A hidden name that nothing else has.
fn probe_name() -> String {
    format!(".main-worker-check-{}", values::hex(&tasks::random_bytes::<8>()))
}
