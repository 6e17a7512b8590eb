//! What the tests of the archival jobs stand on: a media host's folder, a store, made recordings.

use std::fmt::Write;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use database::{EngineKind, Query};
use models::{Stream, streams};
use serde_json::{Value, json};

use crate::harness::Harness;

pub(super) const ARCHIVE: &str = "archival/archive_recording";
pub(super) const DELETE: &str = "archival/delete_recording";
pub(super) const RECONCILE: &str = "archival/reconcile_recordings";
pub(super) const ANNOUNCE: &str = "archival/announce_recording";

/// A harness whose folder has `recordings`, where files come from, and `store`.
pub(super) struct Ground(Harness);

impl Deref for Ground {
    type Target = Harness;

    fn deref(&self) -> &Harness {
        &self.0
    }
}

impl DerefMut for Ground {
    fn deref_mut(&mut self) -> &mut Harness {
        &mut self.0
    }
}

impl Ground {
    /// A ground with a folder as its store and these further lines for the domain.
    pub(super) async fn new(engine: EngineKind, lines: &str) -> Self {
        Self::storing_in(engine, None, lines).await
    }

    /// A ground with this location as its store; a folder of its own when absent.
    pub(super) async fn storing_in(engine: EngineKind, store: Option<&str>, lines: &str) -> Self {
        let harness = Harness::with(engine, |folder| {
            let folder = folder.display();
            let own = format!("{folder}/store");
            let store = store.unwrap_or(&own);
            format!(
                "[domains.archival]\nstore = '{store}'\nincoming = '{folder}/incoming'\n\
                 folders = ['{folder}/recordings']\nwork_folder = '{folder}/work'\n\
                 private_webhooks = true\n{lines}\n"
            )
        })
        .await;
        for name in ["recordings", "store", "incoming", "work"] {
            std::fs::create_dir(harness.folder().join(name)).unwrap();
        }
        harness.customer(1, &["cam", "cam_1234", "camera", "off"]).await;
        let ground = Self(harness);
        ground.set_recorded(&["cam", "cam_1234", "camera"], true).await;
        ground
    }

    pub(super) async fn set_recorded(&self, names: &[&str], record: bool) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let found = streams::find_by_names(&self.db, &names).await.unwrap();
        let ids: Vec<_> = found.values().map(|stream| stream.id).collect();
        let rows = streams::find(&self.db, &ids).await.unwrap();
        let rows: Vec<Stream> = rows.into_iter().map(|row| Stream { record, ..row }).collect();
        let mut work = self.db.begin().await.unwrap();
        streams::upsert_many(&mut work.tx(), &rows).await.unwrap();
        work.commit().await.unwrap();
    }

    /// The path of a file of the media host.
    pub(super) fn recorded(&self, name: &str) -> PathBuf {
        self.folder().join("recordings").join(name)
    }

    /// Puts a made recording into the media host's folder and returns the payload that names it.
    pub(super) fn record(&self, name: &str, made: &Path) -> Value {
        let path = self.recorded(name);
        std::fs::copy(made, &path).unwrap();
        of_file(&path)
    }

    /// The names of all files below a folder of the ground, sorted.
    pub(super) fn files(&self, folder: &str) -> Vec<String> {
        let root = self.folder().join(folder);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap();
                    found.push(name.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }

    /// What is left of everything: files everywhere, rows without ids.
    pub(super) async fn everything(&self) -> String {
        let mut text = String::new();
        for folder in ["recordings", "store", "incoming", "work"] {
            writeln!(text, "{folder}: {:?}", self.files(folder)).unwrap();
        }
        for sql in [
            "SELECT name || ' ' || object_key || ' ' || coalesce(poster_key, '-') || ' ' ||
               CAST(size_bytes AS TEXT) || ' ' || CAST(duration_ms AS TEXT) || ' ' ||
               CASE WHEN catalogued_at IS NULL THEN 'reserved' ELSE 'catalogued' END || ' ' ||
               CASE WHEN deleted_at IS NULL THEN 'kept' ELSE 'deleted' END
               FROM recording ORDER BY 1",
            "SELECT state || ' ' || coalesce(reason, '-') FROM archive ORDER BY 1",
        ] {
            for row in self.db.all(Query::new(sql)).await.unwrap() {
                text.push_str(&row.get::<String>(0).unwrap());
                text.push('\n');
            }
        }
        text
    }
}

pub(super) fn of_file(path: &Path) -> Value {
    json!({ "file": path.to_str().unwrap(), "host": "media-1" })
}

/// Makes a short recording with ffmpeg; the ending of the name says of which kind.
pub(super) fn make(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi"])
        .args(["-i", "testsrc2=size=320x180:rate=15:duration=2"])
        .args(["-f", "lavfi", "-i", "sine=duration=2"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"])
        .args(arguments)
        .arg(&path)
        .status()
        .expect("ffmpeg is not installed: run ci/services ffmpeg");
    assert!(made.success());
    path
}

/// What ffprobe says of a file, JSON.
pub(super) fn probed(path: &Path) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_format", "-show_streams", "-of", "json"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
