//! Small texts: key ids, base64 and what an error may show of foreign text.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use values::Secret;

/// The longest key id that is taken, in characters.
pub const LONGEST_KEY_ID: usize = 64;

/// How much of foreign text an error shows, in characters.
const LONGEST_SHOWN: usize = 60;

/// Whether a text may name a key: 1 to 64 letters, digits, `_` and `-`, as in `2026-10`.
pub fn is_key_id(text: &str) -> bool {
    (1..=LONGEST_KEY_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The beginning of a foreign text, with control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect()
}

/// Writes base64url without padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding, in its one canonical form.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads 32 bytes of base64url.
pub(crate) fn key_from_base64(text: &str) -> Option<[u8; 32]> {
    let bytes = Secret::new(from_base64(text)?);
    bytes.expose().as_slice().try_into().ok()
}

/// Makes 32 random bytes; `None` if the system has no randomness to give.
pub(crate) fn random_key() -> Option<Secret<[u8; 32]>> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_short_plain_key_ids() {
        for id in ["a", "2026-10", "local_2", &"k".repeat(64)] {
            assert!(is_key_id(id), "{id}");
        }
        for id in ["", "a.b", "a:b", "a b", "é", &"k".repeat(65)] {
            assert!(!is_key_id(id), "{id}");
        }
    }

    #[test]
    fn reads_only_the_canonical_form_of_base64() {
        assert_eq!(from_base64("AQ"), Some(vec![1]));
        for text in ["AR", "AQ==", "A", "A+", "A Q"] {
            assert_eq!(from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn shows_no_control_characters() {
        assert_eq!(shown("a\nb\u{1b}[1m"), "a\\nb\\u{1b}[1m");
        assert_eq!(shown(&"é".repeat(500)).chars().count(), LONGEST_SHOWN);
    }
}
