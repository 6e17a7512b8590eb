//! Enums that are one word in tables, JSON and on the screen.

use values::did_you_mean;

/// Says which words would have been right.
pub(crate) fn unknown_word(found: &str, what: &str, words: &[&str]) -> String {
    let excerpt: String = found.chars().take(40).collect();
    let expected = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let hint = did_you_mean(found, words.iter().copied())
        .map_or(String::new(), |word| format!("; did you mean `{word}`?"));
    format!("`{excerpt}` is not {what}; expected one of {expected}{hint}")
}

/// Defines an enum whose variants are words, with what tables and JSON need.
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
            type Err = $crate::words::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or_else(|| {
                    $crate::words::UnknownWord($crate::words::unknown_word(
                        text, $what, &[$($word,)*],
                    ))
                })
            }
        }

        impl From<$name> for database::Value {
            fn from(value: $name) -> Self {
                Self::from(value.as_str())
            }
        }

        impl database::Column for $name {
            fn read(row: &database::Row, column: usize) -> Result<Self, database::DbError> {
                let text: String = row.get(column)?;
                text.parse().map_err(|_| database::DbError::Column { column, expected: $what })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use words;

/// A text is none of the words that would have been right; says which they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownWord(pub(crate) String);
