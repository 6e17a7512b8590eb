//! Moments of a monotonic clock, which no one can set.

use values::Span;

/// Time since a beginning that is fixed within one process; means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Span);

impl Moment {
    /// The moment `span` after the beginning.
    pub const fn new(span: Span) -> Self {
        Self(span)
    }

    /// The moment `span` later.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(Span::from_micros(self.0.as_micros().saturating_add(span.as_micros())))
    }

    /// The time from `earlier` to this moment; zero if that is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_micros(self.0.as_micros() - earlier.0.as_micros())
    }
}
