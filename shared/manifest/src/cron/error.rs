//! Why a text is not a cron expression.

use values::did_you_mean;

use super::{LONGEST_EXPRESSION, SHORTHANDS};

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Longer than any sensible expression.
    #[error("the expression has {0} bytes")]
    TooLong(usize),
    /// Not five or six fields.
    #[error("the expression has {0} fields")]
    FieldCount(usize),
    /// An unknown word that begins with `@`.
    #[error("`{0}` stands for no expression")]
    UnknownWord(String),
    /// A field, or a part of its list, that cannot be read.
    #[error("`{found}` is no {field}")]
    Field {
        /// The part that was found.
        found: String,
        /// Which field.
        field: &'static str,
        /// The values it takes.
        values: &'static str,
    },
    /// A range whose end lies before its start.
    #[error("`{found}` runs backwards")]
    Backwards {
        /// The range.
        found: String,
    },
    /// A date that does not exist, such as 31 February.
    #[error("no date matches the expression, so it never fires")]
    NeverFires,
}

impl CronError {
    /// Says what would be right.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLong(_) => format!("write at most {LONGEST_EXPRESSION}"),
            Self::FieldCount(_) => "write minute, hour, day of month, month and weekday, \
                such as \"5 * * * *\", with the second in front if need be"
                .to_owned(),
            Self::UnknownWord(word) => {
                let names = SHORTHANDS.map(|(name, _)| name);
                match did_you_mean(word, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write one of {}", names.join(", ")),
                }
            }
            Self::Field { values, .. } => {
                format!(
                    "write {values}, ranges (1-5), steps (*/15) or lists of these; no L, W or #"
                )
            }
            Self::Backwards { .. } => "split it in two: 22-23,0-2 for 22-2".to_owned(),
            Self::NeverFires => {
                "check day of month, month and weekday: all three must match".into()
            }
        }
    }
}
