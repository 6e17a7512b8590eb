//! Leases that the store ascribes to this worker, and of which it knows nothing.
//!
//! A standby that took over without the last second has leases again that were settled in that
//! second. As long as this worker lives, nobody else would give them back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use work_loop::{CALL_LIMIT, Lease};

use super::Shell;
use super::calls::limited;
use super::hearing::Message;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(5);
/// How long a lease must have been unknown: longer than one may be on its way to the worker.
const FORGOTTEN: Duration = Duration::from_secs(20);

/// What the latest looks have found.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    asked: Option<Instant>,
    /// Since when each is known to be unknown.
    since: HashMap<Lease, Instant>,
}

impl Forgotten {
    /// Takes what the store ascribes to the worker; returns what it must have forgotten.
    fn looked(&mut self, now: Instant, unknown: impl Iterator<Item = Lease>) -> Vec<Lease> {
        let before = std::mem::take(&mut self.since);
        let since = |lease| (lease, before.get(&lease).copied().unwrap_or(now));
        self.since = unknown.map(since).collect();
        let forgotten: Vec<Lease> = self
            .since
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= FORGOTTEN)
            .map(|(lease, _)| *lease)
            .collect();
        forgotten
    }
}

impl Shell {
    /// Asks now and then which leases this worker has.
    pub(super) fn review_leases(&mut self) {
        let now = Instant::now();
        if self.forgotten.asked.is_some_and(|asked| now.duration_since(asked) < EVERY) {
            return;
        }
        self.forgotten.asked = Some(now);
        let (store, messages, worker) =
            (Arc::clone(&self.app.store), self.messages.clone(), self.worker);
        tokio::spawn(async move {
            if let Ok(leases) = limited(CALL_LIMIT.to_std(), store.leases(worker)).await {
                messages.send(Message::Held(worker, leases)).ok();
            }
        });
    }

    /// Gives back what nobody works on.
    pub(super) fn held(&mut self, worker: i64, leases: Vec<Lease>) {
        if worker != self.worker {
            self.forgotten.since.clear();
            return;
        }
        let unknown = leases.into_iter().filter(|lease| !self.known.contains_key(lease));
        let forgotten = self.forgotten.looked(Instant::now(), unknown);
        if !forgotten.is_empty() {
            let tasks = forgotten.len();
            tracing::warn!(tasks, "the store has leases of this worker that it knows nothing of");
            self.give_back(forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_unknown_is_forgotten() {
        let (began, mut forgotten) = (Instant::now(), Forgotten::default());
        let mut look = |seconds, unknown: &[Lease]| {
            forgotten.looked(began + Duration::from_secs(seconds), unknown.iter().copied())
        };
        assert_eq!(look(0, &[(1, 7), (2, 7)]), []);
        assert_eq!(look(10, &[(1, 7)]), []);
        assert_eq!(look(20, &[(1, 7), (2, 7)]), [(1, 7)]);
        assert_eq!(look(25, &[(1, 8), (2, 7)]), []);
    }
}
