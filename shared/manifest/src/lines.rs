//! Where the tables that handlers read stand in the file.

use std::collections::BTreeMap;

use toml::de::DeTable;

use crate::read::Reader;

/// The deepest table whose lines are known; settings nest no deeper.
const DEEPEST: usize = 32;

/// The lines of `[domains.NAME]` and of the jobs' own `settings`, down to every key, counted from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<Vec<String>, usize>);

impl Lines {
    /// The line of a path of keys, such as `["domains", "emails", "brand"]` or
    /// `["jobs", "logs/process_log", "settings"]`; `None` if it is not in the file.
    pub fn of(&self, path: &[&str]) -> Option<usize> {
        let path: Vec<String> = path.iter().map(|&key| key.to_owned()).collect();
        self.0.get(&path).copied()
    }

    /// Notes a table and everything in it.
    pub(crate) fn note(
        &mut self,
        reader: &Reader,
        path: &[&str],
        offset: usize,
        table: Option<&DeTable<'_>>,
    ) {
        let owned = path.iter().map(|&key| key.to_owned()).collect();
        self.0.insert(owned, reader.line(offset));
        if path.len() > DEEPEST {
            return;
        }
        for (key, item) in table.into_iter().flatten() {
            let inner: Vec<&str> = path.iter().copied().chain([key.get_ref().as_ref()]).collect();
            self.note(reader, &inner, key.span().start, item.get_ref().as_table());
        }
    }
}
