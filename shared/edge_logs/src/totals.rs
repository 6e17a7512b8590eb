//! Sums per name and hour, growing line by line.

use std::collections::HashMap;

use crate::names::Names;
use crate::{Entry, FileError};

/// Lines noted per name, in case its stream turns out to be unknown.
const NOTED_PER_NAME: u8 = 100;
/// Lines noted in all.
const NOTED_IN_ALL: usize = 65_536;
/// The largest sum of a file: 4 PiB, far more than a file tells of, and far less than a table keeps
/// as the sum of many files.
const MAX_SUM: u64 = 1 << 52;
const SECONDS_PER_HOUR: i64 = 3_600;

/// What one name used in one hour.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: u32,
    /// Hours since 1970.
    pub(crate) hour: i64,
    pub(crate) sums: Sums,
}

/// Bytes, lines and seconds; no sum of a file's groups exceeds [`MAX_SUM`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) seconds: u64,
}

/// All sums of a file.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) names: Names,
    pub(crate) groups: Vec<Group>,
    /// (number of a name, number of a line), in the order of lines.
    pub(crate) noted: Vec<(u32, u64)>,
    index: HashMap<(u32, i64), u32>,
    file: Sums,
    max_groups: usize,
}

/// What adding an entry came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is in the sums.
    Yes,
    /// It would take a sum of the file beyond [`MAX_SUM`] and was left out.
    BeyondMaxSum,
}

impl Sums {
    /// Adds what together stays below the bound of the file.
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.seconds += other.seconds;
    }

    fn checked_add(self, other: Self) -> Option<Self> {
        let bounded = |a: u64, b| a.checked_add(b).filter(|&sum| sum <= MAX_SUM);
        Some(Self {
            bytes: bounded(self.bytes, other.bytes)?,
            lines: self.lines + other.lines,
            seconds: bounded(self.seconds, other.seconds)?,
        })
    }
}

impl Totals {
    pub(crate) fn new(max_groups: usize) -> Self {
        Self {
            names: Names::new(),
            groups: Vec::new(),
            noted: Vec::new(),
            index: HashMap::new(),
            file: Sums::default(),
            max_groups,
        }
    }

    /// Adds what line `line` says.
    #[inline]
    pub(crate) fn add(&mut self, line: u64, entry: &Entry<'_>) -> Result<Added, FileError> {
        let sums = Sums { bytes: entry.bytes, lines: 1, seconds: entry.seconds.unwrap_or(0) };
        // One check for the file bounds every sum of any of its lines.
        let Some(file) = self.file.checked_add(sums) else {
            return Ok(Added::BeyondMaxSum);
        };
        let hour = entry.at.as_seconds().div_euclid(SECONDS_PER_HOUR);
        let number = self.names.number(entry)?;
        let name = self.names.get_mut(number);
        if name.noted < NOTED_PER_NAME && self.noted.len() < NOTED_IN_ALL {
            name.noted += 1;
            self.noted.push((number, line));
        }
        let group = match self.groups.get_mut(name.last_group as usize) {
            Some(group) if group.hour == hour => group,
            _ => self.other_hour(number, hour)?,
        };
        group.sums.add(sums);
        self.file = file;
        Ok(Added::Yes)
    }

    #[cold]
    fn other_hour(&mut self, name: u32, hour: i64) -> Result<&mut Group, FileError> {
        let next = self.groups.len();
        let group = match self.index.get(&(name, hour)) {
            Some(&group) => group,
            None if next >= self.max_groups => {
                let limit = self.max_groups;
                return Err(FileError::TooManyGroups { limit });
            }
            None => {
                let group = u32::try_from(next)
                    .map_err(|_| FileError::TooManyGroups { limit: self.max_groups })?;
                self.index.insert((name, hour), group);
                let sums = Sums::default();
                self.groups.push(Group { name, hour, sums });
                group
            }
        };
        self.names.get_mut(name).last_group = group;
        Ok(&mut self.groups[group as usize])
    }
}
