//! When a month closes, and when a refused charge is tried again.

use values::{Month, Span, Timestamp};

/// How long an account may go on after the first decline of a month.
pub const GRACE: Span = Span::from_days(4);

/// The instant from which on the monthly run takes a month: late logs have arrived by then.
pub fn closes_at(month: Month, close_after: Span) -> Timestamp {
    month.end().after(close_after)
}

/// The tries after a first decline: one day later, three days later, an hour before grace ends.
pub fn retry_times(grace_until: Timestamp) -> [Timestamp; 3] {
    let declined_at = grace_until.before(GRACE);
    [
        declined_at.after(Span::from_days(1)),
        declined_at.after(Span::from_days(3)),
        grace_until.before(Span::from_hours(1)),
    ]
}

/// The next try by itself after an attempt that was refused; `None` after the last one.
///
/// A try that fell into a time when nothing ran is made up for once, not once per missed time.
pub fn next_retry(grace_until: Timestamp, attempted_at: Timestamp) -> Option<Timestamp> {
    retry_times(grace_until).into_iter().find(|&due| due > attempted_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_on_day_one_day_three_and_in_the_last_hour() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let grace = at("2015-01-07T08:00:00Z");
        let check = |attempted, next: Option<&str>| {
            assert_eq!(next_retry(grace, at(attempted)), next.map(at), "{attempted}");
        };
        check("2015-01-03T08:00:00Z", Some("2015-01-04T08:00:00Z"));
        check("2015-01-04T08:00:03Z", Some("2015-01-06T08:00:00Z"));
        check("2015-01-06T20:00:00Z", Some("2015-01-07T07:00:00Z"));
        check("2015-01-07T07:00:00Z", None);
    }

    /// Fault 18: late logs have their time to arrive.
    #[test]
    fn a_month_closes_some_time_after_its_end() {
        let month = "2015-02".parse().unwrap();
        assert_eq!(closes_at(month, Span::from_hours(48)).to_string(), "2015-03-03T00:00:00Z");
    }
}
