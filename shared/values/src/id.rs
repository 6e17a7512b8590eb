//! Identifiers: a prefix and a base32 UUIDv7, such as `acct_01jd0c4x5ve4zrh1k5yq4q8g7m`.
//!
//! The 26 characters are Crockford's base32 in lower case, most significant digit first, as in the
//! TypeID specification; they sort as the UUID does.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::Timestamp;
use crate::text::as_text;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ENCODED_LEN: usize = 26;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text does not begin with the prefix of its kind.
    #[error("an id of this kind begins with `{prefix}_`, found `{found}`")]
    Prefix {
        /// The prefix that was expected, without the underscore.
        prefix: &'static str,
        /// The beginning of what was found (at most 40 characters).
        found: String,
    },
    /// What follows the prefix is not 26 digits of lower-case base32 below 2^128.
    #[error(
        "`{prefix}_` is followed by 26 digits of lower-case base32 (0-9, a-z without i, l, o, u)"
    )]
    Digits {
        /// The prefix of the kind.
        prefix: &'static str,
    },
}

fn encode(uuid: Uuid) -> String {
    let mut value = uuid.as_u128();
    let mut digits = [0_u8; ENCODED_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    digits.iter().map(|&d| char::from(d)).collect()
}

fn decode(digits: &str) -> Option<Uuid> {
    if digits.len() != ENCODED_LEN || digits.as_bytes()[0] > b'7' {
        return None;
    }
    let mut value = 0_u128;
    for byte in digits.bytes() {
        let digit = ALPHABET.iter().position(|&a| a == byte)?;
        value = (value << 5) | digit as u128;
    }
    Some(Uuid::from_u128(value))
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    let Some(digits) = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')) else {
        return Err(IdError::Prefix { prefix, found: text.chars().take(40).collect() });
    };
    decode(digits).ok_or(IdError::Digits { prefix })
}

/// Builds a UUIDv7 from a time and ten bytes of randomness.
fn uuid_v7(at: Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(at.as_micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from the time of its making and ten random bytes.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(at, random))
            }

            /// Takes the 16 bytes of the UUID, big-endian, as stored in a table.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes of the UUID, big-endian.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse($prefix, text).map(Self)
            }
        }

        as_text!($name, {
            "type": "string",
            "pattern": concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$"),
        });
    )*};
}

ids! {
    /// One accepted request to run a job.
    TaskId = "task";
    /// One running worker process.
    WorkerId = "work";
    /// A customer's account.
    AccountId = "acct";
    /// A project of an account.
    ProjectId = "proj";
    /// A live stream of a project.
    StreamId = "strm";
    /// An archived recording of a stream.
    RecordingId = "recd";
    /// A person who may use accounts.
    UserId = "user";
    /// One row of the log ledger.
    LogFileId = "logf";
    /// A mail of the outbox.
    EmailId = "mail";
    /// A request for a new password.
    PasswordResetId = "pwrs";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_back() {
        let id = AccountId::new(Timestamp::from_micros(1_790_000_000_000_000), [7; 10]);
        let text = id.to_string();
        assert_eq!(text.len(), 5 + 26);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(AccountId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn later_ids_sort_later_as_text() {
        let first = TaskId::new(Timestamp::from_micros(1_000_000), [255; 10]);
        let second = TaskId::new(Timestamp::from_micros(2_000_000), [0; 10]);
        assert!(first < second);
        assert!(first.to_string() < second.to_string());
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<AccountId>().unwrap_err();
        assert!(matches!(wrong("task_01jd0c4x5ve4zrh1k5yq4q8g7m"), IdError::Prefix { .. }));
        assert!(matches!(wrong("acct_01jd0c4x5ve4zrh1k5yq4q8g7"), IdError::Digits { .. }));
        assert!(matches!(wrong("acct_81jd0c4x5ve4zrh1k5yq4q8g7m"), IdError::Digits { .. }));
        assert!(matches!(wrong("acct_01jd0c4x5ve4zrh1k5yq4q8g7u"), IdError::Digits { .. }));
        assert!(matches!(wrong("acct_01jd0c4x5ve4zrh1k5yq4q8gé"), IdError::Digits { .. }));
    }
}
