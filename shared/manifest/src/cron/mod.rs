//! When a schedule fires: cron expressions in a time zone, sound at every change of the clocks.
//!
//! The `cron` crate is asked about wall clocks only; what a wall clock means as an instant is
//! decided here, because that crate skips a schedule in the spring gap and loses the repeated
//! hour in autumn.

mod error;
mod field;
mod fold;

use std::str::FromStr as _;

use chrono::{
    DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone as _, Timelike as _, Utc,
};
use chrono_tz::{GapInfo, Tz};
use values::Timestamp;

pub use self::error::CronError;
use self::field::{FIELDS, Field};
use self::fold::Fold;

/// The longest expression that is read, in bytes.
const LONGEST_EXPRESSION: usize = 200;
/// How many wall clocks one search looks at. Two are enough: a change of the clocks turns down
/// one, and the next lies beyond that change.
const MOST_CANDIDATES: usize = 8;
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// The words that stand for an expression.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@hourly", "0 0 * * * *"),
    ("@daily", "0 0 0 * * *"),
    ("@midnight", "0 0 0 * * *"),
    ("@weekly", "0 0 0 * * SUN"),
    ("@monthly", "0 0 0 1 * *"),
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
];

/// A cron expression in a time zone.
///
/// Five fields (minute, hour, day of month, month, weekday) or six with the second in front. A
/// field is `*`, a value, a range `1-5`, a step `*/15`, `10-40/10` or `5/20`, or a list of these;
/// months and weekdays may be named, and weekdays count as on Unix (0 and 7 are Sunday). A day
/// matches if day of month *and* weekday do: `0 9 1-7 * MON` is the first Monday of a month.
///
/// When the clocks change:
/// * Hours given by `*` (or all 24) mean "at this minute of every hour that passes": an hour that
///   does not exist has none, and a repeated hour fires twice.
/// * Any other hour is a time of day and fires once on that day: if the clocks jump over it, at
///   the first instant after the jump; if they repeat it, the first time.
///
/// Fires in years 1970 to 2100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    expression: String,
    zone: Tz,
    walls: ::cron::Schedule,
    every_hour: bool,
}

impl Cron {
    /// Reads an expression of five or six fields, or a word such as `@daily`.
    ///
    /// # Errors
    /// What is wrong with it; [`CronError::NeverFires`] for a date that does not exist.
    pub fn parse(expression: &str, zone: Tz) -> Result<Self, CronError> {
        if expression.len() > LONGEST_EXPRESSION {
            return Err(CronError::TooLong(expression.len()));
        }
        let words: Vec<&str> = expression.split_whitespace().collect();
        let expression = words.join(" ");
        let full = match words[..] {
            [word] if word.starts_with('@') => SHORTHANDS
                .iter()
                .find(|(name, _)| *name == word)
                .map(|(_, full)| (*full).to_owned())
                .ok_or_else(|| CronError::UnknownWord(word.to_owned()))?,
            [_, _, _, _, _] => format!("0 {expression}"),
            _ => expression.clone(),
        };
        let words: Vec<&str> = full.split(' ').collect();
        if words.len() != FIELDS.len() || full.is_empty() {
            let found = expression.split_whitespace().count();
            return Err(CronError::FieldCount(found));
        }
        let fields: Vec<Field> = FIELDS
            .iter()
            .zip(words)
            .map(|(kind, word)| Field::parse(kind, word))
            .collect::<Result<_, _>>()?;
        let plain: Vec<String> = fields.iter().map(Field::to_string).collect();
        let walls = ::cron::Schedule::from_str(&plain.join(" "))
            .expect("lists of numbers and names within their ranges are read");
        let cron = Self { expression, zone, walls, every_hour: fields[2].is_every() };
        match cron.next_wall(DateTime::UNIX_EPOCH.naive_utc()) {
            Some(_) => Ok(cron),
            None => Err(CronError::NeverFires),
        }
    }

    /// The expression as it was written, single spaces between its fields.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The time zone the expression is read in.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Finds the first firing strictly after an instant; `None` when there is none up to 2100.
    ///
    /// Takes time in proportion to the years until then, at most 130 of them.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let local = self.zone.from_utc_datetime(&at.to_chrono().naive_utc());
        let mut wall = local.naive_local().with_nanosecond(0)?;
        if self.every_hour
            && let Some(fold) = Fold::around(self.zone, wall).filter(|fold| at < fold.switch)
        {
            // The first pass of a repeated stretch: what remains of it comes first, then all of
            // the second pass.
            let next = self.next_wall(wall)?;
            if next < fold.end {
                return self.first_instant(next);
            }
            wall = fold.start - SECOND;
        }
        for _ in 0..MOST_CANDIDATES {
            wall = self.next_wall(wall)?;
            match self.zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(only) => return Some(stamp(&only)),
                MappedLocalTime::Ambiguous(one, other) => {
                    let first = stamp(&one.min(other));
                    if first > at {
                        return Some(first);
                    }
                    if self.every_hour {
                        return Some(stamp(&one.max(other)));
                    }
                    // A time of day does not fire in the second pass.
                    wall = Fold::around(self.zone, wall)?.end - SECOND;
                }
                MappedLocalTime::None => {
                    let end = GapInfo::new(&wall, &self.zone)?.end?;
                    if !self.every_hour {
                        return Some(stamp(&end));
                    }
                    wall = end.naive_local() - SECOND;
                }
            }
        }
        None
    }

    /// The first wall clock after another one that matches, as if there were no time zones.
    fn next_wall(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let after = after.max(DateTime::UNIX_EPOCH.naive_utc() - SECOND);
        let as_utc = Utc.from_utc_datetime(&after);
        self.walls.after(&as_utc).next().map(|at| at.naive_utc())
    }

    fn first_instant(&self, wall: NaiveDateTime) -> Option<Timestamp> {
        let first = self.zone.from_local_datetime(&wall).earliest()?;
        Some(stamp(&first))
    }
}

fn stamp(at: &DateTime<Tz>) -> Timestamp {
    Timestamp::from_chrono(at.to_utc())
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
