//! Enums that are one word in tables, JSON and on the screen.

/// Defines an enum as [`values::words!`] does, that is a column, too.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal: $($variants:tt)*) => {
        values::words! { $(#[$doc])* $name, $what: $($variants)* }

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
    };
}
pub(crate) use words;
