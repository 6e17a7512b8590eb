//! The envelope: `configuration`, `jobName`, `source` and `jobPayload`.

use std::collections::BTreeMap;

use values::did_you_mean;

use crate::scan::{self, Kind, Member};
use crate::text::shown;
use crate::{EnvelopeError, RawJson};

const KEYS: [&str; 4] = ["configuration", "jobName", "source", "jobPayload"];

/// How much JSON is taken from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest text, in bytes. Default: 1 MiB.
    pub max_bytes: usize,
    /// The deepest nesting of objects and arrays; an outermost object counts as 1. Default: 64.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_depth: 64 }
    }
}

impl Limits {
    pub(crate) fn check_size(&self, bytes: usize) -> Result<(), EnvelopeError> {
        let max = self.max_bytes;
        if bytes > max { Err(EnvelopeError::TooLarge { bytes, max }) } else { Ok(()) }
    }
}

/// A request to run a job, as it travels.
///
/// Only its shape is checked: whether the job and the source exist is for admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Sensitive variables the job needs, by section: an object.
    pub configuration: RawJson,
    /// Which job to run.
    pub job_name: String,
    /// Who asks.
    pub source: String,
    /// What to do: an object.
    pub job_payload: RawJson,
}

impl Envelope {
    /// Reads an envelope from any bytes.
    ///
    /// The text is one JSON object with exactly the four keys. Refused are also duplicate keys at
    /// any depth, numbers beyond a double, escapes that are no Unicode text, a byte order mark and
    /// anything after the object. Neither stack nor time grows beyond the size of the input.
    ///
    /// # Errors
    /// Every variant of [`EnvelopeError`] but `NotWritable`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, EnvelopeError> {
        limits.check_size(bytes.len())?;
        let text = str::from_utf8(bytes)
            .map_err(|error| EnvelopeError::NotUtf8 { offset: error.valid_up_to() })?;
        let scanned = scan::scan(text, limits.max_depth)?;
        if scanned.kind != Kind::Object {
            return Err(EnvelopeError::NotAnObject { found: scanned.kind.found() });
        }
        if let Some(member) = scanned.members.iter().find(|m| !KEYS.contains(&&*m.key)) {
            return Err(EnvelopeError::UnknownKey {
                key: shown(&member.key),
                suggestion: did_you_mean(&member.key, KEYS).map(str::to_owned),
            });
        }
        let [configuration, job_name, source, job_payload] = KEYS.map(|key| {
            let member = scanned.members.iter().find(|member| member.key == key);
            member.ok_or(EnvelopeError::MissingKey { key })
        });
        Ok(Self {
            configuration: object("configuration", configuration?)?,
            job_name: string("jobName", job_name?)?,
            source: string("source", source?)?,
            job_payload: object("jobPayload", job_payload?)?,
        })
    }

    /// Writes the envelope on one line; configuration and payload keep their bytes.
    pub fn to_json(&self) -> String {
        let Self { configuration, job_name, source, job_payload } = self;
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            r#"{{"configuration":{},"jobName":{},"source":{},"jobPayload":{}}}"#,
            configuration.as_str(),
            quoted(job_name),
            quoted(source),
            job_payload.as_str(),
        )
    }

    /// Splits the configuration into its sections: the top-level members, each as received.
    ///
    /// # Errors
    /// `WrongType` if the configuration is not an object.
    pub fn sections(&self) -> Result<BTreeMap<String, RawJson>, EnvelopeError> {
        // Size and depth were bounded when the text came in.
        let scanned = scan::scan(self.configuration.as_str(), usize::MAX)?;
        if scanned.kind != Kind::Object {
            return Err(wrong_type("configuration", "an object", scanned.kind));
        }
        let members = scanned.members.into_iter();
        Ok(members.map(|m| (m.key.into_owned(), RawJson::from_scanned(m.value))).collect())
    }
}

fn object(key: &'static str, member: &Member<'_>) -> Result<RawJson, EnvelopeError> {
    if member.kind == Kind::Object {
        Ok(RawJson::from_scanned(member.value))
    } else {
        Err(wrong_type(key, "an object", member.kind))
    }
}

fn string(key: &'static str, member: &Member<'_>) -> Result<String, EnvelopeError> {
    if member.kind == Kind::String {
        Ok(scan::unescape(&member.value[1..member.value.len() - 1]).into_owned())
    } else {
        Err(wrong_type(key, "a string", member.kind))
    }
}

fn wrong_type(key: &'static str, expected: &'static str, found: Kind) -> EnvelopeError {
    EnvelopeError::WrongType { key, expected, found: found.found() }
}
