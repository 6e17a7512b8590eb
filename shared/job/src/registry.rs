//! The jobs this program can run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use contract::{Configuration, Contract, Descriptor};
use futures_util::future::BoxFuture;
use manifest::{Lines, Manifest};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use values::{JobName, Secret};

use crate::{ConfigOf, Context, Job, JobError, Outcome, Services};

/// A job without its types.
pub trait ErasedJob: Send + Sync {
    /// Its contract.
    fn descriptor(&self) -> &Descriptor;

    /// Decodes payload and configuration and runs one attempt.
    fn run<'a>(
        &'a self,
        cx: &'a Context,
        payload: &'a str,
        sections: BTreeMap<String, Secret<String>>,
    ) -> BoxFuture<'a, Result<Outcome, JobError>>;
}

struct Registered<J: Job> {
    descriptor: Descriptor,
    job: J,
}

impl<J: Job> ErasedJob for Registered<J> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn run<'a>(
        &'a self,
        cx: &'a Context,
        payload: &'a str,
        sections: BTreeMap<String, Secret<String>>,
    ) -> BoxFuture<'a, Result<Outcome, JobError>> {
        Box::pin(async move {
            let payload: J::Payload = serde_json::from_str(payload)
                .map_err(|error| JobError::permanent(format!("jobPayload: {error}")))?;
            let config = configuration::<ConfigOf<J>>(&sections)?;
            self.job.run(cx, payload, config).await
        })
    }
}

/// Decodes the sections a job declares; an error names the section, never its value.
fn configuration<C: Configuration>(
    sections: &BTreeMap<String, Secret<String>>,
) -> Result<C, JobError> {
    for section in C::SECTIONS {
        if let Some(value) = sections.get(section.name) {
            section
                .check(value.expose())
                .map_err(|problem| JobError::permanent(problem.to_string()))?;
        }
    }
    let mut text = String::from("{");
    for (name, value) in sections {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(name).expect("a name is JSON"));
        text.push(':');
        text.push_str(value.expose());
    }
    text.push('}');
    let text = Secret::new(text);
    serde_json::from_str(text.expose()).map_err(|error| {
        let category = match error.classify() {
            serde_json::error::Category::Data => "a section has a wrong, missing or unknown field",
            _ => "a section is not JSON",
        };
        let names: Vec<&str> = sections.keys().map(String::as_str).collect();
        JobError::permanent(format!("configuration ({}): {category}", names.join(", ")))
    })
}

/// The jobs this program can run, by name.
#[derive(Clone)]
pub struct Registry {
    jobs: BTreeMap<JobName, Arc<dyn ErasedJob>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.jobs.keys()).finish()
    }
}

impl Registry {
    /// The job of that name.
    pub fn get(&self, job: &str) -> Option<&Arc<dyn ErasedJob>> {
        self.jobs.get(job)
    }

    /// The names of all jobs, sorted.
    pub fn names(&self) -> impl Iterator<Item = &JobName> {
        self.jobs.keys()
    }
}

/// Everything that does not fit between registry, contract and worker.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryProblems(pub Vec<String>);

impl fmt::Display for RegistryProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for RegistryProblems {}

/// Collects the jobs at start-up, and every mismatch.
pub struct RegistryBuilder<'a> {
    /// Absent while jobs are only held against the manifest.
    services: Option<&'a Services>,
    manifest: &'a Manifest,
    /// The manifest's file, for messages.
    file: &'a str,
    added: BTreeSet<JobName>,
    jobs: BTreeMap<JobName, Arc<dyn ErasedJob>>,
    problems: Vec<String>,
    /// What jobs do not accept in a domain's settings, with the jobs that say the same.
    refused: BTreeMap<(Option<usize>, String), Vec<JobName>>,
}

impl fmt::Debug for RegistryBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.added).finish()
    }
}

impl<'a> RegistryBuilder<'a> {
    /// Begins with no jobs.
    pub fn new(services: &'a Services) -> Self {
        Self { services: Some(services), ..Self::checker(&services.manifest, "worker.toml") }
    }

