//! What names led to lately, for when the database is away. Bounded, and pure: time is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use models::publishing::Publishable;

/// How long something found is good while the database is away.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// How long a database that did not answer is not asked.
const REST: Duration = Duration::from_secs(1);
/// Names of one generation; two are kept.
const NAMES_PER_GENERATION: usize = 20_000;

/// Streams that were found; what was not is never kept, so that guesses push nothing out.
#[derive(Debug, Default)]
pub(super) struct Cache {
    young: HashMap<String, (Instant, Publishable)>,
    old: HashMap<String, (Instant, Publishable)>,
    away_until: Option<Instant>,
}

impl Cache {
    /// Keeps what the database found for a name, or forgets it.
    pub(super) fn keep(&mut self, name: &str, found: Option<Publishable>, now: Instant) {
        self.away_until = None;
        self.old.remove(name);
        let Some(found) = found else {
            self.young.remove(name);
            return;
        };
        if self.young.len() >= NAMES_PER_GENERATION && !self.young.contains_key(name) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name.to_owned(), (now, found));
    }

    /// What a name led to at most five minutes ago.
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Publishable> {
        let (at, found) = self.young.get(name).or_else(|| self.old.get(name))?;
        (now.saturating_duration_since(*at) <= GOOD_FOR).then(|| found.clone())
    }

    /// Notes that the database did not answer; `true` if it did the time before.
    pub(super) fn note_away(&mut self, now: Instant) -> bool {
        self.away_until.replace(now + REST).is_none()
    }

    /// Whether the database is left alone for now.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.away_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Publishable {
        Publishable { key_sha256: vec![7; 32], gone: false, throttled_at: None }
    }

    #[test]
    fn answers_for_five_minutes_and_no_longer() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep("cam", Some(found()), now);
        assert_eq!(cache.get("cam", now + GOOD_FOR), Some(found()));
        assert_eq!(cache.get("cam", now + GOOD_FOR + Duration::from_millis(1)), None);
        cache.keep("cam", None, now);
        assert_eq!(cache.get("cam", now), None);
    }

    #[test]
    fn holds_two_generations_at_the_most() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for number in 0..=2 * NAMES_PER_GENERATION {
            cache.keep(&number.to_string(), Some(found()), now);
        }
        assert_eq!(cache.young.len() + cache.old.len(), NAMES_PER_GENERATION + 1);
        assert_eq!(cache.get("0", now), None);
        assert_eq!(cache.get(&NAMES_PER_GENERATION.to_string(), now), Some(found()));
    }

    #[test]
    fn the_newer_answer_of_two_generations_wins() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep("cam", Some(found()), now);
        for number in 0..NAMES_PER_GENERATION {
            cache.keep(&number.to_string(), Some(found()), now);
        }
        cache.keep("cam", None, now);
        assert_eq!(cache.get("cam", now), None);
    }

    #[test]
    fn leaves_a_database_that_is_away_alone_for_a_second() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!(!cache.rests(now));
        assert!(cache.note_away(now) && !cache.note_away(now));
        assert!(cache.rests(now) && !cache.rests(now + REST));
        cache.keep("cam", Some(found()), now);
        assert!(!cache.rests(now) && cache.note_away(now));
    }
}
