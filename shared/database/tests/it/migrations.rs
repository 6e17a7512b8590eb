//! Migrations while others work.

use database::{DbError, EngineKind, Migration, PostgresSql, Query, SchemaRange, SchemaStatus};
use testkit::TestDb;
use values::Timestamp;

use crate::support::{SCHEMA, count, insert, open};

const STEPS: [Migration; 3] = [
    SCHEMA.migrations[0],
    Migration {
        version: 2,
        name: "a column that old programs need not know",
        works_from: 1,
        sqlite: &["ALTER TABLE thing ADD note TEXT"],
        postgres: PostgresSql::Translated,
    },
    Migration {
        version: 3,
        name: "a column that old programs cannot do without",
        works_from: 3,
        sqlite: &["ALTER TABLE thing DROP COLUMN name"],
        postgres: PostgresSql::Translated,
    },
];
const SECOND: SchemaRange = SchemaRange { migrations: STEPS.split_at(2).0, ..SCHEMA };
const THIRD: SchemaRange = SchemaRange { migrations: &STEPS, oldest: 3, ..SCHEMA };

async fn an_old_program_starts_with_what_it_can_work_with_and_no_more(engine: EngineKind) {
    let database = TestDb::new(engine, "empty", &[]).await;
    let db = &database.db;
    let error = SCHEMA.require(db).await.unwrap_err();
    assert!(error.to_string().contains("run `main-worker migrate` once"), "{error}");
    SCHEMA.migrate(db, Timestamp::EPOCH).await.unwrap();
    SCHEMA.require(db).await.unwrap();

    SECOND.migrate(db, Timestamp::EPOCH).await.unwrap();
    let status = SCHEMA.require(db).await.unwrap();
    assert_eq!(status, SchemaStatus { found: 2, newest: 1 });
    assert_eq!(SCHEMA.migrate(db, Timestamp::EPOCH).await.unwrap(), status);
    db.execute(insert(1)).await.unwrap();

    assert!(matches!(THIRD.require(db).await, Err(DbError::Schema { found: 2, from: 3, .. })));
    THIRD.migrate(db, Timestamp::EPOCH).await.unwrap();
    THIRD.require(db).await.unwrap();
    for old in [SCHEMA, SECOND] {
        let error = old.require(db).await.unwrap_err();
        assert!(matches!(error, DbError::Schema { found: 3, .. }), "{error:?}");
        assert!(error.to_string().contains("use the release that migrated"), "{error}");
    }
}

testkit::on_each_engine!(an_old_program_starts_with_what_it_can_work_with_and_no_more);

#[tokio::test]
async fn of_many_that_migrate_at_once_each_step_is_done_by_one() {
    let database = TestDb::new(EngineKind::Postgres, "empty", &[]).await;
    let migrate = async || {
        let db = open(database.url().unwrap()).await.unwrap();
        SECOND.migrate(&db, Timestamp::EPOCH).await.unwrap()
    };
    let (one, two, three, four) = tokio::join!(migrate(), migrate(), migrate(), migrate());
    assert_eq!([one, two, three, four], [SchemaStatus { found: 2, newest: 2 }; 4]);
    let rows = database.db.all(Query::new("SELECT version FROM mw_migration")).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(count(&database.db).await, 0);
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_behind() {
    const BROKEN: SchemaRange = SchemaRange {
        migrations: &[Migration {
            postgres: PostgresSql::Own(&["CREATE TABLE half (id BIGINT)", "CREATE nonsense"]),
            ..STEPS[0]
        }],
        ..SCHEMA
    };
    let database = TestDb::new(EngineKind::Postgres, "empty", &[]).await;
    BROKEN.migrate(&database.db, Timestamp::EPOCH).await.unwrap_err();
    let query = Query::new("SELECT 1 WHERE to_regclass('half') IS NOT NULL");
    assert!(database.db.first(query).await.unwrap().is_none());
    assert_eq!(BROKEN.status(&database.db).await.unwrap().found, 0);
    SCHEMA.migrate(&database.db, Timestamp::EPOCH).await.unwrap();
}

#[tokio::test]
async fn a_step_stands_in_nobodys_way_for_long() {
    let database = TestDb::new(EngineKind::Postgres, "sample", &[SCHEMA]).await;
    let mut reader = database.db.begin().await.unwrap();
    reader.tx().all(Query::new("SELECT id FROM thing")).await.unwrap();
    // The reader does not end, so the step gives up rather than make all others queue behind it.
    let error = SECOND.migrate(&database.db, Timestamp::EPOCH).await.unwrap_err();
    assert!(matches!(error, DbError::Busy), "{error:?}");
    reader.commit().await.unwrap();
    SECOND.migrate(&database.db, Timestamp::EPOCH).await.unwrap();
}
