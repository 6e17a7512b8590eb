//! The tokens of JSON: strings, numbers and words, by RFC 8259.

use std::borrow::Cow;

use super::Kind;
use crate::EnvelopeError;

/// Numbers shorter than this, without exponent, always fit a double.
const SHORT_NUMBER: usize = 300;

/// A place in a text. All methods leave it between characters.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes a scalar, or only the opening bracket of an object or array.
    pub(super) fn begin_value(&mut self) -> Result<Kind, EnvelopeError> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(Kind::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Kind::Array)
            }
            Some(b'"') => self.string().map(|_| Kind::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b't') => self.word("true", Kind::Boolean),
            Some(b'f') => self.word("false", Kind::Boolean),
            Some(b'n') => self.word("null", Kind::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the text ends where a value was expected")),
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, EnvelopeError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(self.error("expected true, false or null"))
        }
    }

    /// Takes a string and returns what is between its quotes, escapes checked but left as they are.
    pub(super) fn string(&mut self) -> Result<&'a str, EnvelopeError> {
        let start = self.at + 1;
        self.at = start;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => {
                    return Err(self.error("control characters in a string are written as \\u00.."));
                }
                Some(_) => self.at += 1,
                None => return Err(self.error("the text ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), EnvelopeError> {
        const LONE: &str = "a surrogate escape stands without its other half";
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit(self.at)? {
                0xDC00..=0xDFFF => return Err(self.error(LONE)),
                0xD800..=0xDBFF => {
                    let low = self.at + 6;
                    if !self.text.as_bytes()[low..].starts_with(b"\\u")
                        || !(0xDC00..=0xDFFF).contains(&self.unit(low)?)
                    {
                        return Err(self.error(LONE));
                    }
                    self.at = low + 6;
                }
                _ => self.at += 6,
            },
            _ => return Err(self.error("unknown escape in a string")),
        }
        Ok(())
    }

    /// Reads the four digits of the `\u` escape that begins at `at`.
    fn unit(&self, at: usize) -> Result<u32, EnvelopeError> {
        let digits = self.text.as_bytes().get(at + 2..at + 6).unwrap_or_default();
        let hex = |value, digit: &u8| Some(value * 16 + char::from(*digit).to_digit(16)?);
        match digits.iter().try_fold(0, hex) {
            Some(unit) if digits.len() == 4 => Ok(unit),
            _ => Err(self.error("\\u is followed by four hexadecimal digits")),
        }
    }

    fn number(&mut self) -> Result<(), EnvelopeError> {
        let start = self.at;
        let mut has_exponent = false;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if self.peek().is_some_and(|b| b.is_ascii_digit()) {
                return Err(self.error("a number has no leading zeros"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            has_exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let number = &self.text[start..self.at];
        let large = has_exponent || number.len() >= SHORT_NUMBER;
        // Asked of the reader that decodes payloads: near the largest double it rounds otherwise
        // than the standard library, and what is taken here must not fail there.
        if large && serde_json::from_str::<f64>(number).is_err() {
            self.at = start;
            return Err(self.error("the number is too large"));
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), EnvelopeError> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    pub(super) fn error(&self, what: &'static str) -> EnvelopeError {
        let before = &self.text.as_bytes()[..self.at];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + self.text[..line_start].matches('\n').count();
        // Continuation bytes of UTF-8 begin with the bits 10.
        let is_character = |b: &&u8| **b & 0xC0 != 0x80;
        let column = 1 + before[line_start..].iter().filter(is_character).count();
        EnvelopeError::NotJson { line, column, what }
    }
}

/// Resolves the escapes of a string the cursor has accepted; `raw` is what is between the quotes.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let text = serde_json::from_str(&format!("\"{raw}\""));
    Cow::Owned(text.expect("the cursor checked every escape and character"))
}
