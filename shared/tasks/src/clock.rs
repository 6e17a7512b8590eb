//! The clock of a server, as everyone who works with it sees it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use database::{Db, DbError};
use tokio::task::JoinHandle;
use values::{Clock, Span, Timestamp};

/// How often the server is asked for its time.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How far this machine's monotonic clock may go wrong: one part in so many.
const DRIFT: u32 = 2_000;
/// Measurements of which the best one counts at first.
const FIRST: usize = 3;

/// The server's clock, carried on by this machine's monotonic one.
///
/// It is asked every second, and a measurement counts if it is better than what is known: the
/// shorter its round trip, the better, while what is known gets worse with time. So no worker's
/// wall clock matters. If the server's clock jumps, this one follows within a second.
#[derive(Debug)]
pub struct ServerClock {
    known: Mutex<Measured>,
    asking: Mutex<Option<JoinHandle<()>>>,
}

/// The server's time at an instant of the monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Measured {
    server: Timestamp,
    at: Instant,
    /// Half the round trip: how far it may be off.
    within: Duration,
}

impl Measured {
    async fn take(db: &Db) -> Result<Self, DbError> {
        let asked = Instant::now();
        let server = db.server_time().await?;
        let within = asked.elapsed() / 2;
        let expected = "the time of a server";
        let server = server.ok_or(DbError::Column { column: 0, expected })?;
        Ok(Self { server, at: asked + within, within })
    }

    fn now(&self, at: Instant) -> Timestamp {
        let since = Span::from_std(at.saturating_duration_since(self.at));
        self.server.after(since).before(Span::from_std(self.at.saturating_duration_since(at)))
    }

    fn within(&self, at: Instant) -> Duration {
        self.within + at.saturating_duration_since(self.at) / DRIFT
    }

    /// Whether a newer measurement is to be trusted more.
    fn yields_to(&self, newer: &Self) -> bool {
        let (mine, newers) = (self.now(newer.at).as_micros(), newer.server.as_micros());
        let off = Duration::from_micros(mine.abs_diff(newers));
        let jumped = off > self.within(newer.at) + newer.within;
        jumped || newer.within <= self.within(newer.at)
    }
}

impl ServerClock {
    /// Asks the server for its time, and goes on asking as long as the clock is used.
    ///
    /// # Errors
    /// Those of a query. Must be called inside a tokio runtime.
    pub async fn start(db: Db) -> Result<Arc<Self>, DbError> {
        let mut known = Measured::take(&db).await?;
        for _ in 1..FIRST {
            let newer = Measured::take(&db).await?;
            if known.yields_to(&newer) {
                known = newer;
            }
        }
        let clock = Arc::new(Self { known: Mutex::new(known), asking: Mutex::default() });
        let asking = tokio::spawn(ask(db, Arc::downgrade(&clock)));
        *clock.asking.lock().unwrap_or_else(PoisonError::into_inner) = Some(asking);
        Ok(clock)
    }
}

impl Drop for ServerClock {
    fn drop(&mut self) {
        if let Some(asking) = self.asking.get_mut().unwrap_or_else(PoisonError::into_inner) {
            asking.abort();
        }
    }
}

async fn ask(db: Db, clock: Weak<ServerClock>) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let measured = tokio::time::timeout(ASK_EVERY, Measured::take(&db)).await;
        let Some(clock) = clock.upgrade() else { return };
        if let Ok(Ok(newer)) = measured {
            let mut known = clock.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.yields_to(&newer) {
                *known = newer;
            }
        }
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).now(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(micros: i64, at: Instant, within_ms: u64) -> Measured {
        let within = Duration::from_millis(within_ms);
        Measured { server: Timestamp::from_micros(micros), at, within }
    }

    #[test]
    fn goes_on_with_the_monotonic_clock() {
        let at = Instant::now();
        let known = measured(5_000_000, at, 1);
        let later = known.now(at + Duration::from_secs(3));
        assert_eq!(later, Timestamp::from_micros(8_000_000));
    }

    #[test]
    fn trusts_the_shorter_round_trip_until_it_is_old() {
        let at = Instant::now();
        let known = measured(0, at, 1);
        let slow = |after: u64| {
            let micros = i64::try_from(after * 1_000_000).unwrap();
            measured(micros, at + Duration::from_secs(after), 20)
        };
        assert!(!known.yields_to(&slow(1)));
        assert!(known.yields_to(&slow(60)));
        assert!(known.yields_to(&measured(1_000_500, at + Duration::from_secs(1), 1)));
    }

    #[test]
    fn follows_a_clock_that_jumps_either_way() {
        let at = Instant::now();
        let known = measured(7_200_000_000, at, 1);
        for jumped in [3_600_000_000, 10_800_000_000] {
            assert!(known.yields_to(&measured(jumped, at + Duration::from_secs(1), 500)));
        }
    }
}
