//! A clock that stands in another month and goes on from there.

use std::sync::atomic::{AtomicI64, Ordering};

use values::{Clock, Timestamp};

use crate::clock::SystemClock;

/// Runs as fast as the machine's clock, but elsewhere in time.
#[derive(Debug)]
pub struct MonthClock {
    ahead_micros: AtomicI64,
}

impl MonthClock {
    /// Starts at an instant.
    pub fn at(start: Timestamp) -> Self {
        let clock = Self { ahead_micros: AtomicI64::new(0) };
        clock.jump(start);
        clock
    }

    /// Goes on from another instant.
    pub fn jump(&self, to: Timestamp) {
        let ahead = to.as_micros() - SystemClock.now().as_micros();
        self.ahead_micros.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for MonthClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_micros.load(Ordering::Relaxed);
        Timestamp::from_micros(SystemClock.now().as_micros() + ahead)
    }
}
