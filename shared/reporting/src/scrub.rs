//! Secrets that are open right now, taken out of whatever is about to be shown.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use values::Secret;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// The shortest text that is taken for a secret, in bytes; shorter ones would redact plain words.
pub const SHORTEST_SECRET: usize = 6;

/// Replaces the secrets that are registered at the moment; clones share one set.
///
/// The set is as large as the configuration of the attempts that are running.
#[derive(Clone, Default)]
pub struct Scrubber(Arc<Secrets>);

#[derive(Default)]
struct Secrets {
    /// How many texts are registered; read alone while there are none.
    count: AtomicUsize,
    texts: RwLock<Vec<Entry>>,
}

struct Entry {
    text: Secret<String>,
    guards: usize,
}

/// Keeps secrets registered until it is dropped.
#[must_use = "the secrets are forgotten as soon as the guard is dropped"]
pub struct ScrubGuard {
    secrets: Arc<Secrets>,
    texts: Vec<Secret<String>>,
}

impl Scrubber {
    /// Makes a scrubber that knows no secret.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers secrets, in any order, until the guard is dropped.
    ///
    /// Each is found as it is and as it looks inside a JSON string or printed by `{:?}`. Those
    /// shorter than [`SHORTEST_SECRET`] bytes are ignored.
    pub fn guard(&self, secrets: Vec<String>) -> ScrubGuard {
        let texts: Vec<_> = secrets.into_iter().map(Secret::new).flat_map(forms).collect();
        if !texts.is_empty() {
            self.0.add(&texts);
        }
        ScrubGuard { secrets: Arc::clone(&self.0), texts }
    }

    /// Replaces every registered secret in a text with [`REDACTED`]; secrets may overlap.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.0.count.load(Ordering::Acquire) == 0 || text.len() < SHORTEST_SECRET {
            return Cow::Borrowed(text);
        }
        let found = self.0.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut clean = String::with_capacity(text.len());
        let mut shown_to = 0;
        for (start, end) in found {
            if start >= shown_to {
                clean.push_str(&text[shown_to..start]);
                clean.push_str(REDACTED);
            }
            shown_to = shown_to.max(end);
        }
        clean.push_str(&text[shown_to..]);
        Cow::Owned(clean)
    }

    /// Scrubs a text that is owned already, without a copy when nothing is found.
    pub(crate) fn scrub_owned(&self, text: String) -> String {
        match self.scrub(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => clean,
        }
    }
}

impl Secrets {
    fn add(&self, texts: &[Secret<String>]) {
        let mut entries = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        for text in texts {
            match entries.iter_mut().find(|entry| entry.text.expose() == text.expose()) {
                Some(entry) => entry.guards += 1,
                None => entries.push(Entry { text: text.clone(), guards: 1 }),
            }
        }
        self.count.store(entries.len(), Ordering::Release);
    }

    fn remove(&self, texts: &[Secret<String>]) {
        let mut entries = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        for text in texts {
            for entry in entries.iter_mut().filter(|entry| entry.text.expose() == text.expose()) {
                entry.guards -= 1;
            }
        }
        entries.retain(|entry| entry.guards > 0);
        self.count.store(entries.len(), Ordering::Release);
    }

    /// Finds where secrets stand, as byte ranges ordered by their start; they may overlap.
    fn find(&self, text: &str) -> Vec<(usize, usize)> {
        let entries = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for entry in entries.iter() {
            let secret = entry.text.expose().as_str();
            found.extend(text.match_indices(secret).map(|(at, _)| (at, at + secret.len())));
        }
        found.sort_unstable();
        found
    }
}

/// The texts under which a secret may show up.
fn forms(secret: Secret<String>) -> Vec<Secret<String>> {
    if secret.expose().len() < SHORTEST_SECRET {
        return Vec::new();
    }
    let json = serde_json::Value::from(secret.expose().as_str()).to_string();
    let debug = format!("{:?}", secret.expose());
    let mut forms = vec![secret];
    for quoted in [json, debug].map(Secret::new) {
        let inner = &quoted.expose()[1..quoted.expose().len() - 1];
        if forms.iter().all(|form| form.expose() != inner) {
            forms.push(Secret::new(inner.to_owned()));
        }
    }
    forms
}

impl Drop for ScrubGuard {
    fn drop(&mut self) {
        if !self.texts.is_empty() {
            self.secrets.remove(&self.texts);
        }
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.count.load(Ordering::Acquire);
        f.debug_struct("Scrubber").field("secrets", &count).finish()
    }
}

impl fmt::Debug for ScrubGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrubGuard").field("secrets", &self.texts.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_is_registered_and_nothing_else() {
        let check = |secrets: &[&str], text: &str, expected: &str| {
            let scrubber = Scrubber::new();
            let guard = scrubber.guard(secrets.iter().map(|&s| s.to_owned()).collect());
            assert_eq!(scrubber.scrub(text), expected, "{secrets:?}");
            drop(guard);
            assert_eq!(scrubber.scrub(text), text);
        };
        check(&["hunter22"], "key hunter22, hunter22!", "key [redacted], [redacted]!");
        check(&["hunter22"], "hunter22", REDACTED);
        check(&["hunter22"], "nothing here", "nothing here");
        check(&["short"], "short stays", "short stays");
        check(&["abcdefgh", "efghijkl"], "-abcdefghijkl-", "-[redacted]-");
        check(&["abcdef", "abcdefgh"], "abcdefghabcdef", "[redacted][redacted]");
        check(&["redacted"], "a redacted b", "a [redacted] b");
        check(&["pässwörd"], "é pässwörd é", "é [redacted] é");
        check(&["line\n\"two\""], r#"{"a":"line\n\"two\""}"#, r#"{"a":"[redacted]"}"#);
        check(&["tab\u{7f}ulator"], r"tab\u{7f}ulator", REDACTED);
    }

    #[test]
    fn keeps_a_secret_until_its_last_guard_is_gone() {
        let scrubber = Scrubber::new();
        let first = scrubber.guard(vec!["hunter22".to_owned()]);
        let second = scrubber.clone().guard(vec!["hunter22".to_owned(), "other-secret".to_owned()]);
        drop(first);
        assert_eq!(scrubber.scrub("hunter22"), REDACTED);
        drop(second);
        assert_eq!(scrubber.scrub("hunter22 other-secret"), "hunter22 other-secret");
    }

    #[test]
    fn copies_nothing_while_nothing_is_found() {
        let scrubber = Scrubber::new();
        assert!(matches!(scrubber.scrub("hunter22"), Cow::Borrowed(_)));
        let _guard = scrubber.guard(vec!["other-secret".to_owned()]);
        assert!(matches!(scrubber.scrub("hunter22"), Cow::Borrowed(_)));
    }

    #[test]
    fn shows_no_secret_itself() {
        let scrubber = Scrubber::new();
        let guard = scrubber.guard(vec!["hunter22".to_owned()]);
        assert!(!format!("{scrubber:?} {guard:?}").contains("hunter22"));
    }
}
