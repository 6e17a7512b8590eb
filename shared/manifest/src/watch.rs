//! `[watch]`: folders whose files are archived without anybody asking.

use values::Span;

use crate::read::Reader;
use crate::section::{Section, list, text};

/// Folders and endings at the most, each.
const MOST: usize = 100;
/// The longest path, in bytes.
const LONGEST_PATH: usize = 4_096;
/// The longest ending, in bytes.
const LONGEST_ENDING: usize = 16;

/// The folders that a worker watches for recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// Absolute paths, at most 100; nothing is watched when empty, nor on hosts without the folder.
    pub folders: Vec<String>,
    /// What the names of recordings end in, behind the last dot; lower case stands for both.
    pub endings: Vec<String>,
    /// How long a file has to stay as it is before it counts as complete, 1 s to 1 d.
    pub stable_for: Span,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            endings: ["flv", "mp4", "ts"].map(str::to_owned).to_vec(),
            stable_for: Span::from_seconds(30),
        }
    }
}

pub(crate) fn read(reader: &mut Reader, root: &mut Section<'_>) -> WatchSettings {
    let mut section = Section::open(reader, "[watch]".to_owned(), root.item("watch"));
    let s = &mut section;
    let default = WatchSettings::default();
    let settings = WatchSettings {
        folders: texts(reader, s, "folders", "[\"/var/recordings\"], absolute paths", |path| {
            path.starts_with('/') && path.len() <= LONGEST_PATH
        })
        .unwrap_or_default(),
        endings: texts(reader, s, "endings", "[\"flv\", \"mp4\"], lower case, no dots", |ending| {
            (1..=LONGEST_ENDING).contains(&ending.len())
                && ending.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
        .unwrap_or(default.endings),
        stable_for: s
            .span(reader, "stable_for", Span::from_seconds(1)..=Span::from_days(1))
            .unwrap_or(default.stable_for),
    };
    section.close(reader);
    settings
}

/// Reads a list of texts that are all `sound`.
fn texts(
    reader: &mut Reader,
    section: &mut Section<'_>,
    key: &'static str,
    right: &str,
    sound: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    section.read(reader, key, format!("a list such as {right}"), |value| {
        let items = list(value)?;
        if items.len() > MOST {
            return Err(format!("has {} entries, more than {MOST}", items.len()));
        }
        let of_item = |item: &crate::read::Item<'_>| {
            let entry = text(item.get_ref()).map_err(|what| format!("has an entry that {what}"))?;
            let is_sound = sound(entry) && !entry.contains(char::is_control);
            if is_sound { Ok(entry.to_owned()) } else { Err(format!("has the entry {entry:?}")) }
        };
        items.iter().map(of_item).collect()
    })
}
