//! Many rows in few statements, whose texts repeat so that they stay prepared.

use std::collections::BTreeMap;

use database::{DbError, Query, Row, Tx, Value, value_rows};

use crate::Reader;

/// Rows or keys of one statement, largest first.
///
/// Larger ones are slower: SQLite looks through all names of a statement's arguments for each
/// `$1`, so that the time of a statement grows with their square.
const SIZES: [usize; 4] = [32, 8, 2, 1];

/// Cuts a slice into parts of those sizes.
fn parts<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= items.len())?;
        let (part, rest) = items.split_at(size);
        items = rest;
        Some(part)
    })
}

/// Orders rows by their key; of those with the same key the last stays.
///
/// One statement must not change a row twice, and two that change the same rows in the same order
/// wait for each other instead of for ever.
pub(crate) fn last_of_each<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Vec<&T> {
    let last: BTreeMap<K, &T> = items.iter().map(|item| (key(item), item)).collect();
    last.into_values().collect()
}

/// Inserts all items: `into` up to `VALUES`, then rows, then `conflict`. Returns rows changed.
pub(crate) async fn insert<T: Sync, const COLUMNS: usize>(
    tx: &mut Tx<'_>,
    into: &'static str,
    conflict: &'static str,
    items: &[T],
    row: impl Fn(&T) -> [Value; COLUMNS] + Send,
) -> Result<u64, DbError> {
    let mut changed = 0;
    for part in parts(items) {
        changed += tx.execute(insertion(into, conflict, part, &row)).await?;
    }
    Ok(changed)
}

/// The statement that inserts these few items, at least one.
pub(crate) fn insertion<T, const COLUMNS: usize>(
    into: &str,
    conflict: &str,
    items: &[T],
    row: impl Fn(&T) -> [Value; COLUMNS],
) -> Query {
    let rows = value_rows(items.len(), COLUMNS);
    let mut query = Query::built(format!("{into} {rows} {conflict}"));
    for value in items.iter().flat_map(row) {
        query.push(value);
    }
    query
}

/// Runs `head (keys) tail` for all keys; `fixed` are the arguments before the keys.
///
/// A short list is filled up with its last key, which changes no answer of an `IN`.
pub(crate) async fn select_in<T: Sync, V: Into<Value>>(
    reader: &mut impl Reader,
    (head, tail): (&'static str, &'static str),
    fixed: &[Value],
    keys: &[T],
    value: impl Fn(&T) -> V + Send,
) -> Result<Vec<Row>, DbError> {
    let mut found = Vec::new();
    for query in in_queries((head, tail), fixed, keys, value) {
        found.extend(reader.all(query).await?);
    }
    Ok(found)
}

/// Runs `head (keys) tail` as statements that write; returns rows changed.
pub(crate) async fn execute_in<T: Sync, V: Into<Value>>(
    tx: &mut Tx<'_>,
    (head, tail): (&'static str, &'static str),
    fixed: &[Value],
    keys: &[T],
    value: impl Fn(&T) -> V + Send,
) -> Result<u64, DbError> {
    let mut changed = 0;
    for query in in_queries((head, tail), fixed, keys, value) {
        changed += tx.execute(query).await?;
    }
    Ok(changed)
}

fn in_queries<T, V: Into<Value>>(
    (head, tail): (&'static str, &'static str),
    fixed: &[Value],
    keys: &[T],
    value: impl Fn(&T) -> V,
) -> impl Iterator<Item = Query> {
    keys.chunks(SIZES[0]).map(move |part| {
        let fits = |size: &usize| *size >= part.len();
        let size = SIZES.into_iter().rev().find(fits).unwrap_or(SIZES[0]);
        let names: Vec<String> =
            (1..=size).map(|number| format!("${}", fixed.len() + number)).collect();
        let mut query = Query::built(format!("{head} ({}) {tail}", names.join(",")));
        for argument in fixed {
            query.push(argument.clone());
        }
        let last = part.last().expect("chunks are not empty");
        for key in part.iter().chain(std::iter::repeat_n(last, size - part.len())) {
            query.push(value(key));
        }
        query
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_into_few_sizes_and_loses_nothing() {
        for len in [0_usize, 1, 3, 7, 8, 31, 32, 1_000] {
            let items: Vec<usize> = (0..len).collect();
            let cut: Vec<&[usize]> = parts(&items).collect();
            assert_eq!(cut.concat(), items);
            assert!(cut.iter().all(|part| SIZES.contains(&part.len())));
        }
    }

    #[test]
    fn the_last_of_each_key_stays_in_the_order_of_the_keys() {
        let items = [(2, 'a'), (1, 'b'), (2, 'c')];
        assert_eq!(last_of_each(&items, |(key, _)| *key), [&(1, 'b'), &(2, 'c')]);
    }

    #[test]
    fn fills_a_short_list_with_its_last_key() {
        let query = |keys: &[i64]| {
            let fixed = [Value::from("source")];
            let queries = in_queries(("SELECT", "AND $1"), &fixed, keys, |key| *key);
            queries.map(|query| format!("{query:?}")).collect::<Vec<_>>()
        };
        assert!(query(&[]).is_empty());
        assert!(query(&[7, 8])[0].contains("SELECT ($2,$3) AND $1"));
        assert_eq!(query(&[7, 8, 9])[0].matches("Int(Some(9))").count(), 6);
        assert_eq!(query(&[1; 300]).len(), 10);
    }
}
