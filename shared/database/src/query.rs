//! A statement and its arguments.

use std::borrow::Cow;

use crate::Value;

/// One SQL statement with the values of `$1`, `$2`, ... in order.
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) arguments: Vec<Value>,
}

impl Query {
    /// Takes a statement written in the source code.
    pub fn new(sql: &'static str) -> Self {
        Self { sql: Cow::Borrowed(sql), arguments: Vec::new() }
    }

    /// Takes a statement put together by code, never from outside text.
    pub fn built(sql: String) -> Self {
        Self { sql: Cow::Owned(sql), arguments: Vec::new() }
    }

    /// Adds the next argument.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.arguments.push(value.into());
        self
    }

    /// Adds the next argument to a query that is being built in a loop.
    pub fn push(&mut self, value: impl Into<Value>) {
        self.arguments.push(value.into());
    }
}

/// Writes `($1, $2, ...), (...)` for `rows` rows of `columns` arguments each.
pub fn value_rows(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            if column > 0 {
                text.push(',');
            }
            text.push('$');
            text.push_str(&(row * columns + column + 1).to_string());
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_arguments_through_all_rows() {
        assert_eq!(value_rows(2, 3), "($1,$2,$3),($4,$5,$6)");
    }
}
