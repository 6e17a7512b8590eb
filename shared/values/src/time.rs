//! Instants: microseconds since 1970-01-01T00:00:00Z, UTC, leap seconds not counted.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, Utc};

use crate::text::as_text;
use crate::{Month, Span};

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;

/// Tells the time; handed to whoever needs it, so that tests and `--at` can set it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

/// A clock that always tells the same instant.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an instant; write it as 2026-10-31T23:59:00Z")]
pub struct TimeError {
    /// What was found (at most 60 characters).
    pub found: String,
}

/// An instant in microseconds since 1970 UTC; may lie before 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that is printed and read: year 1.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// The latest instant that is printed and read: the end of year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Takes microseconds since 1970; values outside years 1 to 9999 are held at the bound.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Takes whole seconds since 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_micros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The instant `span` later, held at [`Timestamp::MAX`].
    #[must_use]
    pub fn after(self, span: Span) -> Self {
        Self::from_micros(self.0.saturating_add(span.as_micros()))
    }

    /// The instant `span` earlier, held at [`Timestamp::MIN`].
    #[must_use]
    pub fn before(self, span: Span) -> Self {
        Self::from_micros(self.0.saturating_sub(span.as_micros()))
    }

    /// The time from `earlier` to this instant; zero if that is later.
    pub fn since(self, earlier: Self) -> Span {
        Span::from_micros(self.0.saturating_sub(earlier.0).max(0))
    }

    /// The start of the UTC hour this instant lies in.
    #[must_use]
    pub fn hour_start(self) -> Self {
        const HOUR: i64 = 3_600 * MICROS_PER_SECOND;
        Self::from_micros(self.0.div_euclid(HOUR) * HOUR)
    }

    /// The UTC month this instant lies in.
    pub fn month(self) -> Month {
        let date = self.to_chrono();
        Month::new(date.year(), date.month()).expect("a timestamp lies in years 1 to 9999")
    }

    /// The same instant for the `chrono` crate.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).expect("a timestamp lies in years 1 to 9999")
    }

    /// Takes an instant of the `chrono` crate, cut to microseconds.
    pub fn from_chrono(at: DateTime<Utc>) -> Self {
        Self::from_micros(at.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.0.rem_euclid(MICROS_PER_SECOND) {
            0 => SecondsFormat::Secs,
            rest if rest % 1_000 == 0 => SecondsFormat::Millis,
            _ => SecondsFormat::Micros,
        };
        f.write_str(&self.to_chrono().to_rfc3339_opts(format, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError { found: text.chars().take(60).collect() };
        let at = match DateTime::parse_from_rfc3339(text) {
            Ok(at) => at.with_timezone(&Utc),
            Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ")
                .map_err(|_| error())?
                .and_utc(),
        };
        if (1..=9999).contains(&at.year()) { Ok(Self::from_chrono(at)) } else { Err(error()) }
    }
}

as_text!(Timestamp, { "type": "string", "format": "date-time" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_no_more_digits_than_it_needs() {
        let check = |micros, text: &str| {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_micros(micros)));
        };
        check(0, "1970-01-01T00:00:00Z");
        check(1_500_000, "1970-01-01T00:00:01.500Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
        check(Timestamp::MIN.as_micros(), "0001-01-01T00:00:00Z");
        check(Timestamp::MAX.as_micros(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn cuts_to_hours_and_months_before_1970_too() {
        let at: Timestamp = "1969-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(at.hour_start().to_string(), "1969-12-31T23:00:00Z");
        assert_eq!(at.month().to_string(), "1969-12");
        assert_eq!(at.as_seconds(), -1);
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-10-31", "2026-10-31T23:59:00"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
