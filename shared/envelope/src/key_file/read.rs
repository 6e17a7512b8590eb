//! Reading a key file: every problem in one go, none of them showing a value.

use serde_json::{Map, Value};
use values::{Secret, Source, Timestamp, did_you_mean};

use super::entry::{Material, ProofEntry, SealingEntry};
use super::{KEY_FILE_VERSION, KeyFile, KeyFileError, MOST_KEYS};
use crate::ring::ed25519_public_from_text;
use crate::signing::ed25519_public;
use crate::text::{is_key_id, key_from_base64, shown};
use crate::{Algorithm, Limits, ProofKey, RawJson, SealingKey};

const FILE_KEYS: &[&str] = &["version", "proof", "sealing"];
const PROOF_KEYS: &[&str] =
    &["id", "source", "algorithm", "secret", "public", "createdAt", "expiresAt", "revokedAt"];
const SEALING_KEYS: &[&str] = &["id", "private", "public", "createdAt", "retiredAt"];

const ID: &str = "1 to 64 letters, digits, `_` and `-`";
const SOURCE: &str = "lower-case letters, digits and underscores, such as media_host";
const SECRET: &str = "32 bytes as base64url: 43 characters, no padding";
const INSTANT: &str = "an instant such as 2026-10-31T23:59:00Z";
const ED25519: &str = "an Ed25519 key such as ed25519:BASE64URL";

pub(super) fn key_file(text: &str) -> Result<KeyFile, KeyFileError> {
    let raw = RawJson::parse(text, &Limits::default()).map_err(KeyFileError::NotJson)?;
    let value = serde_json::from_str(raw.as_str()).unwrap_or_default();
    let mut problems = Vec::new();
    let mut file = KeyFile::default();
    if let Some(mut fields) = Fields::new(value, "", FILE_KEYS, &mut problems) {
        if fields.take("version") != Some(Value::from(KEY_FILE_VERSION)) {
            fields.problem("version", &KEY_FILE_VERSION.to_string());
        }
        let proof = fields.list("proof");
        let sealing = fields.list("sealing");
        file.proof = entries("proof", proof, &mut problems, proof_entry);
        file.sealing = entries("sealing", sealing, &mut problems, sealing_entry);
        check_ids("proof", file.proof.iter().map(|key| &*key.id), &mut problems);
        check_ids("sealing", file.sealing.iter().map(|entry| entry.key.id()), &mut problems);
    }
    if problems.is_empty() { Ok(file) } else { Err(KeyFileError::Wrong { problems }) }
}

fn entries<T>(
    name: &str,
    values: Vec<Value>,
    problems: &mut Vec<String>,
    read: fn(Value, &str, &mut Vec<String>) -> Option<T>,
) -> Vec<T> {
    if values.len() > MOST_KEYS {
        problems.push(format!("`{name}` holds at most {MOST_KEYS} keys"));
        return Vec::new();
    }
    let read_at = |(i, value)| read(value, &format!("{name}[{i}]."), problems);
    values.into_iter().enumerate().filter_map(read_at).collect()
}

fn check_ids<'a>(name: &str, ids: impl Iterator<Item = &'a str>, problems: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            problems.push(format!("two keys of `{name}` have the id `{id}`; rename one of them"));
        }
    }
}

fn proof_entry(value: Value, path: &str, problems: &mut Vec<String>) -> Option<ProofEntry> {
    let mut fields = Fields::new(value, path, PROOF_KEYS, problems)?;
    // Each line looks at its field even if an earlier one is wrong.
    let id = fields.required("id", ID, |text| is_key_id(text).then(|| text.to_owned()));
    let source = fields.required("source", SOURCE, |text| text.parse::<Source>().ok());
    let algorithm =
        fields.required("algorithm", "mac or ed25519", |text| text.parse::<Algorithm>().ok());
    let secret = fields.optional("secret", SECRET, |text| key_from_base64(text).map(Secret::new));
    let public = fields.optional("public", ED25519, ed25519_public_from_text);
    let created_at = fields.required("createdAt", INSTANT, |text| text.parse::<Timestamp>().ok());
    let expires_at = fields.optional("expiresAt", INSTANT, |text| text.parse::<Timestamp>().ok());
    let revoked_at = fields.optional("revokedAt", INSTANT, |text| text.parse::<Timestamp>().ok());
    let material = material(&mut fields, algorithm?, secret?, public?);
    let entry = ProofEntry {
        id: id?,
        source: source?,
        material: material?,
        created_at: created_at?,
        expires_at: expires_at?,
        revoked_at: revoked_at?,
    };
    if let Some(public) = entry.public_text()
        && ProofKey::ed25519(&entry.id, entry.source.clone(), &public).is_err()
    {
        fields.problem("public", ED25519);
        return None;
    }
    Some(entry)
}

