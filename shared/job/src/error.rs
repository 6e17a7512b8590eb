//! How an attempt fails.

use std::error::Error;
use std::fmt;

use values::{Classify, Retry, Span};

/// Why an attempt failed, and what follows.
#[derive(Debug)]
pub enum JobError {
    /// Another attempt may succeed.
    Retryable {
        /// How long the other side asked to wait; the job's backoff when absent.
        after: Option<Span>,
        /// What went wrong.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// No attempt will succeed until someone changes something.
    Permanent(Box<dyn Error + Send + Sync>),
    /// The attempt noticed that it was cancelled.
    Cancelled,
}

impl JobError {
    /// Fails for good, with a message.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into().into())
    }

    /// Fails for now, with a message.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable { after: None, cause: message.into().into() }
    }

    /// The error with its causes, outermost first.
    pub fn chain(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&dyn Error> = match self {
            Self::Retryable { after: _, cause } | Self::Permanent(cause) => Some(cause.as_ref()),
            Self::Cancelled => return "cancelled".to_owned(),
        };
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

/// `?` inside a job yields what the error itself says about trying again.
impl<E: Classify> From<E> for JobError {
    fn from(error: E) -> Self {
        match error.retry() {
            Retry::Never => Self::Permanent(Box::new(error)),
            Retry::Backoff => Self::Retryable { after: None, cause: Box::new(error) },
            Retry::After(wait) => Self::Retryable { after: Some(wait), cause: Box::new(error) },
        }
    }
}
