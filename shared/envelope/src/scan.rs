//! One pass over JSON that checks everything a strict reader would and copies nothing.
//!
//! The scanner keeps its own stack of open objects and arrays, so the depth of the input cannot
//! exhaust the thread's. It exists because `serde_json` takes duplicate keys, and, for raw values,
//! numbers that no double can hold and halves of surrogate pairs.

mod token;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::EnvelopeError;
use crate::text::shown;
use token::Cursor;
pub(crate) use token::unescape;

/// Objects with more keys than this are checked for duplicates with a hash set.
const FEW_KEYS: usize = 8;

/// What a JSON value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Kind {
    /// The kind with its article, for messages.
    pub(crate) fn found(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

/// One member of the outermost object.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: &'a str,
    pub(crate) kind: Kind,
}

/// A valid JSON text.
#[derive(Debug)]
pub(crate) struct Scanned<'a> {
    pub(crate) kind: Kind,
    /// The text without the white space around it.
    pub(crate) value: &'a str,
    /// The members of the outermost object, in their order; none for other kinds.
    pub(crate) members: Vec<Member<'a>>,
}

/// Checks a whole text: one JSON value, at most `max_depth` deep, without duplicate keys.
pub(crate) fn scan(text: &str, max_depth: usize) -> Result<Scanned<'_>, EnvelopeError> {
    let cursor = Cursor::new(text);
    if text.starts_with('\u{feff}') {
        return Err(cursor.error("it begins with a byte order mark; save it without"));
    }
    let mut scanner =
        Scanner { cursor, max_depth, open: Vec::new(), keys: Vec::new(), members: Vec::new() };
    scanner.cursor.skip_space();
    let start = scanner.cursor.at;
    let kind = scanner.whole_value()?;
    let value = &text[start..scanner.cursor.at];
    scanner.cursor.skip_space();
    if scanner.cursor.peek().is_some() {
        return Err(scanner.cursor.error("there is more text after the end of the value"));
    }
    Ok(Scanned { kind, value, members: scanner.members })
}

/// An object or array that is not closed yet.
struct Open {
    kind: Kind,
    /// Where its keys begin in [`Scanner::keys`].
    first_key: usize,
}

struct Scanner<'a> {
    cursor: Cursor<'a>,
    max_depth: usize,
    open: Vec<Open>,
    /// The keys of all open objects, outermost first.
    keys: Vec<Cow<'a, str>>,
    members: Vec<Member<'a>>,
}

impl Scanner<'_> {
    /// Takes one value with all it contains. Every round takes at least one byte.
    fn whole_value(&mut self) -> Result<Kind, EnvelopeError> {
        let outermost = self.begin_value()?;
        while let Some(innermost) = self.open.last() {
            let kind = innermost.kind;
            self.cursor.skip_space();
            match (self.cursor.peek(), kind) {
                (Some(b','), _) => {
                    self.cursor.at += 1;
                    self.begin_element(kind)?;
                }
                (Some(b'}'), Kind::Object) | (Some(b']'), Kind::Array) => self.close()?,
                (_, Kind::Object) => return Err(self.cursor.error("expected `,` or `}`")),
                _ => return Err(self.cursor.error("expected `,` or `]`")),
            }
        }
        Ok(outermost)
    }

    /// Takes a scalar, or opens containers down to the first scalar or empty container.
    fn begin_value(&mut self) -> Result<Kind, EnvelopeError> {
        let mut outermost = None;
        loop {
            self.cursor.skip_space();
            let start = self.cursor.at;
            let kind = self.cursor.begin_value()?;
            outermost.get_or_insert(kind);
            if let [Open { kind: Kind::Object, .. }] = self.open[..] {
                let key = self.keys.last().cloned().unwrap_or_default();
                self.members.push(Member { key, value: &self.cursor.text[start..], kind });
            }
            let closing = match kind {
                Kind::Object => b'}',
                Kind::Array => b']',
                _ => {
                    self.end_value();
                    break;
                }
            };
            if self.open.len() >= self.max_depth {
                return Err(EnvelopeError::TooDeep { max: self.max_depth });
            }
            self.open.push(Open { kind, first_key: self.keys.len() });
            self.cursor.skip_space();
            if self.cursor.peek() == Some(closing) {
                self.close()?;
                break;
            }
            if kind == Kind::Object {
                self.key()?;
            }
        }
        Ok(outermost.expect("the loop above begins at least one value"))
    }

    fn begin_element(&mut self, container: Kind) -> Result<(), EnvelopeError> {
        if container == Kind::Object {
            self.key()?;
        }
        self.begin_value().map(|_| ())
    }

    fn key(&mut self) -> Result<(), EnvelopeError> {
        self.cursor.skip_space();
        if self.cursor.peek() != Some(b'"') {
            return Err(self.cursor.error("expected a key in double quotes"));
        }
        let key = self.cursor.string()?;
        self.keys.push(unescape(key));
        self.cursor.skip_space();
        if self.cursor.peek() != Some(b':') {
            return Err(self.cursor.error("expected `:` after a key"));
        }
        self.cursor.at += 1;
        Ok(())
    }

    /// Takes the closing bracket the caller has seen.
    fn close(&mut self) -> Result<(), EnvelopeError> {
        self.cursor.at += 1;
        let first_key = self.open.last().map_or(0, |open| open.first_key);
        if let Some(key) = duplicate(&self.keys[first_key..]) {
            return Err(EnvelopeError::DuplicateKey { key: shown(key), place: self.place() });
        }
        self.keys.truncate(first_key);
        self.open.pop();
        self.end_value();
        Ok(())
    }

    /// Cuts the text of a member of the outermost object where its value has ended.
    fn end_value(&mut self) {
        if let ([Open { kind: Kind::Object, .. }], Some(member)) =
            (&self.open[..], self.members.last_mut())
        {
            let rest = self.cursor.text.len() - self.cursor.at;
            member.value = &member.value[..member.value.len() - rest];
        }
    }

    /// The path to the innermost open object, shortened if it is long.
    fn place(&self) -> String {
        let mut path = String::new();
        for pair in self.open.windows(2) {
            let [outer, inner] = pair else { continue };
            if outer.kind == Kind::Array {
                path.push_str("[]");
                continue;
            }
            let key = inner.first_key.checked_sub(1).and_then(|last| self.keys.get(last));
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(key.map_or("", |key| key));
        }
        if path.is_empty() {
            "the outermost object".to_owned()
        } else {
            format!("`{}`", shown(&path))
        }
    }
}

fn duplicate<'k>(keys: &'k [Cow<'_, str>]) -> Option<&'k str> {
    if keys.len() <= FEW_KEYS {
        let repeats = |(i, key): &(usize, &Cow<'_, str>)| keys[..*i].contains(key);
        return keys.iter().enumerate().find(repeats).map(|(_, key)| &**key);
    }
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter().find(|key| !seen.insert(&***key)).map(|key| &**key)
}

#[cfg(test)]
mod tests;
