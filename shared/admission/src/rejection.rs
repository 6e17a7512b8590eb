//! A refused request.

use std::fmt;

use serde::Serialize;

use crate::{Code, printable};

/// Says why a request is refused and what to change; holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Why, as a stable code.
    pub code: Code,
    /// The job that was asked for, made printable.
    pub job_name: String,
    /// The source that was claimed, made printable.
    pub source: String,
    /// The field that is wrong; empty for the envelope as a whole.
    pub field: String,
    /// What was expected and what to change.
    pub message: String,
    /// Whether a worker with other keys or another worker.toml may accept it although its code
    /// says that none would.
    #[serde(skip)]
    elsewhere: bool,
}

impl Rejection {
    /// Makes a rejection; job and source are what was claimed.
    pub fn new(code: Code, job: &str, source: &str, field: &str, message: String) -> Self {
        Self {
            code,
            job_name: printable(job),
            source: printable(source),
            field: field.to_owned(),
            message,
            elsewhere: false,
        }
    }

    /// Says that a worker with other keys or another worker.toml may accept the same request.
    #[must_use]
    pub fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// Whether no worker could accept the stored task, so that it ends at once; else it is held.
    pub fn ends_at_once(&self) -> bool {
        self.code.ends_at_once() && !self.elsewhere
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rejection {}