    /// Begins to hold jobs against a manifest, read from `file`, without making any; ended by
    /// [`RegistryBuilder::check`].
    pub fn checker(manifest: &'a Manifest, file: &'a str) -> Self {
        Self {
            services: None,
            manifest,
            file,
            added: BTreeSet::new(),
            jobs: BTreeMap::new(),
            problems: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Registers a job; what does not fit is told at the end.
    pub fn add<J: Job>(&mut self) {
        let descriptor = Descriptor::of::<J::Payload>();
        let (name, file) = (descriptor.job.clone(), self.file);
        if !self.added.insert(name.clone()) {
            self.problems.push(format!("job `{name}` is registered twice"));
            return;
        }
        let Some(row) = self.manifest.jobs.get(&name) else {
            self.problems.push(format!(
                "job `{name}` has a handler but no row; add [jobs.\"{name}\"] to {file}"
            ));
            return;
        };
        let settings = match settings::<J::Settings>(&row.settings) {
            Ok(settings) => settings,
            Err(error) => {
                self.refuse(&name, &error);
                return;
            }
        };
        if let Some(services) = self.services {
            let job = J::new(services, settings);
            self.jobs.insert(name, Arc::new(Registered { descriptor, job }));
        }
    }

    /// Notes what a job does not accept, as a problem of the table in which it stands.
    fn refuse(&mut self, name: &JobName, error: &serde_path_to_error::Error<serde_json::Error>) {
        let file = self.file;
        let lines = &self.manifest.lines;
        let keys = error.path().iter().map_while(|segment| match segment {
            Segment::Map { key } => Some(key.as_str()),
            _ => None,
        });
        let keys: Vec<&str> = keys.collect();
        let (own, shared) = (["jobs", name.as_str(), "settings"], ["domains", name.domain()]);
        let first = &keys[..keys.len().min(1)];
        let stands = |table: &[&str]| lines.of(&[table, first].concat()).is_some();
        if stands(&own) || !stands(&shared) {
            let line = nearest(lines, &own, &keys).or(lines.of(&own[..2]));
            let at = line.map_or(String::new(), |line| format!(":{line}"));
            self.problems.push(format!("settings of [jobs.\"{name}\"] in {file}{at}: {error}"));
            return;
        }
        let line = nearest(lines, &shared, &keys);
        let at = line.map_or(String::new(), |line| format!(":{line}"));
        let told = format!("[domains.{}] in {file}{at}: {error}", name.domain());
        self.refused.entry((line, told)).or_default().push(name.clone());
    }

    /// Ends the registration.
    ///
    /// # Errors
    /// Every mismatch at once: a job of the contract without handler, a handler without row, a row
    /// without handler, settings that do not decode.
    pub fn build(self, contract: &Contract) -> Result<Registry, RegistryProblems> {
        let Self { services: _, manifest, file, added, jobs, mut problems, refused } = self;
        problems.extend(refused.into_iter().map(told));
        problems_of(contract, manifest, file, &added, problems)?;
        Ok(Registry { jobs })
    }

    /// Ends a check.
    ///
    /// # Errors
    /// As [`RegistryBuilder::build`].
    pub fn check(self, contract: &Contract) -> Result<(), RegistryProblems> {
        let Self { services: _, manifest, file, added, jobs: _, mut problems, refused } = self;
        problems.extend(refused.into_iter().map(told));
        problems_of(contract, manifest, file, &added, problems)
    }
}

/// The line of what an error is about, or of the nearest table around it.
fn nearest(lines: &Lines, table: &[&str], keys: &[&str]) -> Option<usize> {
    (0..=keys.len()).rev().find_map(|depth| lines.of(&[table, &keys[..depth]].concat()))
}

/// Says once what several jobs refuse.
fn told(((_, message), jobs): ((Option<usize>, String), Vec<JobName>)) -> String {
    match jobs.as_slice() {
        [] => message,
        [job] => format!("{message} (read by {job})"),
        [job, others @ ..] => format!("{message} (read by {job} and {} more)", others.len()),
    }
}

/// Adds the jobs of the contract that were not registered.
fn problems_of(
    contract: &Contract,
    manifest: &Manifest,
    file: &str,
    added: &BTreeSet<JobName>,
    mut problems: Vec<String>,
) -> Result<(), RegistryProblems> {
    for job in contract.jobs().iter().map(|descriptor| &descriptor.job) {
        if !added.contains(job) {
            let row = manifest.jobs.contains_key(job);
            let also =
                if row { format!(" although {file} has a row for it") } else { String::new() };
            problems.push(format!(
                    "job `{job}` has no handler{also}; write jobs/src/{job}.rs and register it in jobs/src/lib.rs"
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(RegistryProblems(problems)) }
}

fn settings<S: DeserializeOwned>(
    row: &serde_json::Map<String, serde_json::Value>,
) -> Result<S, serde_path_to_error::Error<serde_json::Error>> {
    serde_path_to_error::deserialize(serde_json::Value::Object(row.clone()))
}

#[cfg(test)]
mod tests {
    use contract::logs::LogConfiguration;

    use super::*;

    #[test]
    fn names_the_field_of_a_wrong_section_and_not_its_value() {
        let check = |section: &str, expected: &str| {
            let section = Secret::new(section.to_owned());
            let sections = BTreeMap::from([("objectStorage".to_owned(), section)]);
            let error = configuration::<LogConfiguration>(&sections).unwrap_err();
            assert!(matches!(error, JobError::Permanent(_)), "{error}");
            assert!(error.chain().contains(expected), "{}", error.chain());
            assert!(!error.chain().contains("canary"), "{}", error.chain());
        };
        check(r#"{"accessKeyId":["canary"]}"#, "configuration.objectStorage.accessKeyId: wrong");
        check("canary", "configuration.objectStorage: not JSON");
    }

    #[test]
    fn a_check_tells_every_missing_handler_with_the_file_that_was_read() {
        let names = contract::contract().names();
        let text = "[jobs.\"logs/process_log\"]\n";
        let manifest = Manifest::parse(text, &names).unwrap();
        let checker = RegistryBuilder::checker(&manifest, "other.toml");
        let problems = checker.check(contract::contract()).unwrap_err().to_string();
        assert_eq!(problems.lines().count(), names.len(), "{problems}");
        let row = "`logs/process_log` has no handler although other.toml has a row for it";
        assert!(problems.contains(row), "{problems}");
    }
}
