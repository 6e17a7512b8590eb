//! Calendar months: half-open UTC intervals, written `2026-10`.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDate, NaiveTime};

use crate::Timestamp;
use crate::text::as_text;

/// Why a text is not a month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a month; write it as 2026-10")]
pub struct MonthError {
    /// What was found (at most 40 characters).
    pub found: String,
}

/// A calendar month in UTC, from its first instant to the first instant of the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u32,
}

impl Month {
    /// Makes a month of years 1 to 9999 and months 1 to 12; `None` outside.
    pub fn new(year: i32, month: u32) -> Option<Self> {
        ((1..=9999).contains(&year) && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    /// The first instant of the month.
    pub fn start(self) -> Timestamp {
        let first = NaiveDate::from_ymd_opt(self.year, self.month, 1).expect("a valid month");
        Timestamp::from_chrono(first.and_time(NaiveTime::MIN).and_utc())
    }

    /// The first instant that no longer belongs to the month.
    pub fn end(self) -> Timestamp {
        match self.next() {
            Some(next) => next.start(),
            None => Timestamp::MAX,
        }
    }

    /// The following month, or `None` after 9999-12.
    pub fn next(self) -> Option<Self> {
        if self.month == 12 {
            Self::new(self.year + 1, 1)
        } else {
            Self::new(self.year, self.month + 1)
        }
    }

    /// The month before, or `None` before 0001-01.
    pub fn previous(self) -> Option<Self> {
        if self.month == 1 {
            Self::new(self.year - 1, 12)
        } else {
            Self::new(self.year, self.month - 1)
        }
    }

    /// Number of days, 28 to 31.
    pub fn days(self) -> u32 {
        let micros = self.end().as_micros() - self.start().as_micros();
        u32::try_from((micros + 1) / 86_400_000_000).expect("a month has at most 31 days")
    }

    /// Whether the instant lies in the month.
    pub fn contains(self, at: Timestamp) -> bool {
        at.month() == self
    }

    /// A number that sorts as months do: year times 12 plus month minus 1. Stored in tables.
    pub fn index(self) -> i64 {
        i64::from(self.year) * 12 + i64::from(self.month) - 1
    }

    /// The month with that [`index`](Self::index).
    pub fn from_index(index: i64) -> Option<Self> {
        let year = i32::try_from(index.div_euclid(12)).ok()?;
        let month = u32::try_from(index.rem_euclid(12) + 1).ok()?;
        Self::new(year, month)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let read = || {
            let (year, month) = text.split_once('-')?;
            let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
            if year.len() != 4 || month.len() != 2 || !digits(year) || !digits(month) {
                return None;
            }
            Self::new(year.parse().ok()?, month.parse().ok()?)
        };
        read().ok_or_else(|| MonthError { found: text.chars().take(40).collect() })
    }
}

as_text!(Month, { "type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_half_open_and_knows_its_days() {
        let february = Month::new(2028, 2).unwrap();
        assert_eq!(february.start().to_string(), "2028-02-01T00:00:00Z");
        assert_eq!(february.end().to_string(), "2028-03-01T00:00:00Z");
        assert_eq!(february.days(), 29);
        assert!(february.contains(february.start()));
        assert!(!february.contains(february.end()));
        assert_eq!(Month::new(9999, 12).unwrap().days(), 31);
    }

    #[test]
    fn steps_over_the_turn_of_the_year() {
        let december: Month = "2026-12".parse().unwrap();
        let january: Month = "2027-01".parse().unwrap();
        assert_eq!(december.next(), Some(january));
        assert_eq!(january.previous(), Some(december));
        assert_eq!(Month::from_index(january.index()), Some(january));
        assert_eq!(december.index() + 1, january.index());
    }

    #[test]
    fn refuses_other_spellings() {
        for text in ["2026-1", "2026-13", "26-10", "2026/10", "2026-00", "+026-10", "2026-10-01"] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
