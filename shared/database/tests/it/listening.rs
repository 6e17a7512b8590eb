//! Notifications, and the silence of a dead connection.

use std::time::{Duration, Instant};

use database::{DbError, EngineKind};
use testkit::{PostgresServer, Profile, Proxy, TestDb};

use crate::support::{A_MOMENT, WITHIN, open};

/// How soon a dead connection is noticed at the latest.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn hears_what_is_told_on_its_channel_and_nothing_else() {
    let database = TestDb::new(EngineKind::Postgres, "empty", &[]).await;
    let db = &database.db;
    let mut listener = db.listen("one").await.unwrap().unwrap();
    assert!(!listener.wait(A_MOMENT).await.unwrap());
    db.notify("two").await.unwrap();
    assert!(!listener.wait(A_MOMENT).await.unwrap());
    for _ in 0..3 {
        db.notify("one").await.unwrap();
    }
    assert!(listener.wait(WITHIN).await.unwrap());
    // Told while it does something else.
    db.notify("one").await.unwrap();
    tokio::time::sleep(A_MOMENT).await;
    assert!(listener.wait(Duration::ZERO).await.unwrap() || listener.wait(WITHIN).await.unwrap());
}

#[tokio::test]
async fn a_connection_that_died_without_a_word_is_noticed() {
    let server = testkit::shared_postgres().await.unwrap();
    let database = server.fresh_database().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let url = format!("postgres://postgres@{}/{}", proxy.address(), database.name());
    let db = open(&url).await.unwrap();
    let mut listener = db.listen("told").await.unwrap().unwrap();
    assert!(!listener.wait(A_MOMENT).await.unwrap());

    proxy.pause();
    let silent_since = Instant::now();
    let error = listener.wait(Duration::from_mins(1)).await.unwrap_err();
    assert!(silent_since.elapsed() < NOTICED_WITHIN, "{:?}", silent_since.elapsed());
    assert!(matches!(error, DbError::Unreachable(_)), "{error:?}");
    proxy.resume();
    let mut listener = db.listen("told").await.unwrap().unwrap();
    db.notify("told").await.unwrap();
    assert!(listener.wait(WITHIN).await.unwrap());
}

#[tokio::test]
async fn a_server_that_stands_still_or_dies_is_noticed() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let db = open(&server.url("postgres")).await.unwrap();
    for breaks in [PostgresServer::pause, PostgresServer::kill] {
        let mut listener = db.listen("told").await.unwrap().unwrap();
        breaks(&server);
        let silent_since = Instant::now();
        let error = listener.wait(Duration::from_mins(1)).await.unwrap_err();
        assert!(silent_since.elapsed() < NOTICED_WITHIN, "{:?}", silent_since.elapsed());
        assert!(error.is_transient(), "{error:?}");
        server.resume();
    }
}
