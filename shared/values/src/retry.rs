//! What a caller does about an error: the one word that every error of this system can give.

use crate::Span;

/// Whether trying the same thing again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail the same way until someone changes something.
    Never,
    /// It may succeed after the usual wait.
    Backoff,
    /// The other side said how long to wait.
    After(Span),
}

/// An error that knows whether trying again may help.
pub trait Classify: std::error::Error + Send + Sync + 'static {
    /// Decides by an exhaustive match over the error's variants.
    fn retry(&self) -> Retry;
}
