//! All of a transaction or nothing, and nothing of it left behind.

use database::{DbError, Durability, EngineKind, Query, Tx};
use testkit::TestDb;
use tokio::time::timeout;

use crate::support::{A_MOMENT, SCHEMA, WITHIN, count, insert};

async fn database(engine: EngineKind) -> TestDb {
    TestDb::new(engine, "sample", &[SCHEMA]).await
}

async fn a_failed_step_undoes_itself_alone(engine: EngineKind) {
    let database = database(engine).await;
    let mut work = database.db.begin_with(Durability::Relaxed).await.unwrap();
    let mut tx = work.tx();
    tx.execute(insert(1)).await.unwrap();
    let failed = tx
        .savepoint(|tx: &mut Tx<'_>| {
            Box::pin(async move {
                tx.execute(insert(2)).await?;
                tx.execute(insert(1)).await
            })
        })
        .await
        .unwrap();
    assert!(matches!(failed, Err(DbError::Constraint { .. })), "{failed:?}");
    let inner = tx
        .savepoint(|tx: &mut Tx<'_>| {
            Box::pin(async move {
                tx.execute(insert(3)).await?;
                tx.savepoint(|tx: &mut Tx<'_>| {
                    Box::pin(async move {
                        tx.execute(insert(4)).await?;
                        Err::<(), _>(DbError::Refused("no".to_owned()))
                    })
                })
                .await
            })
        })
        .await
        .unwrap();
    assert!(matches!(inner, Ok(Err(DbError::Refused(_)))), "{inner:?}");
    work.commit().await.unwrap();
    let rows = database.db.all(Query::new("SELECT id FROM thing ORDER BY id")).await.unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(ids, [1, 3]);
}

async fn what_is_dropped_is_undone_and_holds_nobody_up(engine: EngineKind) {
    let database = database(engine).await;
    // More often than there are connections.
    for _ in 0..12 {
        let mut dropped = database.db.begin().await.unwrap();
        dropped.tx().execute(insert(1)).await.unwrap();
        drop(dropped);
        let next = timeout(WITHIN, database.db.execute(insert(1))).await.unwrap();
        assert_eq!(next.unwrap(), 1);
        database.db.execute(Query::new("DELETE FROM thing")).await.unwrap();
    }
    let mut abandoned = database.db.begin().await.unwrap();
    abandoned.tx().execute(insert(2)).await.unwrap();
    abandoned.rollback().await.unwrap();
    assert_eq!(count(&database.db).await, 0);
}

async fn a_lock_is_held_until_the_transaction_ends(engine: EngineKind) {
    let database = database(engine).await;
    for commits in [true, false] {
        let mut first = database.db.begin().await.unwrap();
        first.tx().lock("one").await.unwrap();
        let mut second = Box::pin(async {
            let mut second = database.db.begin().await.unwrap();
            second.tx().lock("one").await.unwrap();
            second.commit().await.unwrap();
        });
        assert!(timeout(A_MOMENT, &mut second).await.is_err());
        if commits {
            first.commit().await.unwrap();
        } else {
            drop(first);
        }
        timeout(WITHIN, second).await.unwrap();
    }
}

testkit::on_each_engine!(
    a_failed_step_undoes_itself_alone,
    what_is_dropped_is_undone_and_holds_nobody_up,
    a_lock_is_held_until_the_transaction_ends,
);

#[tokio::test]
async fn other_locks_are_others() {
    let database = database(EngineKind::Postgres).await;
    let mut first = database.db.begin().await.unwrap();
    first.tx().lock("one").await.unwrap();
    let mut second = database.db.begin().await.unwrap();
    timeout(WITHIN, second.tx().lock("two")).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_transaction_that_failed_within_cannot_be_committed() {
    let database = database(EngineKind::Postgres).await;
    database.db.execute(insert(1)).await.unwrap();
    let mut work = database.db.begin().await.unwrap();
    work.tx().execute(insert(2)).await.unwrap();
    work.tx().execute(insert(1)).await.unwrap_err();
    // Whoever lost the error learns of it here, and not from rows that are missing.
    work.commit().await.unwrap_err();
    assert_eq!(count(&database.db).await, 1);
    timeout(WITHIN, database.db.execute(insert(2))).await.unwrap().unwrap();
}
