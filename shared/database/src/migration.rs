//! Forward-only migrations, one list per part of the schema.

use values::Timestamp;

use crate::{Db, DbError, Query};

/// One step of a part of the schema; never changed once released.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1, 2, 3 ... within its part.
    pub version: i64,
    /// What it does, in a few words.
    pub name: &'static str,
    /// Its statements on SQLite, one each.
    pub sqlite: &'static [&'static str],
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
    fn newest(&self) -> i64 {
        self.migrations.last().map_or(0, |migration| migration.version)
    }

    /// Reads the version in the database.
    ///
    /// # Errors
    /// [`DbError::Schema`] if it is newer than this program understands.
    pub async fn status(&self, db: &Db) -> Result<SchemaStatus, DbError> {
        let table = Query::new("SELECT 1 FROM sqlite_schema WHERE name = 'mw_migration'");
        let found = if db.first(table).await?.is_some() {
            let query = Query::new(
                "SELECT coalesce(max(version), 0) FROM mw_migration WHERE component = $1",
            );
            db.first(query.bind(self.component)).await?.map_or(Ok(0), |row| row.get(0))?
        } else {
            0
        };
        if found > self.newest() {
            return Err(DbError::Schema {
                component: self.component,
                found,
                from: self.oldest,
                to: self.newest(),
                hint: "use the release that migrated this database, or a newer one",
            });
        }
        Ok(SchemaStatus { found, newest: self.newest() })
    }

    /// Brings the database to the newest version; does nothing if it is there already.
    ///
    /// Several processes may call it at once: each step runs in a transaction that looks again.
    pub async fn migrate(&self, db: &Db, now: Timestamp) -> Result<SchemaStatus, DbError> {
        let status = self.status(db).await?;
        if status.found == status.newest {
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
        tx.execute(Query::new(
            "CREATE TABLE IF NOT EXISTS mw_migration (
               component TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL,
               applied_at BIGINT NOT NULL, PRIMARY KEY (component, version))",
        ))
        .await?;
        let query = Query::new("SELECT 1 FROM mw_migration WHERE component = $1 AND version = $2");
        if tx.first(query.bind(self.component).bind(migration.version)).await?.is_some() {
            return transaction.commit().await;
        }
        for statement in migration.sqlite {
            tx.execute(Query::new(statement)).await?;
        }
        let query = Query::new("INSERT INTO mw_migration VALUES ($1, $2, $3, $4)");
        let query = query.bind(self.component).bind(migration.version);
        tx.execute(query.bind(migration.name).bind(now)).await?;
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
                sqlite: &["CREATE TABLE thing (id BIGINT PRIMARY KEY)"],
            },
            Migration { version: 2, name: "second", sqlite: &["ALTER TABLE thing ADD name TEXT"] },
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
