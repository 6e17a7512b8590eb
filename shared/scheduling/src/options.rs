//! What may be said about a task beside its payload.

use aws_lc_rs::digest::{SHA256, digest};
use values::{JobName, Source, Span, Timestamp, hex};

/// How a task waits, runs and is found; the default leaves everything to the job's row.
#[derive(Debug, Clone, Default)]
pub struct TaskOptions {
    /// 0 to 2; the job's own when absent.
    pub priority: Option<u8>,
    /// The earliest start.
    pub run_at: Option<Timestamp>,
    /// Wait before the first start; added to now if `run_at` is absent.
    pub delay: Option<Span>,
    /// Attempts allowed; the job's own when absent.
    pub max_attempts: Option<u32>,
    /// Time limit of an attempt; the job's own when absent.
    pub timeout: Option<Span>,
    /// Words to find the task by.
    pub labels: Vec<String>,
    /// Lets only one such task wait or run.
    pub unique: Option<Unique>,
    /// The only host that may run it; what the payload says wins.
    pub host: Option<String>,
}

/// What makes two tasks the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The same job.
    Job,
    /// The same job asked for by the same source.
    Source,
    /// The same job with the same payload, byte for byte.
    Payload,
    /// The same job with this text.
    Key(String),
}

/// Uniqueness: the key blocks while its task waits or runs, and for `period` after enqueueing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// What makes two tasks the same.
    pub scope: Scope,
    /// How long the key blocks even if the task has ended.
    pub period: Option<Span>,
}

impl Unique {
    /// The key as it is proven and stored; at most 300 bytes.
    pub(crate) fn key(&self, job: &JobName, source: &Source, payload: &str) -> String {
        match &self.scope {
            Scope::Job => format!("{job} job"),
            Scope::Source => format!("{job} source {source}"),
            Scope::Payload => format!("{job} payload {}", fingerprint(payload)),
            Scope::Key(text) => format!("{job} key {}", fingerprint(text)),
        }
    }
}

/// SHA-256 as hexadecimal digits.
fn fingerprint(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}
