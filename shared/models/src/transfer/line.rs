//! One line of JSON to one record, or what is wrong with it. Pure.

use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use values::{
    AccountId, Month, ProjectId, StreamId, Timestamp, breaks_line, did_you_mean, is_email,
};

use super::{Kind, LineProblem};
use crate::{BillingProvider, ThrottledReason};

/// The longest line that is read.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;
const MAX_TEXT_CHARS: usize = 200;
const MAX_WORD_CHARS: usize = 100;
/// Changes of plans on one line, and plans of a product in one of them.
const MAX_PLAN_CHANGES: usize = 1_000;
const MAX_PLANS: usize = 200;
/// Characters of a message, which may quote the line.
const MAX_MESSAGE_CHARS: usize = 300;

/// A line that is right in itself; whether what it refers to is there is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    Account(AccountLine),
    Project(ProjectLine),
    Stream(StreamLine),
}

impl Record {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Account(_) => Kind::Account,
            Self::Project(_) => Kind::Project,
            Self::Stream(_) => Kind::Stream,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AccountLine {
    pub(super) kind: Kind,
    pub(super) id: AccountId,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) billing_email: Option<String>,
    pub(super) billing_provider: BillingProvider,
    #[serde(default)]
    pub(super) unthrottleable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) throttled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) throttled_reason: Option<ThrottledReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plans: Option<Vec<PlansLine>>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted_at: Option<Timestamp>,
}

/// What an account holds from an instant on, its making when none is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PlansLine {
    pub(super) from: Option<Timestamp>,
    #[serde(default)]
    pub(super) broadcast: Vec<String>,
    #[serde(default)]
    pub(super) peer: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ProjectLine {
    pub(super) kind: Kind,
    pub(super) id: ProjectId,
    pub(super) account_id: AccountId,
    pub(super) name: String,
    pub(super) public_key: String,
    pub(super) created_at: Option<Timestamp>,
    pub(super) updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StreamLine {
    pub(super) kind: Kind,
    pub(super) id: StreamId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) project_id: Option<ProjectId>,
    pub(super) name: String,
    #[serde(default = "default_instance")]
    pub(super) instance_name: String,
    #[serde(default)]
    pub(super) record: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_key_sha256: Option<KeyDigest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assigned_at: Option<Timestamp>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted_at: Option<Timestamp>,
}

/// SHA-256 of a stream's key, 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct KeyDigest(pub(super) [u8; 32]);

impl TryFrom<String> for KeyDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err("expected a SHA-256 of 64 hexadecimal digits");
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |place: usize| char::from(pair[place]).to_digit(16).unwrap_or(0);
            *byte = u8::try_from(digit(0) * 16 + digit(1)).expect("two digits are a byte");
        }
        Ok(Self(bytes))
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> Self {
        values::hex(&digest.0)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageLine {
    pub(super) kind: Kind,
    pub(super) account_id: AccountId,
    pub(super) month: Month,
    pub(super) bandwidth_bytes: u64,
    pub(super) fms_bytes: u64,
    pub(super) hls_bytes: u64,
    pub(super) vod_bytes: u64,
    pub(super) lines: u64,
    pub(super) storage_bytes: u64,
    pub(super) peer_milliseconds: u64,
    pub(super) updated_at: Timestamp,
}

#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
}

fn default_instance() -> String {
    crate::streams::DEFAULT_INSTANCE.to_owned()
}

/// What is wrong: the key it is about, and a sentence.
pub type Fault = (Option<String>, String);

/// Reads one line without its line end; `None` if there is nothing but spaces.
pub(super) fn parse(number: u64, line: &[u8]) -> Result<Option<Record>, LineProblem> {
    read(line).map_err(|(field, message)| LineProblem { line: number, field, message })
}

fn read(line: &[u8]) -> Result<Option<Record>, Fault> {
    if line.len() > MAX_LINE_BYTES {
        return Err((None, format!("longer than {MAX_LINE_BYTES} bytes")));
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| (None, format!("not UTF-8 from byte {} on", error.valid_up_to() + 1)))?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with('{') {
        return Err((None, "expected a JSON object, which begins with `{`".to_owned()));
    }
    let Some(kind) = object::<Head>(text)?.kind else {
        let message = "missing; every line says `account`, `project` or `stream`";
        return Err((Some("kind".to_owned()), message.to_owned()));
    };
    let kind: Kind = kind.parse().map_err(|error| (Some("kind".to_owned()), format!("{error}")))?;
    let record = match kind {
        Kind::Account => Record::Account(object(text)?),
        Kind::Project => Record::Project(object(text)?),
        Kind::Stream => Record::Stream(object(text)?),
        Kind::Usage => {
            let message = "usage is exported only; the worker makes it from logs";
            return Err((Some("kind".to_owned()), message.to_owned()));
        }
    };
    check(&record).map_err(|(field, message)| (Some(field.to_owned()), message))?;
    Ok(Some(record))
}

