//! No more than so many letters in a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one pass at a time, evenly spaced.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(per_second: u16) -> Self {
        Self { gap: Duration::from_secs(1) / u32::from(per_second.max(1)), next: Mutex::default() }
    }

    /// Waits for its turn; as many wait as there are connections.
    pub(super) async fn wait(&self) {
        let turn = self.turn(Instant::now());
        tokio::time::sleep_until(turn).await;
    }

    fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + self.gap);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_turns_evenly_and_saves_none_up() {
        let pace = Pace::new(10);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(
            [pace.turn(start), pace.turn(start), pace.turn(at(50))],
            [at(0), at(100), at(200)]
        );
        assert_eq!([pace.turn(at(5_000)), pace.turn(at(5_000))], [at(5_000), at(5_100)]);
    }
}