fn material(
    fields: &mut Fields<'_>,
    algorithm: Algorithm,
    secret: Option<Secret<[u8; 32]>>,
    public: Option<[u8; 32]>,
) -> Option<Material> {
    match (algorithm, secret, public) {
        (Algorithm::Mac, Some(secret), None) => return Some(Material::Mac(secret)),
        (Algorithm::Mac, None, _) => fields.problem("secret", SECRET),
        (Algorithm::Mac, Some(_), Some(_)) => fields.problem("public", "absent for a mac"),
        (Algorithm::Ed25519, None, None) => fields.problem("public", ED25519),
        (Algorithm::Ed25519, None, Some(public)) => {
            return Some(Material::Ed25519 { seed: None, public });
        }
        (Algorithm::Ed25519, Some(seed), public) => {
            let own = ed25519_public(&seed).ok();
            if let Some(own) = own.filter(|own| public.is_none_or(|given| given == *own)) {
                return Some(Material::Ed25519 { seed: Some(seed), public: own });
            }
            fields.problem("public", "the public part of `secret`, or absent");
        }
    }
    None
}

fn sealing_entry(value: Value, path: &str, problems: &mut Vec<String>) -> Option<SealingEntry> {
    let mut fields = Fields::new(value, path, SEALING_KEYS, problems)?;
    let id = fields.required("id", ID, |text| is_key_id(text).then(|| text.to_owned()));
    let private = fields.required("private", SECRET, |text| key_from_base64(text).map(Secret::new));
    let public = fields.optional("public", "a string", |text| Some(text.to_owned()));
    let created_at = fields.required("createdAt", INSTANT, |text| text.parse::<Timestamp>().ok());
    let retired_at = fields.optional("retiredAt", INSTANT, |text| text.parse::<Timestamp>().ok());
    let key = SealingKey::new(&id?, private?).ok();
    let right = |key: &SealingKey| match &public {
        Some(Some(given)) => *given == key.public().to_string(),
        Some(None) => true,
        None => false,
    };
    let Some(key) = key.filter(right) else {
        fields.problem("public", "the public part of `private`, x25519:ID:BASE64URL, or absent");
        return None;
    };
    Some(SealingEntry { key, created_at: created_at?, retired_at: retired_at? })
}

/// The members of an object, taken out one by one; what is wrong is noted with its path.
struct Fields<'p> {
    map: Map<String, Value>,
    path: &'p str,
    problems: &'p mut Vec<String>,
}

impl<'p> Fields<'p> {
    fn new(
        value: Value,
        path: &'p str,
        known: &[&str],
        problems: &'p mut Vec<String>,
    ) -> Option<Self> {
        let Value::Object(map) = value else {
            let place = if path.is_empty() { "the file" } else { path.trim_end_matches('.') };
            problems.push(format!("`{place}` is not an object; write {}", known.join(", ")));
            return None;
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let instead = match did_you_mean(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", known.join(", ")),
            };
            problems.push(format!("`{path}{}` is unknown; {instead}", shown(key)));
        }
        Some(Self { map, path, problems })
    }

    fn problem(&mut self, key: &str, expected: &str) {
        self.problems.push(format!("`{}{key}` is not right; expected {expected}", self.path));
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    fn list(&mut self, key: &str) -> Vec<Value> {
        match self.take(key) {
            Some(Value::Array(values)) => return values,
            Some(_) => self.problem(key, "a list of keys"),
            None => {}
        }
        Vec::new()
    }

    /// Reads a text; `None` if it is absent or wrong, which is then noted.
    fn required<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let found = self.optional(key, expected, read)?;
        if found.is_none() {
            self.problem(key, expected);
        }
        found
    }

    /// Reads a text; `None` if it is wrong, which is then noted, `Some(None)` if it is absent.
    #[expect(clippy::option_option, reason = "wrong and absent are told apart by one caller")]
    fn optional<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        let read = match self.take(key) {
            None => return Some(None),
            // Held as a secret, whatever it is, so that it is overwritten.
            Some(Value::String(text)) => read(Secret::new(text).expose()),
            Some(_) => None,
        };
        if read.is_none() {
            self.problem(key, expected);
        }
        read.map(Some)
    }
}
