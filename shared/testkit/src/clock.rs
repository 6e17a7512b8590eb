//! A clock that a test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use values::{Clock, Span, Timestamp};

/// Where a [`TestClock`] stands at first.
pub const NOW: &str = "2026-11-01T12:00:00Z";

/// A clock that stands where a test sets it; at first at [`NOW`].
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// Sets the clock.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_micros(), Ordering::Relaxed);
    }

    /// Moves the clock on.
    pub fn advance(&self, span: Span) {
        self.0.fetch_add(span.as_micros(), Ordering::Relaxed);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        let now: Timestamp = NOW.parse().expect("NOW is an instant");
        Self(AtomicI64::new(now.as_micros()))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}
