//! Spans of time written with their unit, such as `90s`, `2m` or `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::text::as_text;

/// Units, longest first, in microseconds.
const UNITS: [(&str, i64); 7] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Why a text is not a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a duration; write a number and a unit: 250ms, 30s, 5m, 48h, 7d")]
pub struct DurationError {
    /// What was found (at most 40 characters).
    pub found: String,
}

/// A span of time in microseconds, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Takes microseconds; negative ones become zero.
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < 0 { 0 } else { micros })
    }

    /// Takes milliseconds.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as i64 * 1_000)
    }

    /// Takes seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000)
    }

    /// Takes minutes.
    pub const fn from_minutes(minutes: u32) -> Self {
        Self(minutes as i64 * 60_000_000)
    }

    /// Takes hours.
    pub const fn from_hours(hours: u32) -> Self {
        Self(hours as i64 * 3_600_000_000)
    }

    /// Takes days of 24 hours.
    pub const fn from_days(days: u32) -> Self {
        Self(days as i64 * 86_400_000_000)
    }

    /// Microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Seconds, with the fraction.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of 285 years fit a double")]
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The same span for the standard library and tokio.
    pub fn to_std(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    /// Takes a span of the standard library, cut to microseconds.
    pub fn from_std(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, micros) in UNITS {
            if rest >= micros {
                write!(f, "{}{unit}", rest / micros)?;
                rest %= micros;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Span {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        read(text).map(Self).ok_or_else(|| DurationError { found: text.chars().take(40).collect() })
    }
}

fn read(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut total = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, micros) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        rest = &rest[letters..];
        total = Some(number.checked_mul(*micros)?.checked_add(total.unwrap_or(0))?);
    }
    total
}

as_text!(Span, { "type": "string", "pattern": "^([0-9]+(us|ms|s|m|h|d|w))+$" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_units() {
        let check = |text: &str, micros, printed: &str| {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_micros(), micros, "{text}");
            assert_eq!(span.to_string(), printed);
        };
        check("2m", 120_000_000, "2m");
        check("90s", 90_000_000, "1m30s");
        check("1h30m", 5_400_000_000, "1h30m");
        check("250ms", 250_000, "250ms");
        check("0s", 0, "0s");
        check("48h", 172_800_000_000, "2d");
    }

    #[test]
    fn refuses_numbers_without_unit_and_overflow() {
        for text in ["", "5", "m", "-1s", "1.5h", "2 m", "99999999999999d", "5minutes"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
