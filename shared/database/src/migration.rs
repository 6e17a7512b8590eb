//! Forward-only migrations, one list per part of the schema.

use values::Timestamp;

use crate::{Db, DbError, EngineKind, Query};

/// Finds a row if the table of migrations is there with all its columns.
const WORKS_FROM_COLUMN: &str =
    "SELECT 1 FROM pragma_table_info('mw_migration') WHERE name = 'works_from'";

/// One step of a part of the schema; never changed once released.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1, 2, 3 ... within its part.
    pub version: i64,
    /// What it does, in a few words.
    pub name: &'static str,
    /// The oldest version whose programs still work with the database after this step. On
    /// PostgreSQL that is the version before, so that workers live through a migration.
    pub works_from: i64,
    /// Its statements on SQLite, one each.
    pub sqlite: &'static [&'static str],
    /// Its statements on PostgreSQL.
    pub postgres: PostgresSql,
}

/// What a step does on PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub enum PostgresSql {
    /// The statements of SQLite, with its types in PostgreSQL's words and without its table options.
    Translated,
    /// Statements of its own, one each.
    Own(&'static [&'static str]),
}

impl PostgresSql {
    fn statements(self, sqlite: &'static [&'static str]) -> Vec<Query> {
        match self {
            Self::Translated => sqlite.iter().map(|sql| Query::built(translated(sql))).collect(),
            Self::Own(statements) => statements.iter().map(|sql| Query::new(sql)).collect(),
        }
    }
}

/// Writes the types of PostgreSQL for those of SQLite and leaves its table options out.
///
/// Text is compared byte by byte, as SQLite does it, whatever the database's language.
fn translated(sql: &str) -> String {
    let is_table = sql.starts_with("CREATE TABLE") || sql.starts_with("ALTER TABLE");
    let end = sql.rfind(')').filter(|_| is_table).map_or(sql.len(), |at| at + 1);
    let words = [
        (" BLOB", " BYTEA"),
        (" INTEGER", " BIGINT"),
        (" REAL", " DOUBLE PRECISION"),
        (" TEXT", " TEXT COLLATE \"C\""),
    ];
    words.iter().fold(sql[..end].to_owned(), |sql, (from, to)| sql.replace(from, to))
}

/// A part of the schema: its migrations and the versions this program can work with.
#[derive(Debug, Clone, Copy)]
pub struct SchemaRange {
    /// Name of the part, such as `tasks`.
    pub component: &'static str,
    /// All migrations in order; the last is the newest version this program accepts.
    pub migrations: &'static [Migration],
    /// The oldest version this program accepts.
    pub oldest: i64,
}

/// Where a part of the schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Version in the database; 0 before the first migration.
    pub found: i64,
    /// Newest version this program knows.
    pub newest: i64,
}

impl SchemaRange {
    /// Reads the version in the database.
    ///
    /// # Errors
    /// [`DbError::Schema`] if it is newer than this program can work with.
    pub async fn status(&self, db: &Db) -> Result<SchemaStatus, DbError> {
        let table = match db.kind() {
            EngineKind::Sqlite => WORKS_FROM_COLUMN,
            EngineKind::Postgres => "SELECT 1 WHERE to_regclass('mw_migration') IS NOT NULL",
        };
        let (mut found, mut works_from) = (0, 0);
        if db.first(Query::new(table)).await?.is_some() {
            let query = Query::new(
                "SELECT coalesce(max(version), 0), coalesce(max(works_from), 0)
                   FROM mw_migration WHERE component = $1",
            );
            if let Some(row) = db.first(query.bind(self.component)).await? {
                (found, works_from) = (row.get(0)?, row.get(1)?);
            }
        }
        if found > self.newest() && works_from > self.newest() {
            let hint = "use the release that migrated this database, or a newer one";
            return Err(self.unfit(found, hint));
        }
        Ok(SchemaStatus { found, newest: self.newest() })
    }

    /// Lists the steps beyond a version, each with its statements for an engine.
    pub fn steps_after(
        &self,
        version: i64,
        kind: EngineKind,
    ) -> Vec<(&'static Migration, Vec<String>)> {
        let steps = self.migrations.iter().filter(|step| step.version > version);
        let text = |query: Query| query.sql.into_owned();
        let statements = |step: &Migration| match kind {
            EngineKind::Sqlite => step.sqlite.iter().map(|&sql| sql.to_owned()).collect(),
            EngineKind::Postgres => {
                step.postgres.statements(step.sqlite).into_iter().map(text).collect()
            }
        };
        steps.map(|step| (step, statements(step))).collect()
    }

