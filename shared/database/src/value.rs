//! Arguments and columns.

use sqlx::Row as _;
use values::{
    AccountId, EmailId, LogFileId, Month, PasswordResetId, ProjectId, RecordingId, StreamId,
    TaskId, Timestamp, UsageKind, UserId, WorkerId,
};

use crate::DbError;

/// An argument of a query; absent values keep their type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(Option<i64>),
    /// A fraction; never money.
    Real(Option<f64>),
    /// Text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
    /// A list of whole numbers: an array on PostgreSQL, a JSON text on SQLite.
    Ints(Vec<Option<i64>>),
    /// A list of texts: an array on PostgreSQL, a JSON text on SQLite.
    Texts(Vec<Option<String>>),
    /// A list of bytes: an array on PostgreSQL, a JSON text of hexadecimal digits on SQLite.
    Blobs(Vec<Option<Vec<u8>>>),
}

/// A row of a result.
#[derive(Debug)]
pub enum Row {
    /// From SQLite.
    Sqlite(sqlx::sqlite::SqliteRow),
    /// From PostgreSQL.
    Postgres(sqlx::postgres::PgRow),
}

impl Row {
    /// Reads a column by its zero-based position.
    ///
    /// # Errors
    /// [`DbError::Column`] if it holds something else.
    pub fn get<T: Column>(&self, column: usize) -> Result<T, DbError> {
        T::read(self, column)
    }
}

/// What a column can be read as.
pub trait Column: Sized {
    /// Reads the column at a zero-based position.
    fn read(row: &Row, column: usize) -> Result<Self, DbError>;
}

macro_rules! native {
    ($($rust:ty => $variant:ident, $narrow:ty, $expected:literal;)*) => {$(
        impl Column for $rust {
            fn read(row: &Row, column: usize) -> Result<Self, DbError> {
                Option::<Self>::read(row, column)?
                    .ok_or(DbError::Column { column, expected: $expected })
            }
        }

        impl Column for Option<$rust> {
            fn read(row: &Row, column: usize) -> Result<Self, DbError> {
                match row {
                    Row::Sqlite(row) => row
                        .try_get::<Self, _>(column)
                        .map_err(|_| DbError::Column { column, expected: $expected }),
                    Row::Postgres(row) => row
                        .try_get::<Self, _>(column)
                        .or_else(|_| {
                            row.try_get::<Option<$narrow>, _>(column)
                                .map(|value| value.map(Into::into))
                        })
                        .map_err(|_| DbError::Column { column, expected: $expected }),
                }
            }
        }

        impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Self::$variant(Some(value))
            }
        }

        impl From<Option<$rust>> for Value {
            fn from(value: Option<$rust>) -> Self {
                Self::$variant(value)
            }
        }
    )*};
}

// The third is a narrower type that PostgreSQL may answer with.
native! {
    i64 => Int, i32, "a whole number";
    f64 => Real, f32, "a number";
    String => Text, String, "text";
    Vec<u8> => Bytes, Vec<u8>, "bytes";
}

macro_rules! lists {
    ($($rust:ty => $variant:ident;)*) => {$(
        impl From<Vec<$rust>> for Value {
            fn from(list: Vec<$rust>) -> Self {
                Self::$variant(list.into_iter().map(Some).collect())
            }
        }

        impl From<Vec<Option<$rust>>> for Value {
            fn from(list: Vec<Option<$rust>>) -> Self {
                Self::$variant(list)
            }
        }
    )*};
}

lists! {
    i64 => Ints;
    String => Texts;
    Vec<u8> => Blobs;
}

/// Types stored as one of the native ones.
macro_rules! stored {
    ($($rust:ty => $stored:ty, $expected:literal, $write:expr, $read:expr;)*) => {$(
        impl Column for $rust {
            fn read(row: &Row, column: usize) -> Result<Self, DbError> {
                let read: fn($stored) -> Option<Self> = $read;
                read(row.get::<$stored>(column)?).ok_or(DbError::Column { column, expected: $expected })
            }
        }

        impl Column for Option<$rust> {
            fn read(row: &Row, column: usize) -> Result<Self, DbError> {
                let read: fn($stored) -> Option<$rust> = $read;
                row.get::<Option<$stored>>(column)?
                    .map(|stored| read(stored).ok_or(DbError::Column { column, expected: $expected }))
                    .transpose()
            }
        }

        impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                let write: fn($rust) -> $stored = $write;
                Self::from(write(value))
            }
        }

        impl From<Option<$rust>> for Value {
            fn from(value: Option<$rust>) -> Self {
                let write: fn($rust) -> $stored = $write;
                Self::from(value.map(write))
            }
        }
    )*};
}

macro_rules! stored_ids {
    ($($id:ty),*) => {
        stored! {$(
            $id => Vec<u8>, "a 16-byte id", |id| id.as_bytes().to_vec(),
                |bytes| bytes.try_into().ok().map(<$id>::from_bytes);
        )*}
    };
}

stored! {
    bool => i64, "0 or 1", i64::from, |stored| Some(stored != 0);
    u32 => i64, "a small whole number", i64::from, |stored| stored.try_into().ok();
    u8 => i64, "a byte", i64::from, |stored| stored.try_into().ok();
    Timestamp => i64, "microseconds since 1970", Timestamp::as_micros,
        |stored| Some(Timestamp::from_micros(stored));
    Month => i64, "the index of a month", Month::index, Month::from_index;
    UsageKind => i64, "a kind of usage, 1 to 3", UsageKind::code, UsageKind::from_code;
}
stored_ids!(
    AccountId,
    EmailId,
    LogFileId,
    PasswordResetId,
    ProjectId,
    RecordingId,
    StreamId,
    TaskId,
    UserId,
    WorkerId
);

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}
