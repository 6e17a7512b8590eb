//! Reads the repository's manifests and sources.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Folders that hold no source of ours.
const SKIPPED: [&str; 3] = ["target", ".git", ".main-worker"];

/// A crate of this repository.
pub(crate) struct Member {
    pub(crate) name: String,
    folder: PathBuf,
    manifest: Table,
}

/// A text file of this repository.
pub(crate) struct File {
    /// Its path below the root, for messages.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        Self { path: path.strip_prefix(ROOT).unwrap().display().to_string(), text }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        Path::new(ROOT).join(&self.path).parent().unwrap().to_owned()
    }
}

impl Member {
    fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        let manifest: Table = text.parse().unwrap();
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        Some(Self { name, folder: folder.to_owned(), manifest })
    }

    /// The names in a table of dependencies.
    pub(crate) fn dependencies(&self, table: &str) -> Vec<String> {
        let table = self.manifest.get(table).and_then(Value::as_table);
        table.into_iter().flat_map(Table::keys).cloned().collect()
    }

    /// Whether `key` of a table says `workspace = true`.
    pub(crate) fn inherits(&self, table: &str, key: &str) -> bool {
        let row = self.manifest.get(table).and_then(|table| table.get(key));
        row.and_then(|row| row.get("workspace")).and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn lints_of_the_workspace(&self) -> bool {
        let lints = self.manifest.get("lints").and_then(|lints| lints.get("workspace"));
        lints.and_then(Value::as_bool) == Some(true)
    }

    /// All Rust files below some of its folders.
    pub(crate) fn sources(&self, folders: &[&str]) -> Vec<File> {
        let mut found = Vec::new();
        for folder in folders {
            walk(&self.folder.join(folder), "rs", &mut found);
        }
        // What lies below another manifest is not part of this crate.
        let own = |file: &File| {
            let mut folder = file.folder();
            while folder != self.folder {
                if folder.join("Cargo.toml").exists() || !folder.pop() {
                    return false;
                }
            }
            true
        };
        found.retain(own);
        found
    }
}

/// All crates: the program, `jobs`, those below `shared`, the examples.
pub(crate) fn members() -> Vec<Member> {
    let root = Path::new(ROOT);
    let own = ["", "jobs", "simulation"];
    let mut found: Vec<Member> =
        own.iter().map(|folder| Member::read(&root.join(folder)).unwrap()).collect();
    for folder in ["shared", "examples"] {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        found.extend(entries.filter_map(|entry| Member::read(&entry.unwrap().path())));
    }
    assert!(found.len() > 10, "only {} crates were found", found.len());
    found
}

/// All files of this repository with that extension.
pub(crate) fn text_files(extension: &str) -> Vec<File> {
    let mut found = Vec::new();
    walk(Path::new(ROOT), extension, &mut found);
    found
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            walk(&path, extension, found);
        } else if path.is_file() && path.extension().is_some_and(|found| found == extension) {
            found.push(File::read(&path));
        }
    }
}

/// The code of a file: without comments and without the tests at its foot.
pub(crate) fn code(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a source names a crate: as the beginning of a path, or alone in a `use`.
pub(crate) fn names(text: &str, krate: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.any(|line| {
        line.match_indices(krate).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + krate.len()..]);
            let begins = !before.ends_with(word);
            let path = after.starts_with("::")
                && !["crate::", "self::", "super::"].iter().any(|own| before.ends_with(own));
            let whole = before.ends_with("use ") && after.starts_with([';', ' ']);
            begins && (path || whole)
        })
    })
}

/// The relative targets of a Markdown text's links, without their fragments.
pub(crate) fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split('#').next()?;
        let local = !target.is_empty() && !target.contains("://") && !target.contains(' ');
        local.then_some(target)
    })
}

/// The contents of a Markdown text's code blocks in one language.
pub(crate) fn blocks<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let begins: Vec<usize> = text.match_indices(&fence).map(|(at, _)| at + fence.len()).collect();
    begins.into_iter().filter_map(|begin| text[begin..].split("```").next())
}
