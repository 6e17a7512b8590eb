//! The watched folders: files of recorders that nobody hands over.
//!
//! A file is taken when it stayed as it was for `stable_for`. It is asked for once; as long as
//! nobody writes to it again it is left alone, whatever became of its task.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use manifest::WatchSettings;
use scheduling::EnqueueError;
use tasks::StoreError;
use tokio::sync::Mutex;

use crate::app::App;
use crate::work::record_done::Recorders;

/// How often the folders are looked into.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// Files of one folder that one look takes notice of; the others are looked at when these are gone.
const FILES_MAX: usize = 10_000;

/// The folders that `[watch]` names, and what is known of their files.
pub(super) struct Watched {
    settings: WatchSettings,
    recorders: Recorders,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    files: BTreeMap<PathBuf, Seen>,
    /// Folders that cannot be read, so that each is told of once.
    unreadable: BTreeSet<PathBuf>,
    /// Whether the task store took nothing the last time.
    is_store_away: bool,
}

/// A file as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    size_bytes: u64,
    written_at: SystemTime,
}

/// Why a file was not asked for.
enum Unasked {
    /// The task store takes nothing now.
    Store(StoreError),
    /// The name cannot be told.
    Name,
    /// The request is refused, and would be again.
    Refused(EnqueueError),
}

struct Seen {
    look: Look,
    since: Instant,
    is_over: bool,
}

impl Watched {
    /// Prepares the watch; `None` if worker.toml names no folder.
    ///
    /// # Errors
    /// If this machine holds no key of the source `media_host`.
    pub(super) fn new(app: &App) -> Result<Option<Self>> {
        let settings = app.manifest.watch.clone();
        if settings.folders.is_empty() {
            return Ok(None);
        }
        let recorders = Recorders::of(app)?;
        Ok(Some(Self { settings, recorders, known: Mutex::default() }))
    }

    /// Looks into all folders and asks for the files that are complete.
    pub(super) async fn look(&self) {
        let mut known = self.known.lock().await;
        let mut there = BTreeMap::new();
        for folder in self.settings.folders.iter().map(PathBuf::from) {
            let endings = self.settings.endings.clone();
            let looked = folder.clone();
            let files = tokio::task::spawn_blocking(move || files(&looked, &endings)).await;
            match files.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                Ok(files) => {
                    known.unreadable.remove(&folder);
                    there.extend(files);
                }
                // The folder of another host.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    if known.unreadable.insert(folder.clone()) {
                        let folder = folder.display();
                        tracing::error!(%folder, %error, "a watched folder cannot be read");
                    }
                }
            }
        }
        let now = Instant::now();
        known.files.retain(|path, _| there.contains_key(path));
        for (path, look) in there {
            let new = || Seen { look, since: now, is_over: false };
            let seen = known.files.entry(path.clone()).or_insert_with(new);
            if seen.look != look {
                *seen = new();
            }
            let age = now.duration_since(seen.since);
            if seen.is_over || age < self.settings.stable_for.to_std() {
                continue;
            }
            match self.ask(&path).await {
                Ok(()) => {
                    tracing::info!(file = ?path, "a recording is complete");
                    seen.is_over = true;
                    known.is_store_away = false;
                }
                // The next look tries again.
                Err(Unasked::Store(error)) => {
                    if !std::mem::replace(&mut known.is_store_away, true) {
                        tracing::error!(file = ?path, %error, "complete recordings wait");
                    }
                    return;
                }
                Err(Unasked::Name) => {
                    tracing::error!(file = ?path, "a recording's name is not UTF-8; rename it");
                    seen.is_over = true;
                }
                Err(Unasked::Refused(error)) => {
                    tracing::error!(file = ?path, %error, "a watched file is not asked for");
                    seen.is_over = true;
                }
            }
        }
    }

    async fn ask(&self, path: &Path) -> Result<(), Unasked> {
        let text = path.to_str().ok_or(Unasked::Name)?.to_owned();
        self.recorders.hand_over(text, None).await.map_err(|error| match error {
            EnqueueError::Store(error) => Unasked::Store(error),
            error => Unasked::Refused(error),
        })
    }
}

/// The files of a folder that may be recordings: no hidden ones, no links, none below it.
fn files(folder: &Path, endings: &[String]) -> std::io::Result<Vec<(PathBuf, Look)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let ending = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
        let is_recording = ending.is_some_and(|found| endings.iter().any(|one| found == **one));
        if !is_recording || entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // It may be gone by now.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let look = Look { size_bytes: metadata.len(), written_at: metadata.modified()? };
            found.push((path, look));
        }
        if found.len() == FILES_MAX {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_may_be_a_recording() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.flv", "b.FLV", "c.mp4.part", ".d.flv", "e", "f.txt", "g\n.ts"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("h.flv")).unwrap();
        std::os::unix::fs::symlink("a.flv", folder.path().join("i.flv")).unwrap();
        let endings = ["flv", "mp4", "ts"].map(str::to_owned);
        let found = files(folder.path(), &endings).unwrap();
        let names = found.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        assert_eq!(names, ["a.flv", "b.FLV", "g\n.ts"]);
    }
}