    /// Names of the tables and sequences that its steps make on PostgreSQL.
    pub fn relations(&self) -> Vec<String> {
        let name = |sql: &String| {
            let made = ["CREATE TABLE ", "CREATE SEQUENCE "];
            let rest = made.iter().find_map(|words| sql.trim_start().strip_prefix(words))?;
            rest.split([' ', '(', '\n']).next().map(str::to_owned)
        };
        let steps = self.steps_after(0, EngineKind::Postgres);
        steps.iter().flat_map(|(_, sql)| sql.iter().filter_map(name)).collect()
    }

    /// The newest version this program knows.
    pub fn newest(&self) -> i64 {
        self.migrations.last().map_or(0, |migration| migration.version)
    }

    /// Makes sure that this program can work with the database as it is.
    ///
    /// # Errors
    /// [`DbError::Schema`] if it is too old or too new, saying what to do.
    pub async fn require(&self, db: &Db) -> Result<SchemaStatus, DbError> {
        let status = self.status(db).await?;
        if status.found < self.oldest {
            return Err(self.unfit(status.found, "run `main-worker migrate` once"));
        }
        Ok(status)
    }

    fn unfit(&self, found: i64, hint: &'static str) -> DbError {
        let (component, from, to) = (self.component, self.oldest, self.newest());
        DbError::Schema { component, found, from, to, hint }
    }

    /// Brings the database to the newest version; does nothing if it is there already.
    ///
    /// Several processes may call it at once: each step runs in a transaction that looks again.
    pub async fn migrate(&self, db: &Db, now: Timestamp) -> Result<SchemaStatus, DbError> {
        let status = self.status(db).await?;
        if status.found >= status.newest {
            return Ok(status);
        }
        for migration in self.migrations {
            self.apply(db, migration, now).await?;
        }
        self.status(db).await
    }

