//! What reads run on.

use database::{Db, DbError, Query, Row, Tx};

/// What reads run on: `&Db` for what is committed, `&mut Tx` to see the transaction's own writes.
pub trait Reader: Send {
    /// Reads all rows of a query.
    fn all(&mut self, query: Query) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send;

    /// Reads the first row of a query, if there is one.
    fn first(&mut self, query: Query) -> impl Future<Output = Result<Option<Row>, DbError>> + Send {
        async { Ok(self.all(query).await?.into_iter().next()) }
    }
}

impl Reader for &Db {
    async fn all(&mut self, query: Query) -> Result<Vec<Row>, DbError> {
        Db::all(self, query).await
    }
}

impl Reader for &mut Tx<'_> {
    async fn all(&mut self, query: Query) -> Result<Vec<Row>, DbError> {
        Tx::all(self, query).await
    }
}

/// Reads a sum or a count, which is never negative.
pub(crate) fn amount(row: &Row, column: usize) -> Result<u64, DbError> {
    let expected = "a count of zero or more";
    u64::try_from(row.get::<i64>(column)?).map_err(|_| DbError::Column { column, expected })
}

/// Reads a sum or a count that may be missing.
pub(crate) fn optional_amount(row: &Row, column: usize) -> Result<Option<u64>, DbError> {
    match row.get::<Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => amount(row, column).map(Some),
    }
}

/// Sums a column without overflow, as two columns: its upper parts and its lower 32 bits.
///
/// A plain `sum` fails, or becomes a fraction, once it passes 2^63.
macro_rules! wide_sum {
    ($column:literal) => {
        concat!(
            "CAST(coalesce(sum((",
            $column,
            ") >> 32), 0) AS BIGINT), CAST(coalesce(sum((",
            $column,
            ") & 4294967295), 0) AS BIGINT)"
        )
    };
}
pub(crate) use wide_sum;

/// Reads the two columns of a [`wide_sum`], of which `column` is the first.
pub(crate) fn wide(row: &Row, column: usize) -> Result<u128, DbError> {
    let (upper, lower) = (amount(row, column)?, amount(row, column + 1)?);
    Ok((u128::from(upper) << 32) + u128::from(lower))
}

/// Brings a count into the range of a column.
///
/// # Errors
/// [`DbError::Refused`] beyond 2^63 - 1, which names `what` it is.
pub(crate) fn whole(what: &str, value: u64) -> Result<i64, DbError> {
    i64::try_from(value)
        .map_err(|_| DbError::Refused(format!("{what} is {value}, more than a table can hold")))
}

/// Writes a value as the JSON text of a column.
///
/// # Errors
/// [`DbError::Refused`] for what JSON cannot say, such as a map without texts as keys.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value)
        .map_err(|error| DbError::Refused(format!("a value is not JSON: {error}")))
}

/// Reads a column of JSON text.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: usize,
) -> Result<T, DbError> {
    let expected = "JSON of the column's own kind";
    serde_json::from_str(&row.get::<String>(column)?)
        .map_err(|_| DbError::Column { column, expected })
}

/// Reads a column of text that is one word or name.
pub(crate) fn parsed<T: std::str::FromStr>(
    row: &Row,
    column: usize,
    expected: &'static str,
) -> Result<T, DbError> {
    row.get::<String>(column)?.parse().map_err(|_| DbError::Column { column, expected })
}
