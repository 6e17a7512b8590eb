//! Why bytes are not an envelope.

/// Why bytes are not an envelope. The text says what to change and shows no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More bytes than are taken.
    #[error(
        "the text has {bytes} bytes, at most {max} are taken; put large input into an object and send its name"
    )]
    TooLarge {
        /// How many bytes there are.
        bytes: usize,
        /// How many are taken.
        max: usize,
    },
    /// Bytes that are no UTF-8.
    #[error("byte {offset} is not UTF-8; send JSON encoded as UTF-8")]
    NotUtf8 {
        /// Position of the first wrong byte, from 0.
        offset: usize,
    },
    /// Text that is no JSON.
    #[error("line {line}, column {column} is not JSON: {what}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Objects and arrays within each other beyond the limit.
    #[error("objects and arrays are nested deeper than {max}; flatten the value")]
    TooDeep {
        /// The deepest nesting that is taken; an outermost object counts as 1.
        max: usize,
    },
    /// JSON, but no object.
    #[error(
        "an envelope is a JSON object with configuration, jobName, source and jobPayload, found {found}"
    )]
    NotAnObject {
        /// What was found, such as `an array`.
        found: &'static str,
    },
    /// A key that no envelope has.
    #[error("`{key}` is not a key of an envelope; {}", instead(suggestion.as_deref()))]
    UnknownKey {
        /// The key (at most 60 characters).
        key: String,
        /// The key that was probably meant.
        suggestion: Option<String>,
    },
    /// A key that every envelope has.
    #[error("`{key}` is missing; an envelope has configuration, jobName, source and jobPayload")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A key twice in one object, at any depth.
    #[error("the key `{key}` is given twice in {place}; keep one of them")]
    DuplicateKey {
        /// The key (at most 60 characters).
        key: String,
        /// The object it is in: `the outermost object` or a path such as `jobPayload.files[]`.
        place: String,
    },
    /// A value of another type than its key asks for.
    #[error("`{key}` is {expected}, found {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What belongs there, such as `a string`.
        expected: &'static str,
        /// What was found, such as `a number`.
        found: &'static str,
    },
    /// A value of the program that JSON cannot express.
    #[error("the value cannot be written as JSON; map keys must be texts and appear once")]
    NotWritable,
}

impl EnvelopeError {
    /// The stable word for this kind of error, for metrics and tests: `too_large`, `not_json` ...
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotJson { .. } => "not_json",
            Self::TooDeep { .. } => "too_deep",
            Self::NotAnObject { .. } => "not_an_object",
            Self::UnknownKey { .. } => "unknown_key",
            Self::MissingKey { .. } => "missing_key",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::WrongType { .. } => "wrong_type",
            Self::NotWritable => "not_writable",
        }
    }
}

fn instead(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(key) => format!("did you mean `{key}`?"),
        None => "remove it, or move it into jobPayload".to_owned(),
    }
}