    async fn apply(&self, db: &Db, migration: &Migration, now: Timestamp) -> Result<(), DbError> {
        let mut transaction = db.begin().await?;
        let mut tx = transaction.tx();
        if tx.kind() == EngineKind::Postgres {
            // One at a time, and never long in the way of those who work.
            tx.execute(Query::new("SELECT pg_advisory_xact_lock(hashtext('mw_migration'))"))
                .await?;
            tx.execute(Query::new("SET LOCAL lock_timeout = '2s'")).await?;
        }
        tx.execute(Query::new(
            "CREATE TABLE IF NOT EXISTS mw_migration (
               component TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL,
               applied_at BIGINT NOT NULL, works_from BIGINT NOT NULL,
               PRIMARY KEY (component, version))",
        ))
        .await?;
        let is_sqlite = tx.kind() == EngineKind::Sqlite;
        if is_sqlite && tx.first(Query::new(WORKS_FROM_COLUMN)).await?.is_none() {
            // Files from before the column.
            let add = "ALTER TABLE mw_migration ADD COLUMN works_from BIGINT NOT NULL DEFAULT 1";
            tx.execute(Query::new(add)).await?;
        }
        let query = Query::new("SELECT 1 FROM mw_migration WHERE component = $1 AND version = $2");
        if tx.first(query.bind(self.component).bind(migration.version)).await?.is_some() {
            return transaction.commit().await;
        }
        let statements = match tx.kind() {
            EngineKind::Sqlite => migration.sqlite.iter().map(|sql| Query::new(sql)).collect(),
            EngineKind::Postgres => migration.postgres.statements(migration.sqlite),
        };
        for statement in statements {
            tx.execute(statement).await?;
        }
        let query = Query::new("INSERT INTO mw_migration VALUES ($1, $2, $3, $4, $5)");
        let query = query.bind(self.component).bind(migration.version).bind(migration.name);
        tx.execute(query.bind(now).bind(migration.works_from)).await?;
        tracing::info!(
            component = self.component,
            version = migration.version,
            name = migration.name,
            "schema migrated"
        );
        transaction.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, Tx};

    const SCHEMA: SchemaRange = SchemaRange {
        component: "sample",
        migrations: &[
            Migration {
                version: 1,
                name: "first",
                works_from: 1,
                sqlite: &["CREATE TABLE thing (id BIGINT PRIMARY KEY)"],
                postgres: PostgresSql::Translated,
            },
            Migration {
                version: 2,
                name: "second",
                works_from: 2,
                sqlite: &["ALTER TABLE thing ADD name TEXT"],
                postgres: PostgresSql::Own(&["ALTER TABLE thing ADD name TEXT"]),
            },
        ],
        oldest: 1,
    };

    async fn database(folder: &tempfile::TempDir) -> Db {
        Db::open_sqlite(&folder.path().join("main.db")).await.unwrap()
    }

    async fn count(db: &Db) -> i64 {
        let query = Query::new("SELECT count(*) FROM thing");
        db.first(query).await.unwrap().unwrap().get(0).unwrap()
    }

    fn insert(id: i64) -> Query {
        Query::new("INSERT INTO thing (id) VALUES ($1)").bind(id)
    }

    #[test]
    fn translates_tables_and_leaves_the_rest() {
        let table = "CREATE TABLE a (id BLOB PRIMARY KEY, n INTEGER, t TEXT NOT NULL, r REAL)
          STRICT, WITHOUT ROWID";
        let expected = "CREATE TABLE a (id BYTEA PRIMARY KEY, n BIGINT, \
                        t TEXT COLLATE \"C\" NOT NULL, r DOUBLE PRECISION)";
        assert_eq!(translated(table), expected);
        let index = "CREATE INDEX i ON a (n) WHERE n > (1) AND id IS NOT NULL";
        assert_eq!(translated(index), index);
        let column = "ALTER TABLE a ADD COLUMN n INTEGER NOT NULL DEFAULT 0";
        assert_eq!(translated(column), "ALTER TABLE a ADD COLUMN n BIGINT NOT NULL DEFAULT 0");
    }

    #[tokio::test]
    async fn migrates_once_whoever_asks() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (database(&folder).await, database(&folder).await);
        let (first, second) = tokio::join!(
            SCHEMA.migrate(&one, Timestamp::EPOCH),
            SCHEMA.migrate(&two, Timestamp::EPOCH)
        );
        assert_eq!(first.unwrap(), SchemaStatus { found: 2, newest: 2 });
        assert_eq!(second.unwrap(), SchemaStatus { found: 2, newest: 2 });
        let older = SchemaRange { migrations: &SCHEMA.migrations[..1], ..SCHEMA };
        let error = older.status(&one).await.unwrap_err().to_string();
        assert!(error.contains("at version 2, this program accepts 1 to 1"), "{error}");
    }

    #[tokio::test]
    async fn rolls_back_what_is_dropped_and_undoes_only_the_failed_step() {
        let folder = tempfile::tempdir().unwrap();
        let db = database(&folder).await;
        SCHEMA.migrate(&db, Timestamp::EPOCH).await.unwrap();
        let mut dropped = db.begin().await.unwrap();
        dropped.tx().execute(insert(1)).await.unwrap();
        drop(dropped);
        let mut kept = db.begin_with(Durability::Relaxed).await.unwrap();
        kept.tx().execute(insert(2)).await.unwrap();
        let failed = kept
            .tx()
            .savepoint(|tx: &mut Tx<'_>| {
                Box::pin(async move {
                    tx.execute(insert(3)).await?;
                    tx.execute(insert(2)).await
                })
            })
            .await
            .unwrap();
        assert!(matches!(failed, Err(DbError::Constraint { .. })));
        kept.commit().await.unwrap();
        assert_eq!(count(&db).await, 1);
    }

    #[tokio::test]
    async fn notices_writes_of_others_and_a_file_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (mine, other) = (database(&folder).await, database(&folder).await);
        SCHEMA.migrate(&mine, Timestamp::EPOCH).await.unwrap();
        let before = mine.change_counter().await.unwrap();
        assert_eq!(mine.change_counter().await.unwrap(), before);
        other.execute(insert(1)).await.unwrap();
        assert_ne!(mine.change_counter().await.unwrap(), before);
        std::fs::remove_file(folder.path().join("main.db")).unwrap();
        assert!(matches!(mine.begin().await.unwrap_err(), DbError::Moved { .. }));
        assert!(matches!(mine.check().await.unwrap_err(), DbError::Moved { .. }));
    }

    #[tokio::test]
    async fn says_when_a_file_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.db");
        std::fs::write(&path, [b'x'; 4096]).unwrap();
        assert!(matches!(Db::open_sqlite(&path).await.unwrap_err(), DbError::NotADatabase));
    }
}
