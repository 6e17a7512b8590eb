//! One field of a cron expression as the set of its values.

use std::fmt;

use super::CronError;

/// The longest part of a field that a message repeats, in characters.
const LONGEST_SHOWN: usize = 40;

/// What a field takes.
#[derive(Debug)]
pub(super) struct FieldKind {
    name: &'static str,
    values: &'static str,
    least: u32,
    most: u32,
    /// Full names in lower case, the first for `least`; three letters or more of one will do.
    names: &'static [&'static str],
    takes_question_mark: bool,
}

const fn numbers(name: &'static str, values: &'static str, least: u32, most: u32) -> FieldKind {
    FieldKind { name, values, least, most, names: &[], takes_question_mark: false }
}

const WEEKDAYS: &[&str] =
    &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The fields in their order.
pub(super) static FIELDS: [FieldKind; 6] = [
    numbers("second", "0 to 59", 0, 59),
    numbers("minute", "0 to 59", 0, 59),
    numbers("hour", "0 to 23", 0, 23),
    FieldKind { takes_question_mark: true, ..numbers("day of month", "1 to 31", 1, 31) },
    FieldKind { names: MONTHS, ..numbers("month", "1 to 12, JAN to DEC", 1, 12) },
    FieldKind {
        takes_question_mark: true,
        names: WEEKDAYS,
        ..numbers("weekday", "0 to 7 (0 and 7 are Sunday), SUN to SAT", 0, 6)
    },
];

/// The values of a field. Prints as the `cron` crate reads it.
#[derive(Debug)]
pub(super) struct Field {
    kind: &'static FieldKind,
    /// Bit n stands for value n.
    values: u64,
    has_star: bool,
}

impl Field {
    pub(super) fn parse(kind: &'static FieldKind, text: &str) -> Result<Self, CronError> {
        let mut values = 0;
        let mut has_star = false;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (part, None),
            };
            let wrong = || kind.wrong(part);
            let is_star = range == "*" || (range == "?" && kind.takes_question_mark);
            has_star |= is_star;
            let (first, last) = match range.split_once('-') {
                _ if is_star => (kind.least, kind.most),
                Some((first, last)) => {
                    let first = kind.value(first).ok_or_else(wrong)?;
                    let last = kind.value(last).ok_or_else(wrong)?;
                    // A Sunday at the end of a range ends the week instead of beginning it.
                    let ends_week = kind.is_weekday() && last == 0 && first > 0;
                    (first, if ends_week { 7 } else { last })
                }
                None => {
                    let only = kind.value(range).ok_or_else(wrong)?;
                    // `5/20` means from 5 on, as far as the field goes.
                    (only, step.map_or(only, |_| kind.most.max(only)))
                }
            };
            if first > last {
                return Err(CronError::Backwards { found: cut(part) });
            }
            let step = step.map_or(Some(1), |step| kind.step(step)).ok_or_else(wrong)?;
            for value in (first..=last).step_by(step) {
                values |= 1 << kind.folded(value);
            }
        }
        Ok(Self { kind, values, has_star })
    }

    /// Whether the field was given by `*`, or names every value.
    pub(super) fn is_every(&self) -> bool {
        self.has_star || self.is_full()
    }

    fn is_full(&self) -> bool {
        (self.kind.least..=self.kind.most).all(|value| self.has(value))
    }

    fn has(&self, value: u32) -> bool {
        self.values & (1 << value) != 0
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_full() {
            return f.write_str("*");
        }
        let mut comma = "";
        for value in (self.kind.least..=self.kind.most).filter(|value| self.has(*value)) {
            f.write_str(comma)?;
            // Weekdays by name, because the `cron` crate counts them from Sunday = 1.
            match self.kind.names.get((value - self.kind.least) as usize) {
                Some(name) => f.write_str(name)?,
                None => write!(f, "{value}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl FieldKind {
    fn is_weekday(&self) -> bool {
        self.names.len() == WEEKDAYS.len()
    }

    /// The most that may be written: 7 is a second number for Sunday.
    fn most_written(&self) -> u32 {
        if self.is_weekday() { 7 } else { self.most }
    }

    fn folded(&self, value: u32) -> u32 {
        if self.is_weekday() { value % 7 } else { value }
    }

    fn value(&self, text: &str) -> Option<u32> {
        if text.len() <= 2 {
            return digits(text).filter(|n| (self.least..=self.most_written()).contains(n));
        }
        let name = text.to_ascii_lowercase();
        let index = self.names.iter().position(|full| full.starts_with(&name))?;
        Some(self.least + u32::try_from(index).ok()?)
    }

    fn step(&self, text: &str) -> Option<usize> {
        let step = digits(text).filter(|step| (1..=self.most).contains(step))?;
        usize::try_from(step).ok()
    }

    fn wrong(&self, part: &str) -> CronError {
        CronError::Field { found: cut(part), field: self.name, values: self.values }
    }
}

/// One or two digits and nothing else.
fn digits(text: &str) -> Option<u32> {
    if text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_SHOWN).collect()
}
