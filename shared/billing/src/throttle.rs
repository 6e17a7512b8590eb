//! An account's throttle: from when on it holds, what it stops, and when it ends by itself.
//!
//! A throttle lives on the account; projects derive it. It stops calls and publishing, never
//! playback, and only from its date on: a date to come is a time of grace.

use values::{Month, Timestamp, words};

use crate::BilledBy;

words! {
    /// Why an account is throttled.
    ThrottledReason, "a reason for a throttle":
    /// It used more than it may.
    OverLimit = "overLimit",
    /// Its card was declined and grace is over.
    CardDeclined = "cardDeclined",
}

/// A throttle of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// From when on it holds.
    pub at: Timestamp,
    /// Why.
    pub reason: ThrottledReason,
}

impl Throttle {
    /// Whether it holds at an instant.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.at <= now
    }

    /// Whether a new month ends it: only for too much usage, and only where a provider bills.
    ///
    /// Who bills itself has to add a card or take another plan; a declined card has to be paid.
    pub fn ends_with_month(&self, billed_by: BilledBy, now: Timestamp) -> bool {
        let new_month = self.holds(now) && self.at.month() < now.month();
        new_month
            && billed_by == BilledBy::Provider
            && match self.reason {
                ThrottledReason::OverLimit => true,
                ThrottledReason::CardDeclined => false,
            }
    }
}

/// A throttle that has been: half-open, without an end if it still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottlePeriod {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Option<Timestamp>,
}

/// Whether an account was throttled from the first instant of a month to its last.
///
/// Periods may be in any order and may overlap; those that meet count as one.
pub fn throttled_throughout(month: Month, periods: &[ThrottlePeriod]) -> bool {
    let mut periods: Vec<&ThrottlePeriod> = periods.iter().collect();
    periods.sort_by_key(|period| period.from);
    let mut covered_to = month.start();
    for period in periods {
        if period.from > covered_to {
            return false;
        }
        covered_to = covered_to.max(period.until.unwrap_or(Timestamp::MAX));
        if covered_to >= month.end() {
            return true;
        }
    }
    false
}

/// What a stream's name leads to.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// The stream's key as stored; if that is a digest, the given key is digested alike.
    pub stream_key: &'a [u8],
    /// Whether stream, project or account is deleted, or the stream belongs to no project.
    pub gone: bool,
    /// From when on the account is throttled.
    pub throttled_at: Option<Timestamp>,
}

words! {
    /// The answer to who wants to publish.
    PublishAnswer, "an answer to a publisher":
    /// They may.
    Allowed = "allowed",
    /// The key is wrong.
    WrongKey = "wrong_key",
    /// The account is throttled.
    Throttled = "throttled",
    /// There is no such stream.
    NotFound = "not_found",
}

impl PublishAnswer {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Allowed => 200,
            Self::WrongKey => 401,
            Self::Throttled => 402,
            Self::NotFound => 404,
        }
    }
}

/// Decides whether someone may publish a stream, now, with the key they gave.
///
/// `found` is what the name leads to, `None` if to nothing. There is no parameter that skips the
/// check: relays give the key too. A throttle counts from its date on, so that the time of grace
/// holds for publishing as well, and is told only to those who know the key.
pub fn publish_check(
    found: Option<&Publication<'_>>,
    given_key: &[u8],
    now: Timestamp,
) -> PublishAnswer {
    let Some(stream) = found.filter(|stream| !stream.gone) else {
        return PublishAnswer::NotFound;
    };
    if !same(stream.stream_key, given_key) {
        return PublishAnswer::WrongKey;
    }
    match stream.throttled_at {
        Some(at) if at <= now => PublishAnswer::Throttled,
        _ => PublishAnswer::Allowed,
    }
}

/// Compares in a time that depends on the length only; an empty key matches nothing.
fn same(stored: &[u8], given: &[u8]) -> bool {
    let differences = stored.iter().zip(given).fold(0, |found, (a, b)| found | (a ^ b));
    !stored.is_empty() && stored.len() == given.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Fault 10: a throttle stops publishers from its date on, not before.
    #[test]
    fn a_publisher_needs_stream_key_and_an_account_in_good_standing() {
        let now = at("2015-02-10T00:00:00Z");
        let stream = Publication { stream_key: b"secret", gone: false, throttled_at: None };
        let check = |found: Option<Publication<'_>>, key: &[u8], status| {
            assert_eq!(publish_check(found.as_ref(), key, now).status(), status);
        };
        let throttled = |text| Publication { throttled_at: Some(at(text)), ..stream };
        check(None, b"secret", 404);
        check(Some(Publication { gone: true, ..stream }), b"secret", 404);
        check(Some(stream), b"secre", 401);
        check(Some(stream), b"secreT", 401);
        check(Some(stream), b"", 401);
        check(Some(Publication { stream_key: b"", ..stream }), b"", 401);
        check(Some(throttled("2015-02-10T00:00:00Z")), b"secret", 402);
        check(Some(throttled("2015-02-10T00:00:00Z")), b"wrong!", 401);
        check(Some(throttled("2015-02-10T00:00:01Z")), b"secret", 200);
        check(Some(stream), b"secret", 200);
    }

    #[test]
    fn only_a_marketplaces_over_limit_ends_with_the_month() {
        let check = |reason, billed_by, now, ends| {
            let throttle = Throttle { at: at("2015-02-10T00:00:00Z"), reason };
            assert_eq!(throttle.ends_with_month(billed_by, at(now)), ends, "{reason} {now}");
        };
        let over = ThrottledReason::OverLimit;
        check(over, BilledBy::Provider, "2015-03-01T00:00:00Z", true);
        check(over, BilledBy::Provider, "2015-02-28T23:59:59Z", false);
        check(over, BilledBy::Company, "2015-03-01T00:00:00Z", false);
        check(ThrottledReason::CardDeclined, BilledBy::Provider, "2015-03-01T00:00:00Z", false);
    }

    #[test]
    fn a_month_is_throttled_throughout_only_without_a_gap() {
        let period =
            |from, until: Option<&str>| ThrottlePeriod { from: at(from), until: until.map(at) };
        let check = |periods: &[ThrottlePeriod], expected| {
            assert_eq!(throttled_throughout("2015-02".parse().unwrap(), periods), expected);
        };
        check(&[], false);
        check(&[period("2015-02-01T00:00:00Z", None)], true);
        check(&[period("2015-02-01T00:00:01Z", None)], false);
        check(&[period("2015-01-01T00:00:00Z", Some("2015-02-28T23:59:59Z"))], false);
        let first = period("2015-01-01T00:00:00Z", Some("2015-02-10T00:00:00Z"));
        check(&[period("2015-02-10T00:00:00Z", Some("2015-03-01T00:00:00Z")), first], true);
        check(&[period("2015-02-10T00:00:01Z", None), first], false);
    }
}
