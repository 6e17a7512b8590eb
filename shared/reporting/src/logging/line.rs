//! One log line: the values of an event, bounded and without secrets.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};
use values::Timestamp;

use crate::logging::LogLevel;
use crate::scrub::Scrubber;

/// The most that one value of a line shows, in bytes.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// The most that one value is printed to before secrets are taken out, in bytes.
///
/// It is larger than what is shown, so that a secret is seen whole before the text is cut.
const MAX_PRINTED_BYTES: usize = 64 * 1024;

/// The most errors of a chain that are printed.
const MAX_CAUSES: usize = 16;

/// A line as it is written and kept.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) level: LogLevel,
    pub(crate) target: &'static str,
    pub(crate) message: String,
    pub(crate) fields: Vec<(&'static str, Value)>,
}

/// Values of an event or span in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: String,
    pub(crate) values: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Adds the values whose names are not taken yet.
    pub(crate) fn add_outer(&mut self, outer: &Self) {
        for (name, value) in &outer.values {
            if self.values.iter().all(|(taken, _)| taken != name) {
                self.values.push((name, value.clone()));
            }
        }
    }
}

/// Reads the values of an event or span.
pub(crate) struct Reader<'a> {
    pub(crate) fields: &'a mut Fields,
    pub(crate) scrubber: &'a Scrubber,
}

impl Reader<'_> {
    fn print(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Bounded::default();
        // An error means that the bound is reached; what fits is kept.
        let full = text.write_fmt(value).is_err();
        let clean = self.scrubber.scrub_owned(text.0);
        let shown = match cut(&clean, MAX_VALUE_BYTES) {
            Cow::Owned(short) => short,
            Cow::Borrowed(_) if full => clean + "…",
            Cow::Borrowed(_) => clean,
        };
        if field.name() == "message" {
            self.fields.message = shown;
        } else {
            self.set(field, Value::from(shown));
        }
    }

    fn set(&mut self, field: &Field, value: Value) {
        match self.fields.values.iter_mut().find(|(name, _)| *name == field.name()) {
            Some((_, old)) => *old = value,
            None => self.fields.values.push((field.name(), value)),
        }
    }
}

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.print(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.print(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.print(field, format_args!("{}", Chain(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }
}

/// Cuts a text to at most `bytes_max` bytes at a character, with an ellipsis if anything is gone.
pub(crate) fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    match bytes_max.checked_sub('…'.len_utf8()) {
        Some(room) => Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(room)])),
        None => Cow::Borrowed(""),
    }
}

/// An error and its causes, outermost first.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        for _ in 0..MAX_CAUSES {
            let Some(error) = cause else { break };
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Takes up to [`MAX_PRINTED_BYTES`] and then ends the printing with an error.
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_PRINTED_BYTES - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_characters() {
        let check = |text: &str, bytes_max, expected: &str| {
            let short = cut(text, bytes_max);
            assert_eq!(short, expected);
            assert!(short.len() <= bytes_max);
        };
        check("short", 5, "short");
        check("longer", 5, "lo…");
        check("éééé", 7, "éé…");
        check("éééé", 2, "");
    }

    #[test]
    fn prints_no_further_than_its_bound() {
        let mut text = Bounded::default();
        let long = "é".repeat(MAX_PRINTED_BYTES);
        assert!(write!(text, "x{long}").is_err());
        assert_eq!(text.0.len(), MAX_PRINTED_BYTES - 1);
    }

    #[test]
    fn prints_the_chain_of_an_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the file")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("the disk is full"));
        assert_eq!(Chain(&error).to_string(), "cannot read the file: the disk is full");
    }
}
