//! A request, taken apart.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::answer::Refusal;

/// A request as the endpoints see it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) parameters: Parameters,
    pub(super) key: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) version: Option<String>,
    /// Stands for method, path and body.
    pub(super) fingerprint: u64,
}

impl Request {
    /// Takes a request apart; `form` is the query of a GET and the body of anything else.
    pub(super) fn new(
        method: &str,
        path: &str,
        form: &str,
        header: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        (method, path, form).hash(&mut hasher);
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            parameters: Parameters(form.split('&').filter_map(pair).collect()),
            key: header("idempotency-key"),
            authorization: header("authorization"),
            version: header("stripe-version"),
            fingerprint: hasher.finish(),
        }
    }

    /// The path below `/v1/`, in parts.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.strip_prefix("/v1/").unwrap_or_default().split('/').collect()
    }
}

/// The names and values of a form, in their order.
#[derive(Debug, Clone)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    pub(super) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Refusal::invalid("parameter_missing", name))
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let entry = |(name, value): &(String, String)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        };
        self.0.iter().filter_map(entry).collect()
    }

    /// Refuses names that an endpoint does not know, as the real one does.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let is_known = |name: &str| known.contains(&name) || name.starts_with("metadata[");
        match self.0.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::invalid("parameter_unknown", name)),
        }
    }
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((decode(name), decode(value)))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit =
                    || char::from(rest.next().unwrap_or(b'0')).to_digit(16).unwrap_or(0);
                u8::try_from(digit() * 16 + digit()).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
