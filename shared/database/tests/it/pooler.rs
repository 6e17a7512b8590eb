//! Through PgBouncer.

use database::{Db, DbError, EngineKind, PostgresSettings, Query};
use testkit::{PgBouncer, PoolMode, TestDb};
use values::{Secret, Timestamp};

use crate::support::{SCHEMA, WITHIN, count, insert, open, settings};

#[tokio::test]
async fn sessions_that_are_shared_are_noticed_and_nothing_is_left_in_them() {
    let database = TestDb::new(EngineKind::Postgres, "empty", &[]).await;
    let direct = database.url().unwrap();
    let (_, name) = direct.rsplit_once('/').unwrap();
    let server = testkit::shared_postgres().await.unwrap();
    let pool = PgBouncer::start(server.address(), PoolMode::Transaction, 2).await.unwrap();
    let db = open(&pool.url(name)).await.unwrap();
    assert!(db.is_pooled() && !db.can_listen());
    assert!(db.listen("told").await.unwrap().is_none());
    let read = Query::new("SELECT current_setting('synchronous_commit')");
    let read: String = db.first(read).await.unwrap().unwrap().get(0).unwrap();
    assert_eq!(read, "on", "what is read of the settings is the server's");

    SCHEMA.migrate(&db, Timestamp::EPOCH).await.unwrap();
    // The same texts over sessions that change hands: nothing prepared may be looked for.
    let other = open(&pool.url(name)).await.unwrap();
    let write = async |db: &Db, first: i64| {
        for id in first..first + 50 {
            db.execute(insert(id)).await.unwrap();
            let query = Query::new("SELECT name FROM thing WHERE id = $1").bind(id);
            assert!(db.first(query).await.unwrap().is_some());
        }
    };
    tokio::join!(write(&db, 0), write(&db, 100), write(&other, 200));
    assert_eq!(count(&db).await, 150);

    let listen_url = Some(Secret::new(direct.to_owned()));
    let both = PostgresSettings { listen_url, ..settings(&pool.url(name)) };
    let both = Db::open_postgres(&both).await.unwrap();
    assert!(both.is_pooled() && both.can_listen());
    let mut listener = both.listen("told").await.unwrap().unwrap();
    other.notify("told").await.unwrap();
    assert!(listener.wait(WITHIN).await.unwrap());

    let listen_url = Some(Secret::new(pool.url(name)));
    let deaf = PostgresSettings { listen_url, ..settings(&pool.url(name)) };
    let error = Db::open_postgres(&deaf).await.unwrap().listen("told").await.unwrap_err();
    assert!(matches!(error, DbError::Pooled) && !error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_pool_that_keeps_sessions_apart_may_be_said_to() {
    let database = TestDb::new(EngineKind::Postgres, "sample", &[SCHEMA]).await;
    let (_, name) = database.url().unwrap().rsplit_once('/').unwrap();
    let server = testkit::shared_postgres().await.unwrap();
    let pool = PgBouncer::start(server.address(), PoolMode::Session, 6).await.unwrap();
    let cautious = open(&pool.url(name)).await.unwrap();
    assert!(cautious.is_pooled(), "nobody can tell how long a pool keeps a session");
    cautious.execute(insert(1)).await.unwrap();
    cautious.close().await;
    let told = PostgresSettings { pooled: Some(false), ..settings(&pool.url(name)) };
    for own in [told, settings(&server.url(name))] {
        let db = Db::open_postgres(&own).await.unwrap();
        assert!(!db.is_pooled());
        assert_eq!(count(&db).await, 1);
        let mut listener = db.listen("told").await.unwrap().unwrap();
        db.notify("told").await.unwrap();
        assert!(listener.wait(WITHIN).await.unwrap());
        listener.close().await;
        db.close().await;
    }
}
