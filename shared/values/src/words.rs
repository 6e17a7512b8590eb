//! Enums that are one word in tables, JSON and on the screen.

use crate::did_you_mean;

/// A text is none of the words that would have been right; says which they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not {what}; expected one of {expected}")]
pub struct UnknownWord {
    /// What was found (at most 40 characters).
    pub found: String,
    /// What was expected, with its article.
    pub what: &'static str,
    /// The words that would have been right, and the nearest of them.
    pub expected: String,
}

impl UnknownWord {
    /// Says that `found` is not `what`, but that one of `words` would be.
    pub fn new(found: &str, what: &'static str, words: &[&str]) -> Self {
        let quoted = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let hint = did_you_mean(found, words.iter().copied())
            .map_or(String::new(), |word| format!("; did you mean `{word}`?"));
        Self { found: found.chars().take(40).collect(), what, expected: quoted + &hint }
    }
}

/// Defines an enum whose variants are words, given as `Variant = "word",` behind `Name, "a name":`.
///
/// It is printed, parsed and serialized as its word; the crate that uses it needs `serde`.
#[macro_export]
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident, $what:literal: $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every variant, in the order of their definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word used in tables, JSON and on the screen.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|known| known.as_str() == text);
                found.ok_or_else(|| $crate::UnknownWord::new(text, $what, &[$($word,)*]))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
