//! A small schema, and ways to reach a server.

use std::time::Duration;

use database::{Db, DbError, Migration, PostgresSettings, PostgresSql, Query, SchemaRange};
use values::Secret;

/// What no healthy answer takes, on a machine with other work.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);
/// Long enough for whoever need not wait.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(300);

pub(crate) const SCHEMA: SchemaRange = SchemaRange {
    component: "sample",
    migrations: &[Migration {
        version: 1,
        name: "things",
        works_from: 1,
        sqlite: &["CREATE TABLE thing (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)"],
        postgres: PostgresSql::Translated,
    }],
    oldest: 1,
};

pub(crate) fn settings(url: &str) -> PostgresSettings {
    PostgresSettings { max_connections: 4, ..PostgresSettings::new(Secret::new(url.to_owned())) }
}

pub(crate) async fn open(url: &str) -> Result<Db, DbError> {
    Db::open_postgres(&settings(url)).await
}

pub(crate) fn insert(id: i64) -> Query {
    Query::new("INSERT INTO thing (id, name) VALUES ($1, 'x')").bind(id)
}

pub(crate) async fn count(db: &Db) -> i64 {
    let query = Query::new("SELECT count(*) FROM thing");
    db.first(query).await.unwrap().unwrap().get(0).unwrap()
}

/// Asks until there is an answer, and returns it.
pub(crate) async fn soon<T>(mut ask: impl AsyncFnMut() -> Result<T, DbError>) -> T {
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WITHIN, asking).await.unwrap()
}
