//! Forms, as bodies and as queries.

use std::fmt::{Display, Write};

/// Named values in a fixed order, so that the same request always has the same bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(String);

impl Form {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(name, &mut self.0);
        self.0.push('=');
        encode(&value.to_string(), &mut self.0);
        self
    }

    pub(super) fn metadata(self, name: &str, value: impl Display) -> Self {
        self.with(&format!("metadata[{name}]"), value)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes everything but unreserved characters as `%XX`.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*') {
            to.push(char::from(byte));
        } else {
            write!(to, "%{byte:02X}").expect("a string can be written to");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_names_and_values() {
        let form = Form::new().with("amount", 50).metadata("invoice", "Ä&B = 1/2").with("x", true);
        assert_eq!(
            form.as_str(),
            "amount=50&metadata%5Binvoice%5D=%C3%84%26B%20%3D%201%2F2&x=true"
        );
    }
}
