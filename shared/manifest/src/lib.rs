//! worker.toml read into checked types: sources with their allow-lists and keys, jobs, schedules,
//! watched folders.
//!
//! Pure: text in, [`Manifest`] or [`Problems`] out. Every problem of the file is found in one go,
//! each with its line, what is wrong and what would be right. What needs the handlers (a job of
//! the contract without a row, settings a job does not know) is checked where the handlers are.

mod canonical;
mod cron;
mod jobs;
mod json;
mod lines;
mod problem;
mod read;
mod schedules;
mod section;
mod sources;
mod watch;
mod worker;

use std::collections::BTreeMap;

use toml::de::DeTable;
use values::{JobName, Source};

use crate::read::Reader;
use crate::section::Section;

pub use crate::cron::{Cron, CronError};
pub use crate::jobs::JobRow;
pub use crate::lines::Lines;
pub use crate::problem::{Problem, Problems};
pub use crate::schedules::{Missed, Schedule};
pub use crate::sources::{DEFAULT_SOURCES, PublicKeyRow, SourceRules};
pub use crate::watch::WatchSettings;
pub use crate::worker::WorkerSettings;

/// The largest worker.toml that is read.
pub const LARGEST_FILE_BYTES: usize = 256 * 1024;

/// All of worker.toml, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What holds for the worker as a whole: `[worker]`.
    pub worker: WorkerSettings,
    /// Who may ask for what; the default sources are always there.
    pub sources: BTreeMap<Source, SourceRules>,
    /// How each job runs.
    pub jobs: BTreeMap<JobName, JobRow>,
    /// What is asked for by the clock, by name.
    pub schedules: BTreeMap<String, Schedule>,
    /// What is asked for by files in folders: `[watch]`.
    pub watch: WatchSettings,
    /// Where the settings of jobs and domains stand, for messages about them.
    pub lines: Lines,
}

impl Manifest {
    /// Reads and checks the text of a worker.toml.
    ///
    /// `known_jobs` are the names of all jobs of the contract; a row, an allow-list entry or a
    /// schedule that names another one is a problem.
    ///
    /// # Errors
    /// Every problem of the file, sorted by line.
    pub fn parse(text: &str, known_jobs: &[&str]) -> Result<Self, Problems> {
        let mut reader = Reader::new(text);
        if !reader.fits(text, LARGEST_FILE_BYTES) {
            return Err(reader.into_problems());
        }
        let (tree, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            reader.syntax(error);
        }
        let mut root = Section::root(tree.get_ref());
        let worker = worker::read(&mut reader, &mut root);
        let sources = sources::read(&mut reader, &mut root, known_jobs);
        let mut lines = Lines::default();
        let jobs = jobs::read(&mut reader, &mut root, known_jobs, &mut lines);
        let schedules = schedules::read(&mut reader, &mut root, known_jobs, &sources, &jobs);
        let watch = watch::read(&mut reader, &mut root);
        root.close(&mut reader);
        if reader.found_any() {
            return Err(reader.into_problems());
        }
        Ok(Self { worker, sources: sources.rules, jobs, schedules, watch, lines })
    }

    /// Whether the source's allow-list names the job; `false` for a source that is not defined.
    pub fn allows(&self, source: &Source, job: &JobName) -> bool {
        self.sources.get(source).is_some_and(|rules| rules.allows(job))
    }
}

#[cfg(test)]
mod tests;
