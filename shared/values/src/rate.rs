//! How often something may start: so many tasks per span of time, such as `100/1m`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::Span;
use crate::text::as_text;

/// What a rate may allow in one window.
const TASKS: RangeInclusive<u32> = 1..=1_000_000;
/// How long the window of a rate may be.
const PER: RangeInclusive<Span> = Span::from_seconds(1)..=Span::from_days(1);

/// Why a text is not a rate; what was found is cut to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// No number, slash and duration.
    #[error("`{0}` is not a rate; write tasks per time, such as 100/1m or 5/1s")]
    Form(String),
    /// Too few or too many tasks.
    #[error("a rate of {0} tasks; write 1 to 1000000 tasks")]
    Tasks(u32),
    /// Too short or too long a window.
    #[error("a rate per {0}; write a window from 1s to 1d")]
    Per(Span),
}

/// So many tasks in any window of a span: 1 to 1,000,000 tasks per 1 s to 1 d.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    tasks: u32,
    per: Span,
}

impl Rate {
    /// Takes the tasks and the window.
    ///
    /// # Errors
    /// [`RateError::Tasks`] or [`RateError::Per`] for one that is out of its range.
    pub fn new(tasks: u32, per: Span) -> Result<Self, RateError> {
        if !TASKS.contains(&tasks) {
            return Err(RateError::Tasks(tasks));
        }
        if !PER.contains(&per) {
            return Err(RateError::Per(per));
        }
        Ok(Self { tasks, per })
    }

    /// The most tasks of one window.
    pub const fn tasks(self) -> u32 {
        self.tasks
    }

    /// The window.
    pub const fn per(self) -> Span {
        self.per
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tasks, self.per)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let form = || RateError::Form(text.chars().take(40).collect());
        let (tasks, per) = text.split_once('/').ok_or_else(form)?;
        if tasks.is_empty() || !tasks.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        // A number beyond 32 bits is too large whatever it is.
        let tasks = tasks.parse().unwrap_or(u32::MAX);
        Self::new(tasks, per.parse().map_err(|_| form())?)
    }
}

as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_tasks_per_time() {
        let check = |text: &str, tasks, per, printed: &str| {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.tasks(), rate.per()), (tasks, per), "{text}");
            assert_eq!(rate.to_string(), printed);
            assert_eq!(printed.parse(), Ok(rate));
        };
        check("100/1m", 100, Span::from_minutes(1), "100/1m");
        check("1/1s", 1, Span::from_seconds(1), "1/1s");
        check("1000000/24h", 1_000_000, Span::from_days(1), "1000000/1d");
        check("007/90s", 7, Span::from_seconds(90), "7/1m30s");
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        };
        for text in ["", "100", "/1m", "100/", "100/m", "-1/1m", "+1/1m", "1.5/1m", "1/1m/1m"] {
            check(text, &format!("`{text}` is not a rate; write tasks per time"));
        }
        check("0/1m", "a rate of 0 tasks");
        check("1000001/1m", "a rate of 1000001 tasks");
        check("99999999999/1m", "a rate of 4294967295 tasks");
        check("5/999ms", "a rate per 999ms");
        check("5/1d1us", "a rate per 1d1us");
    }
}
