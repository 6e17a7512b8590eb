//! Statements of a transaction that wait for the next one, so that a server is asked once for all.

use std::fmt::Write as _;

use crate::Query;

/// Arguments of one message at the most; a server takes 65,535.
const MAX_ARGUMENTS: usize = 1_000;

/// Statements that write and whose answers nobody waits for, each of a table of its own.
///
/// **Invariant:** none of them names the table of another, so that they may run in any order, and
/// on one snapshot, as the parts of a `WITH` do.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    waiting: Vec<Query>,
}

impl Deferred {
    /// Forgets them; the transaction they are of is undone, or the part of it.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether a statement may run together with those that wait.
    pub(crate) fn fits(&self, query: &Query) -> bool {
        let Some(table) = table(&query.sql) else { return false };
        let arguments: usize = self.waiting.iter().map(|query| query.arguments.len()).sum();
        let is_apart = |other: &Query| {
            let others = self::table(&other.sql).expect("only writes wait");
            !names(&other.sql, table) && !names(&query.sql, others)
        };
        arguments + query.arguments.len() <= MAX_ARGUMENTS && self.waiting.iter().all(is_apart)
    }

    /// Adds a statement that fits.
    pub(crate) fn push(&mut self, query: Query) {
        debug_assert!(self.fits(&query), "not apart from what waits: {}", query.sql);
        self.waiting.push(query);
    }

    /// Takes all of them as one statement.
    pub(crate) fn take(&mut self) -> Option<Query> {
        let last = self.waiting.pop()?;
        Some(self.take_with(last))
    }

    /// Takes all of them as one statement, with one that fits; the answer is the latter's.
    pub(crate) fn take_with(&mut self, last: Query) -> Query {
        if self.waiting.is_empty() {
            return last;
        }
        let mut sql = String::with_capacity(1_024);
        let mut arguments = Vec::new();
        for (at, query) in self.waiting.drain(..).enumerate() {
            let begin = if at == 0 { "WITH" } else { "," };
            write!(sql, "{begin} deferred_{at} AS (").expect("text takes all");
            renumber(&mut sql, &query.sql, arguments.len());
            sql.push(')');
            arguments.extend(query.arguments);
        }
        sql.push(' ');
        renumber(&mut sql, &last.sql, arguments.len());
        arguments.extend(last.arguments);
        Query { sql: sql.into(), arguments }
    }
}

/// Whether it undoes what was done last, or all of the transaction.
pub(crate) fn undoes(sql: &str) -> bool {
    sql.starts_with("ROLLBACK")
}

/// The table that a plain statement writes to; `None` for all others, and for a table that is not
/// said by its plain name alone.
fn table(sql: &str) -> Option<&str> {
    let mut words = sql.split_whitespace();
    let said = match (words.next()?, words.next()?) {
        ("UPDATE", said) => said,
        ("INSERT", "INTO") | ("DELETE", "FROM") => words.next()?,
        _ => return None,
    };
    let table = said.split('(').next()?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!table.is_empty() && table.chars().all(is_plain)).then_some(table)
}

fn names(sql: &str, table: &str) -> bool {
    words(sql).any(|word| word == table)
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| !(c.is_alphanumeric() || c == '_');
    sql.split(between).filter(|word| !word.is_empty())
}

/// Writes a statement whose `$1` is the argument after `before` others; what it says in quotes holds
/// no `$` before a digit.
fn renumber(text: &mut String, sql: &str, before: usize) {
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        match number.parse::<usize>() {
            Ok(number) => write!(text, "${}{rest}", number + before).expect("text takes all"),
            Err(_) => write!(text, "${part}").expect("text takes all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(sql: &'static str, arguments: i64) -> Query {
        (0..arguments).fold(Query::new(sql), Query::bind)
    }

    #[test]
    fn become_the_parts_of_one_statement() {
        let mut deferred = Deferred::default();
        deferred.push(query("INSERT INTO a (x, y) VALUES ($1, $2)", 2));
        deferred.push(query("UPDATE b SET x = $2 WHERE y = $1", 2));
        let last = query("DELETE FROM c WHERE x = $1 RETURNING y", 1);
        assert!(deferred.fits(&last));
        let all = deferred.take_with(last);
        assert_eq!(
            all.sql,
            "WITH deferred_0 AS (INSERT INTO a (x, y) VALUES ($1, $2)), \
             deferred_1 AS (UPDATE b SET x = $4 WHERE y = $3) \
             DELETE FROM c WHERE x = $5 RETURNING y"
        );
        assert_eq!(all.arguments.len(), 5);
        assert!(deferred.take().is_none());
    }

    #[test]
    fn one_alone_stays_as_it_is() {
        let mut deferred = Deferred::default();
        deferred.push(query("UPDATE a SET x = $1", 1));
        assert_eq!(deferred.take().unwrap().sql, "UPDATE a SET x = $1");
    }

    #[test]
    fn only_writes_of_other_tables_fit() {
        let mut deferred = Deferred::default();
        deferred.push(query("UPDATE invoice SET paid = $1 WHERE id IN (SELECT x FROM b)", 1));
        for (sql, fits) in [
            ("INSERT INTO invoice_series (last) VALUES (1)", true),
            ("INSERT INTO invoice(last) VALUES (1)", false),
            ("DELETE FROM b WHERE x = 1", false),
            ("UPDATE c SET x = (SELECT max(paid) FROM invoice)", false),
            ("SELECT 1", false),
            ("WITH d AS (SELECT 1) INSERT INTO e SELECT * FROM d", false),
            ("SAVEPOINT step", false),
            ("UPDATE ONLY c SET x = 1", false),
            ("UPDATE public.invoice SET paid = 1", false),
            ("DELETE FROM \"invoice\"", false),
        ] {
            assert_eq!(deferred.fits(&query(sql, 0)), fits, "{sql}");
        }
        assert!(!deferred.fits(&query("INSERT INTO e VALUES ($1)", 1_000)));
    }
}
