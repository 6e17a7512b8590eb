//! A folder's objects in the order of their keys' bytes, a page at a time.

use std::collections::BinaryHeap;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use values::Timestamp;

use crate::key;
use crate::{ObjectInfo, PAGE, Page};

/// Lists the objects below `root` (a canonical path) whose keys come after `after`.
pub(crate) fn list_page(root: &Path, after: &str) -> io::Result<Page> {
    let mut walk = Walk { root, page: Page::default(), skipped_at_last: 0, is_full: false };
    walk.enter(root, "", after.as_bytes())?;
    let mut page = walk.page;
    if walk.is_full {
        page.next = page.objects.last().map(|last| last.key.clone());
        // What was skipped behind the last object belongs to the next page.
        page.skipped = walk.skipped_at_last;
        page.skipped_names.truncate(page.skipped);
    }
    Ok(page)
}

struct Walk<'a> {
    root: &'a Path,
    page: Page,
    skipped_at_last: usize,
    is_full: bool,
}

/// A directory's entry, by what it sorts as: a folder `a` holds keys that begin with `a/`, and
/// these come after `a.gz`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    sorts_as: Vec<u8>,
    is_folder: bool,
}

impl Walk<'_> {
    /// Takes the objects of one folder. `prefix` is empty or ends with a slash; `after` is what
    /// of the page's start lies within this folder.
    fn enter(&mut self, folder: &Path, prefix: &str, after: &[u8]) -> io::Result<()> {
        let mut done: Vec<u8> = Vec::new();
        loop {
            // One more than fits, so that the walk learns whether there is another page.
            let entries = match first_entries(folder, after, &done, PAGE + 1) {
                Err(error) if folder != self.root && error.kind() == io::ErrorKind::NotFound => {
                    return Ok(()); // deleted since its name was read
                }
                entries => entries?,
            };
            let is_last = entries.len() <= PAGE;
            for Entry { sorts_as, is_folder } in entries {
                self.take(folder, prefix, after, &sorts_as, is_folder)?;
                if self.is_full {
                    return Ok(());
                }
                done = sorts_as;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn take(
        &mut self,
        folder: &Path,
        prefix: &str,
        after: &[u8],
        sorts_as: &[u8],
        is_folder: bool,
    ) -> io::Result<()> {
        let bare = sorts_as.strip_suffix(b"/").filter(|_| is_folder).unwrap_or(sorts_as);
        let Ok(name) = std::str::from_utf8(bare) else {
            self.page.skip(&[prefix.as_bytes(), bare].concat());
            return Ok(());
        };
        let key = format!("{prefix}{name}");
        if key::problem(&key).is_some() {
            // A file that is being written is nobody's concern; anything else is.
            if !key::is_part(name) {
                self.page.skip(key.as_bytes());
            }
            return Ok(());
        }
        let path = folder.join(name);
        if is_folder {
            let after = after.strip_prefix(sorts_as).unwrap_or_default();
            return self.enter(&path, &(key + "/"), after);
        }
        match object_at(self.root, &path) {
            Ok(Some(_)) if self.page.objects.len() == PAGE => self.is_full = true,
            Ok(Some(metadata)) => {
                self.page.objects.push(info(key, &metadata)?);
                self.skipped_at_last = self.page.skipped;
            }
            Ok(None) => self.page.skip(key.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (), // deleted meanwhile
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Reads the `count` first entries behind `after` and `done`, in order, whatever the number of
/// files: no more than `count` names are kept at a time.
fn first_entries(folder: &Path, after: &[u8], done: &[u8], count: usize) -> io::Result<Vec<Entry>> {
    let mut first = BinaryHeap::with_capacity(count + 1);
    for entry in fs::read_dir(folder)? {
        let entry = Entry::from(&entry?)?;
        let sorts_as = entry.sorts_as.as_slice();
        // A folder may begin before `after` and end behind it.
        let is_ahead = sorts_as > after || (entry.is_folder && after.starts_with(sorts_as));
        if !is_ahead || sorts_as <= done {
            continue;
        }
        if first.len() < count {
            first.push(entry);
        } else if first.peek().is_some_and(|last| entry < *last) {
            first.pop();
            first.push(entry);
        }
    }
    Ok(first.into_sorted_vec())
}

impl Entry {
    fn from(entry: &DirEntry) -> io::Result<Self> {
        let is_folder = entry.file_type()?.is_dir();
        let mut sorts_as = entry.file_name().into_vec();
        if is_folder {
            sorts_as.push(b'/');
        }
        Ok(Self { sorts_as, is_folder })
    }
}

/// Finds the file that a listed name stands for: itself, or a symbolic link's target within the
/// root. Links to folders are not followed, so a walk cannot go in circles.
fn object_at(root: &Path, path: &Path) -> io::Result<Option<Metadata>> {
    let mut metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        match fs::canonicalize(path) {
            Ok(target) if target.starts_with(root) => metadata = fs::metadata(target)?,
            Ok(_) | Err(_) => return Ok(None),
        }
    }
    Ok(Some(metadata).filter(Metadata::is_file))
}

/// What a file's metadata says of the object.
pub(crate) fn info(key: String, metadata: &Metadata) -> io::Result<ObjectInfo> {
    let modified = metadata.modified()?;
    let micros = match modified.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
    };
    Ok(ObjectInfo { key, size_bytes: metadata.len(), modified_at: Timestamp::from_micros(micros) })
}
