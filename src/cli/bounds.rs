//! What the command line takes: the same bounds as worker.toml.

use std::ops::RangeInclusive;

use values::{Span, Timestamp};

/// About ten years.
const LONGEST: Span = Span::from_days(520 * 7);
/// How long one attempt may take.
const ATTEMPT: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_days(28);
/// Bytes of a word that something is named or found by.
const WORD_BYTES: usize = 255;

/// A span of at most 520 weeks.
pub(super) fn wait(text: &str) -> Result<Span, String> {
    within(text, &(Span::ZERO..=LONGEST))
}

/// A time limit of one attempt.
pub(super) fn attempt(text: &str) -> Result<Span, String> {
    within(text, &ATTEMPT)
}

fn within(text: &str, bounds: &RangeInclusive<Span>) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: values::DurationError| error.to_string())?;
    if bounds.contains(&span) {
        Ok(span)
    } else {
        Err(format!("write a span from {} to {}", bounds.start(), bounds.end()))
    }
}

/// An instant of 1970 or later.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let at: Timestamp = text.parse().map_err(|error: values::TimeError| error.to_string())?;
    if at < Timestamp::EPOCH { Err("it lies before 1970".to_owned()) } else { Ok(at) }
}

/// A word that is not empty.
pub(super) fn word(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("it is empty; leave the option out, or name something".to_owned())
    } else if text.len() > WORD_BYTES {
        Err(format!("it has {} bytes; at most {WORD_BYTES} are taken", text.len()))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_those_of_worker_toml() {
        for (text, fits) in [("1ms", true), ("4w", true), ("0s", false), ("999us", false)] {
            assert_eq!(attempt(text).is_ok(), fits, "{text}");
        }
        assert_eq!(attempt("29d").unwrap_err(), "write a span from 1ms to 4w");
        for (text, fits) in [("0s", true), ("520w", true), ("521w", false), ("5", false)] {
            assert_eq!(wait(text).is_ok(), fits, "{text}");
        }
        assert!(instant("1970-01-01T00:00:00Z").is_ok());
        assert!(instant("1969-12-31T23:59:59Z").unwrap_err().contains("1970"));
        assert!(word("m1").is_ok() && word(" ").is_err() && word(&"x".repeat(256)).is_err());
    }
}