/// Reads a line that is an object of JSON.
///
/// # Errors
/// The key it is about, if it is about one, and what is wrong with it.
pub fn object<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Fault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        fault((path != ".").then_some(&path), error.inner())
    })?;
    json.end().map_err(|error| fault(None, &error))?;
    Ok(parsed)
}

/// Turns the parser's words into ours: which key, what to do, and no line number of its own.
fn fault(path: Option<&str>, error: &serde_json::Error) -> Fault {
    let full = error.to_string();
    let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message);
    if matches!(error.classify(), Category::Syntax | Category::Eof) {
        return (None, format!("not JSON at column {}: {}", error.column(), cut(message)));
    }
    // Such as: unknown field `nmae`, expected one of `kind`, `id`, `name`
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let about = |word: &str| message.starts_with(word).then(|| quoted.first().copied()).flatten();
    if let Some(field) = about("unknown field") {
        let hint = did_you_mean(field, quoted.iter().skip(1).copied())
            .map_or(String::new(), |word| format!("; did you mean `{word}`?"));
        return (Some(cut(field)), cut(&format!("no line of this kind has such a key{hint}")));
    }
    if let Some(field) = about("missing field") {
        return (Some(cut(field)), "missing".to_owned());
    }
    if let Some(field) = about("duplicate field") {
        return (Some(cut(field)), "given twice".to_owned());
    }
    (path.map(cut), cut(message))
}

fn cut(message: &str) -> String {
    message.chars().take(MAX_MESSAGE_CHARS).collect()
}

fn check(record: &Record) -> Result<(), (&'static str, String)> {
    match record {
        Record::Account(account) => {
            check_text("name", &account.name)?;
            if let Some(address) = &account.billing_email {
                check_email("billingEmail", address)?;
            }
            if account.throttled_reason.is_some() && account.throttled_at.is_none() {
                return Err(("throttledReason", "needs `throttledAt` beside it".to_owned()));
            }
            check_plans(account.plans.as_deref().unwrap_or_default())?;
        }
        Record::Project(project) => {
            check_text("name", &project.name)?;
            check_word("publicKey", &project.public_key)?;
        }
        Record::Stream(stream) => {
            check_word("name", &stream.name)?;
            check_word("instanceName", &stream.instance_name)?;
            if stream.assigned_at.is_some() && stream.project_id.is_none() {
                return Err(("assignedAt", "needs `projectId` beside it".to_owned()));
            }
        }
    }
    Ok(())
}

fn check_plans(changes: &[PlansLine]) -> Result<(), (&'static str, String)> {
    if changes.len() > MAX_PLAN_CHANGES {
        return Err(("plans", format!("more than {MAX_PLAN_CHANGES} changes")));
    }
    for PlansLine { from: _, broadcast, peer } in changes {
        if broadcast.len().max(peer.len()) > MAX_PLANS {
            return Err(("plans", format!("more than {MAX_PLANS} plans of a product")));
        }
        for name in broadcast.iter().chain(peer) {
            check_word("plans", name)?;
        }
    }
    Ok(())
}

pub(crate) fn check_text(field: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let right = !text.trim().is_empty()
        && text.chars().count() <= MAX_TEXT_CHARS
        && !text.chars().any(breaks_line);
    let expected = || {
        format!(
            "expected 1 to {MAX_TEXT_CHARS} characters, none that breaks the line or its direction"
        )
    };
    if right { Ok(()) } else { Err((field, expected())) }
}

fn check_word(field: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let right = !text.is_empty() && text.len() <= MAX_WORD_CHARS && text.chars().all(letter);
    let expected = || format!("expected 1 to {MAX_WORD_CHARS} of A-Z, a-z, 0-9, `_` and `-`");
    if right { Ok(()) } else { Err((field, expected())) }
}

pub(crate) fn check_email(field: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let expected = || "expected an address such as bills@example.com".to_owned();
    if is_email(text) { Ok(()) } else { Err((field, expected())) }
}

#[cfg(test)]
mod tests;
