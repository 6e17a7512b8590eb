//! Whether a section of configuration is what its job expects, told without anything of its text.

use std::fmt;

use serde::de::DeserializeOwned;
use values::did_you_mean;

/// Decodes a section as one type, to see whether that works.
#[derive(Clone, Copy)]
pub struct SectionCheck(fn(&str) -> Result<(), (String, String)>);

impl SectionCheck {
    /// Checks that a section decodes into `T`.
    pub const fn of<T: DeserializeOwned>() -> Self {
        Self(decode::<T>)
    }

    pub(crate) fn run(self, section: &str, text: &str) -> Result<(), SectionProblem> {
        (self.0)(text).map_err(|(path, message)| {
            let dot = if path.is_empty() { "" } else { "." };
            SectionProblem { field: format!("configuration.{section}{dot}{path}"), message }
        })
    }
}

impl fmt::Debug for SectionCheck {
    /// Prints no address: what a contract prints is part of a release's fingerprint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SectionCheck")
    }
}

/// Why a section is not what the job expects; holds nothing of what the section says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SectionProblem {
    /// The field, such as `configuration.objectStorage.sessionToken`.
    pub field: String,
    /// What was expected.
    pub message: String,
}

/// Decodes a section; an error is the path below it and what was expected there.
fn decode<T: DeserializeOwned>(text: &str) -> Result<(), (String, String)> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let decoded: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
    let Err(error) = decoded else {
        let ended = deserializer.end();
        return ended.map_err(|_| (String::new(), "more than one JSON value".to_owned()));
    };
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    let inner = error.into_inner();
    if !inner.is_data() {
        return Err((String::new(), "not JSON".to_owned()));
    }
    let told = inner.to_string();
    let told = told.rsplit_once(" at line ").map_or(told.as_str(), |(told, _)| told);
    // What stands behind the last `, expected` is written by the type, never by who sent the text.
    let expected = told.rsplit_once(", expected ").map(|(_, expected)| expected);
    if told.starts_with("unknown field") {
        // The name may be a secret in the wrong place.
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", &path));
        return Err((parent.to_owned(), unknown_field(name, expected)));
    }
    if told.starts_with("missing field") {
        return Err((path, told.to_owned()));
    }
    let expected = expected.map_or_else(String::new, |expected| format!(", expected {expected}"));
    Err((path, format!("wrong value{expected}")))
}

/// Names the field that was meant, or those there are.
fn unknown_field(name: &str, expected: Option<&str>) -> String {
    let Some(expected) = expected else { return "unknown field".to_owned() };
    let known = expected.split('`').skip(1).step_by(2);
    match did_you_mean(name, known) {
        Some(near) => format!("unknown field; did you mean `{near}`?"),
        None => format!("unknown field, expected {expected}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::contract;

    #[test]
    fn names_the_field_and_never_what_was_sent() {
        let job = contract().get("logs/process_log").unwrap();
        let section = job.section("objectStorage").unwrap();
        let check = |text: &str, expected: &str| {
            let problem = section.check(text).unwrap_err().to_string();
            assert_eq!(problem, format!("configuration.objectStorage{expected}"));
        };
        let keys = r#""accessKeyId":"a","secretAccessKey":"b""#;
        section.check(&format!("{{{keys}}}")).unwrap();
        section.check(&format!("{{{keys},\"sessionToken\":\"c\"}}")).unwrap();
        check(
            &format!("{{{keys},\"sessionToken\":5}}"),
            ".sessionToken: wrong value, expected a string",
        );
        check(
            &format!("{{{keys},\"sesionToken\":\"canary\"}}"),
            ": unknown field; did you mean `sessionToken`?",
        );
        check(
            r#"{"canary, expected x":1}"#,
            ": unknown field, expected one of `accessKeyId`, `secretAccessKey`, `sessionToken`",
        );
        check(r#"{"accessKeyId":"canary"}"#, ": missing field `secretAccessKey`");
        check(r#""canary at line 7""#, ": wrong value, expected struct ObjectStorage");
        check("{canary", ": not JSON");
        check(&format!("{{{keys}}} canary"), ": more than one JSON value");
    }

    #[test]
    fn prints_no_address() {
        let printed = format!("{:?}", contract().get("logs/process_log").unwrap().sections);
        assert!(!printed.contains("0x"), "{printed}");
    }
}
