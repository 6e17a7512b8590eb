//! What became of a month's records.

use billing::RecordState;
use database::{DbError, Query, Row};
use values::{Currency, Money, Month};

use crate::Reader;
use crate::reader::{amount, parsed};

/// The records of a month that are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledTotal {
    /// The state.
    pub state: RecordState,
    /// How many there are.
    pub accounts: u64,
    /// The sum of what they ask for.
    pub total: Money,
}

/// Counts and sums the records of a month, by state and currency.
pub async fn settled_of_month(
    mut reader: impl Reader,
    month: Month,
) -> Result<Vec<SettledTotal>, DbError> {
    let query = Query::new(
        "SELECT state, currency, count(*), CAST(sum(total) AS BIGINT) FROM billing_record
           WHERE month = $1 GROUP BY state, currency ORDER BY state, currency",
    );
    reader.all(query.bind(month)).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<SettledTotal, DbError> {
    let currency: Currency = parsed(row, 1, "a currency")?;
    Ok(SettledTotal {
        state: parsed(row, 0, "a state of a record")?,
        accounts: amount(row, 2)?,
        total: Money { minor: row.get(3)?, currency },
    })
}
