//! The jobs this program can run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use contract::{Configuration, Contract, Descriptor};
use futures_util::future::BoxFuture;
use manifest::Manifest;
use serde::de::DeserializeOwned;
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
    services: &'a Services,
    manifest: &'a Manifest,
    jobs: BTreeMap<JobName, Arc<dyn ErasedJob>>,
    problems: Vec<String>,
}

impl fmt::Debug for RegistryBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.jobs.keys()).finish()
    }
}

impl<'a> RegistryBuilder<'a> {
    /// Begins with no jobs.
    pub fn new(services: &'a Services) -> Self {
        let manifest = &services.manifest;
        Self { services, manifest, jobs: BTreeMap::new(), problems: Vec::new() }
    }

    /// Registers a job; what does not fit is told by [`RegistryBuilder::build`].
    pub fn add<J: Job>(&mut self) {
        let descriptor = Descriptor::of::<J::Payload>();
        let name = descriptor.job.clone();
        let Some(row) = self.manifest.jobs.get(&name) else {
            self.problems.push(format!(
                "job `{name}` has a handler but no row; add [jobs.\"{name}\"] to worker.toml"
            ));
            return;
        };
        let settings = match settings::<J::Settings>(&row.settings) {
            Ok(settings) => settings,
            Err(error) => {
                self.problems
                    .push(format!("settings of [jobs.\"{name}\"] in worker.toml: {error}"));
                return;
            }
        };
        let job = J::new(self.services, settings);
        let registered = Arc::new(Registered { descriptor, job });
        if self.jobs.insert(name.clone(), registered).is_some() {
            self.problems.push(format!("job `{name}` is registered twice"));
        }
    }

    /// Ends the registration.
    ///
    /// # Errors
    /// Every mismatch at once: a job of the contract without handler, a handler without row, a row
    /// without handler, settings that do not decode.
    pub fn build(mut self, contract: &Contract) -> Result<Registry, RegistryProblems> {
        for descriptor in contract.jobs() {
            let (job, row) = (&descriptor.job, self.manifest.jobs.contains_key(&descriptor.job));
            let told = self.problems.iter().any(|problem| problem.contains(&format!("`{job}`")))
                || self.problems.iter().any(|problem| problem.contains(&format!("\"{job}\"")));
            if !self.jobs.contains_key(job) && !told {
                let also = if row { " although worker.toml has a row for it" } else { "" };
                self.problems.push(format!(
                    "job `{job}` has no handler{also}; write jobs/src/{job}.rs and register it in jobs/src/lib.rs"
                ));
            }
        }
        if self.problems.is_empty() {
            Ok(Registry { jobs: self.jobs })
        } else {
            Err(RegistryProblems(self.problems))
        }
    }
}

fn settings<S: DeserializeOwned>(
    row: &serde_json::Map<String, serde_json::Value>,
) -> Result<S, serde_path_to_error::Error<serde_json::Error>> {
    serde_path_to_error::deserialize(serde_json::Value::Object(row.clone()))
}
