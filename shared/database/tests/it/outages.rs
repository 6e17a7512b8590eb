//! A server that goes and comes back: the pool recovers by itself.

use std::time::{Duration, Instant};

use database::{DbError, Query};
use testkit::{PostgresServer, Profile, Proxy};
use tokio::time::timeout;
use values::Timestamp;

use crate::support::{SCHEMA, WITHIN, count, insert, open, soon};

#[tokio::test]
async fn a_server_that_was_killed_and_started_again_is_found_again() {
    let server = PostgresServer::start(Profile::Durable).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let db = open(&url).await.unwrap();
    SCHEMA.migrate(&db, Timestamp::EPOCH).await.unwrap();
    db.execute(insert(1)).await.unwrap();
    let mut cut_off = db.begin().await.unwrap();
    cut_off.tx().execute(insert(2)).await.unwrap();

    server.kill();
    let error = cut_off.tx().execute(insert(3)).await.unwrap_err();
    assert!(matches!(error, DbError::Unreachable(_)), "{error:?}");
    let error = cut_off.commit().await.unwrap_err();
    assert!(matches!(error, DbError::Unreachable(_)), "{error:?}");
    let (written, checked) = tokio::join!(db.execute(insert(4)), db.check());
    for error in [written.unwrap_err(), checked.unwrap_err()] {
        assert!(matches!(error, DbError::Unreachable(_)) && error.is_transient(), "{error:?}");
    }
    let error = open(&url).await.unwrap_err();
    assert!(matches!(error, DbError::Unreachable(_)), "{error:?}");

    server.start_again().await.unwrap();
    soon(async || db.execute(insert(5)).await).await;
    assert_eq!(count(&db).await, 2, "nothing of the transaction that was cut off");
    server.restart().await.unwrap();
    soon(async || db.execute(insert(6)).await).await;
    assert_eq!(count(&db).await, 3);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_an_error_and_its_connection_is_not_used_again() {
    let server = testkit::shared_postgres().await.unwrap();
    let database = server.fresh_database().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let url = format!("postgres://postgres@{}/{}", proxy.address(), database.name());
    let db = open(&url).await.unwrap();
    SCHEMA.migrate(&db, Timestamp::EPOCH).await.unwrap();
    let mut work = db.begin().await.unwrap();
    work.tx().execute(insert(1)).await.unwrap();
    proxy.cut_after(5);
    let error = work.commit().await.unwrap_err();
    assert!(matches!(error, DbError::Unreachable(_)), "{error:?}");
    // It may have been committed: whoever repeats it must be able to tell.
    soon(async || db.all(Query::new("SELECT 1")).await).await;
    assert!(count(&db).await <= 1);
}

#[tokio::test]
async fn a_black_hole_costs_those_in_it_and_nobody_later() {
    let server = testkit::shared_postgres().await.unwrap();
    let database = server.fresh_database().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let url = format!("postgres://postgres@{}/{}", proxy.address(), database.name());
    let db = open(&url).await.unwrap();
    SCHEMA.migrate(&db, Timestamp::EPOCH).await.unwrap();
    // All of the pool's connections, of which some are in use when the network goes.
    let mut held = Vec::new();
    for id in 0..4 {
        let mut work = db.begin().await.unwrap();
        work.tx().execute(insert(id)).await.unwrap();
        held.push(work);
    }
    proxy.pause();
    for mut work in held {
        let mut tx = work.tx();
        let asked = tx.execute(insert(100));
        assert!(timeout(Duration::from_millis(50), asked).await.is_err());
        drop(work);
    }
    let asked_at = Instant::now();
    let error = db.all(Query::new("SELECT 1")).await.unwrap_err();
    assert!(error.is_transient() && asked_at.elapsed() < WITHIN, "{error:?}");
    proxy.resume();
    soon(async || db.execute(insert(7)).await).await;
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn reads_that_nobody_waits_for_keep_no_connection() {
    let server = testkit::shared_postgres().await.unwrap();
    let database = server.fresh_database().await.unwrap();
    let db = open(database.url()).await.unwrap();
    for _ in 0..6 {
        let endless = db.all(Query::new("SELECT pg_sleep(60)"));
        assert!(timeout(Duration::from_millis(100), endless).await.is_err());
    }
    timeout(WITHIN, db.check()).await.unwrap().unwrap();
}
