//! Configuration sections: what a job needs to know beyond its payload, and who may supply it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use values::Secret;

use crate::SectionCheck;
use crate::section::SectionProblem;

/// Where a section of configuration may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Only from the worker's own environment or configuration file.
    Worker,
    /// Only from the envelope, sealed to the worker.
    Envelope,
    /// From either; then the envelope wins.
    Either,
}

impl Origin {
    /// Whether an envelope may carry the section.
    pub fn allows_envelope(self) -> bool {
        matches!(self, Self::Envelope | Self::Either)
    }

    /// Whether the worker's own configuration may supply the section.
    pub fn allows_worker(self) -> bool {
        matches!(self, Self::Worker | Self::Either)
    }
}

/// One section of configuration that a job declares.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Section {
    /// The key in `configuration`, in camelCase.
    pub name: &'static str,
    /// Where it may come from.
    pub origin: Origin,
    /// Whether the job cannot run without it.
    pub required: bool,
    /// What it holds, in one line.
    pub description: &'static str,
    /// Decodes it, to see whether the job accepts it.
    #[serde(skip)]
    pub check: SectionCheck,
}

impl Section {
    /// Sees whether the job accepts this text as the section.
    ///
    /// # Errors
    /// Which field is wrong and what it takes, without anything of the text.
    pub fn check(&self, text: &str) -> Result<(), SectionProblem> {
        self.check.run(self.name, text)
    }
}

/// What the sections of a job decode into, one field per section.
pub trait Configuration: DeserializeOwned + Send + Sync + 'static {
    /// The sections, in the order they are shown.
    const SECTIONS: &'static [Section];
}

/// The configuration of a job that needs none.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfiguration {}

impl Configuration for NoConfiguration {
    const SECTIONS: &'static [Section] = &[];
}

/// Access to an S3-compatible object storage.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectStorage {
    /// The access key's public part.
    pub access_key_id: String,
    /// The access key's secret part.
    #[schemars(with = "String")]
    pub secret_access_key: Secret<String>,
    /// The token of temporary credentials.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub session_token: Option<Secret<String>>,
}
