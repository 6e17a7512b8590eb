//! JSON kept as text, byte for byte.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{EnvelopeError, Limits, scan};

/// Valid JSON exactly as it was received, without the white space around it. Cheap to clone.
///
/// No key appears twice in one object, every number is finite and every text is Unicode. It may
/// hold configuration in clear text, so it is not serialized by accident and `Debug` shows only
/// its length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// Takes one JSON value, within the limits.
    ///
    /// # Errors
    /// `TooLarge`, `NotJson`, `TooDeep` or `DuplicateKey`.
    pub fn parse(text: impl AsRef<str>, limits: &Limits) -> Result<Self, EnvelopeError> {
        let text = text.as_ref();
        limits.check_size(text.len())?;
        Ok(Self(scan::scan(text, limits.max_depth)?.value.into()))
    }

    /// Writes a value of this program as JSON.
    ///
    /// # Errors
    /// `NotWritable` if the value has keys that are not texts, or a key twice.
    pub fn from_value(value: &impl Serialize) -> Result<Self, EnvelopeError> {
        let text = serde_json::to_string(value).map_err(|_| EnvelopeError::NotWritable)?;
        // Flattened fields can write a key twice, which no reader downstream would agree on.
        match scan::scan(&text, usize::MAX) {
            Ok(_) => Ok(Self(text.into())),
            Err(_) => Err(EnvelopeError::NotWritable),
        }
    }

    /// The empty object, `{}`.
    pub fn empty_object() -> Self {
        Self("{}".into())
    }

    /// Takes text that the scanner has accepted.
    pub(crate) fn from_scanned(value: &str) -> Self {
        Self(value.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes of the text; what proofs cover.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether the value is an object.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson([{} bytes])", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn keeps_the_text_and_drops_the_space_around_it() {
        let raw = RawJson::parse(" {\"a\" : 1.50}\n", &Limits::default()).unwrap();
        assert_eq!(raw.as_str(), "{\"a\" : 1.50}");
        assert!(raw.is_object());
    }

    #[test]
    fn applies_the_limits() {
        let limits = Limits { max_bytes: 4, max_depth: 1 };
        let code = |text| RawJson::parse(text, &limits).unwrap_err().code();
        assert_eq!(code("[1,2]"), "too_large");
        assert_eq!(code("[[]]"), "too_deep");
        assert_eq!(code("[1,]"), "not_json");
    }

    #[test]
    fn writes_values_and_refuses_keys_that_are_no_text_or_appear_twice() {
        #[derive(Serialize)]
        struct Twice {
            a: u8,
            #[serde(flatten)]
            rest: HashMap<String, u8>,
        }
        let twice = Twice { a: 1, rest: HashMap::from([("a".to_owned(), 2)]) };
        assert_eq!(RawJson::from_value(&vec![1, 2]).unwrap().as_str(), "[1,2]");
        let odd = HashMap::from([(vec![1], 1)]);
        assert_eq!(RawJson::from_value(&odd), Err(EnvelopeError::NotWritable));
        assert_eq!(RawJson::from_value(&twice), Err(EnvelopeError::NotWritable));
    }

    #[test]
    fn shows_nothing_of_the_value() {
        let raw = RawJson::parse("\"canary\"", &Limits::default()).unwrap();
        assert_eq!(format!("{raw:?}"), "RawJson([8 bytes])");
    }
}
