//! What goes wrong on PostgreSQL, by what a caller does about it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use database::{DbError, EngineKind, Query};
use testkit::{PostgresServer, Profile, TestDb};
use tokio::time::timeout;

use crate::support::{A_MOMENT, SCHEMA, WITHIN, count, insert, open};

async fn database() -> TestDb {
    TestDb::new(EngineKind::Postgres, "sample", &[SCHEMA]).await
}

#[tokio::test]
async fn a_row_that_is_there_is_told_by_its_constraint_without_values() {
    let database = database().await;
    database.db.execute(insert(77)).await.unwrap();
    let error = database.db.execute(insert(77)).await.unwrap_err();
    assert!(matches!(error, DbError::Constraint { .. }) && !error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("thing_pkey"), "{error}");
    assert!(!error.to_string().contains("77"), "{error}");
}

#[tokio::test]
async fn of_a_deadlock_one_goes_on_and_the_other_may_try_again() {
    let database = database().await;
    for id in [1, 2] {
        database.db.execute(insert(id)).await.unwrap();
    }
    let update = |id: i64| Query::new("UPDATE thing SET name = 'y' WHERE id = $1").bind(id);
    let mut one = database.db.begin().await.unwrap();
    let mut two = database.db.begin().await.unwrap();
    one.tx().execute(update(1)).await.unwrap();
    two.tx().execute(update(2)).await.unwrap();
    let (mut of_one, mut of_two) = (one.tx(), two.tx());
    let crossing = async { tokio::join!(of_one.execute(update(2)), of_two.execute(update(1))) };
    let ended = match timeout(WITHIN, crossing).await.unwrap() {
        (Ok(1), Err(error)) | (Err(error), Ok(1)) => error,
        both => panic!("one of the two goes on: {both:?}"),
    };
    assert!(matches!(ended, DbError::Busy) && ended.is_transient(), "{ended:?}");
}

#[tokio::test]
async fn a_lock_that_is_not_given_back_and_a_cancelled_statement_are_busy() {
    let database = database().await;
    let mut holder = database.db.begin().await.unwrap();
    holder.tx().execute(Query::new("LOCK TABLE thing")).await.unwrap();
    let mut waiter = database.db.begin().await.unwrap();
    waiter.tx().execute(Query::new("SET LOCAL lock_timeout = '50ms'")).await.unwrap();
    let error = waiter.tx().execute(insert(1)).await.unwrap_err();
    assert!(matches!(error, DbError::Busy), "{error:?}");
    waiter.rollback().await.unwrap();

    let mut slow = database.db.begin().await.unwrap();
    slow.tx().execute(Query::new("SET LOCAL statement_timeout = '50ms'")).await.unwrap();
    let error = slow.tx().all(Query::new("SELECT pg_sleep(60)")).await.unwrap_err();
    assert!(matches!(error, DbError::Busy), "{error:?}");
}

#[tokio::test]
async fn a_wrong_statement_is_for_a_person() {
    let database = database().await;
    let error = database.db.all(Query::new("SELECT nothing FROM nowhere")).await.unwrap_err();
    assert!(matches!(error, DbError::Other(_)) && !error.is_transient(), "{error:?}");
    let told = "the database refused a statement: relation \"nowhere\" does not exist";
    assert_eq!(error.to_string(), told);
}

#[tokio::test]
async fn a_right_that_is_missing_and_a_server_that_takes_no_writes_are_told_apart() {
    let database = database().await;
    let mut guest = database.db.begin().await.unwrap();
    guest.tx().execute(Query::new("SET LOCAL ROLE pg_monitor")).await.unwrap();
    let error = guest.tx().execute(insert(1)).await.unwrap_err();
    assert!(matches!(error, DbError::Forbidden { .. }) && !error.is_transient(), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("permission denied for") && told.contains("grant it"), "{told}");

    let read_only = "?options=-c%20default_transaction_read_only%3Don";
    let db = open(&format!("{}{read_only}", database.url().unwrap())).await.unwrap();
    assert_eq!(count(&db).await, 0);
    let error = db.execute(insert(1)).await.unwrap_err();
    assert!(matches!(error, DbError::Standby) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn encryption_that_the_server_does_not_offer_is_for_a_person() {
    let database = database().await;
    for mode in ["require", "verify-full"] {
        let url = format!("{}?sslmode={mode}", database.url().unwrap());
        let error = open(&url).await.unwrap_err();
        assert!(matches!(error, DbError::Tls(_)) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("sslmode"), "{error}");
    }
}

#[tokio::test]
async fn limits_that_were_set_for_people_end_nothing() {
    let database = database().await;
    let limits = "?options=-c%20statement_timeout%3D100%20-c%20idle_session_timeout%3D100\
                  %20-c%20idle_in_transaction_session_timeout%3D100";
    let db = open(&format!("{}{limits}", database.url().unwrap())).await.unwrap();
    let slowly = || Query::new("SELECT pg_sleep(0.3)");
    db.all(slowly()).await.unwrap();
    let mut listener = db.listen("told").await.unwrap().unwrap();
    let mut transaction = db.begin().await.unwrap();
    transaction.tx().all(slowly()).await.unwrap();
    tokio::time::sleep(A_MOMENT).await;
    transaction.tx().execute(insert(1)).await.unwrap();
    transaction.commit().await.unwrap();
    tokio::time::sleep(A_MOMENT).await;
    assert!(!listener.wait(A_MOMENT).await.unwrap(), "it still hears");
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn a_statement_alone_is_isolated_as_in_a_transaction_of_ours() {
    let database = database().await;
    let usual = "?options=-c%20default_transaction_isolation%3Dserializable";
    let db = open(&format!("{}{usual}", database.url().unwrap())).await.unwrap();
    let shown = || Query::new("SELECT current_setting('transaction_isolation')");
    let alone = db.first(shown()).await.unwrap().unwrap();
    let mut transaction = db.begin().await.unwrap();
    let ours = transaction.tx().first(shown()).await.unwrap().unwrap();
    for row in [alone, ours] {
        assert_eq!(row.get::<String>(0).unwrap(), "read committed");
    }
}

#[tokio::test]
async fn a_wrong_url_password_or_database_is_told_without_the_password() {
    let mut rules = tempfile::NamedTempFile::new().unwrap();
    rules.write_all(b"host all guarded all scram-sha-256\nhost all postgres all trust\n").unwrap();
    rules.as_file().set_permissions(PermissionsExt::from_mode(0o644)).unwrap();
    let options = PostgresServer::options(Profile::Fast);
    let server = options.set("hba_file", rules.path().to_str().unwrap()).start().await.unwrap();
    let trusted = open(&server.url("postgres")).await.unwrap();
    let role = "CREATE ROLE guarded LOGIN PASSWORD 'canary-right'";
    trusted.execute(Query::new(role)).await.unwrap();

    let address = server.address();
    open(&format!("postgres://guarded:canary-right@{address}/postgres")).await.unwrap();
    for (who, database) in [
        ("guarded:canary-wrong", "postgres"),
        ("guarded:canary-right", "no_such_database"),
        ("nobody:canary-wrong", "postgres"),
    ] {
        let error = open(&format!("postgres://{who}@{address}/{database}")).await.unwrap_err();
        assert!(matches!(error, DbError::Denied { .. }) && !error.is_transient(), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    for url in ["mysql://a:canary@b/c", "postgres://a:canary@b:port/c", "canary"] {
        let error = open(url).await.unwrap_err();
        assert!(matches!(error, DbError::Url(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_told_and_recovered_from() {
    let options = PostgresServer::options(Profile::Fast);
    let options = options.set("max_connections", "6").set("superuser_reserved_connections", "0");
    let server = options.start().await.unwrap();
    let url = server.url("postgres");
    let (one, two) = (open(&url).await.unwrap(), open(&url).await.unwrap());
    let third = open(&url).await.unwrap();
    let mut held = Vec::new();
    for db in [&one, &one, &one, &two, &two, &two] {
        held.push(db.begin().await.unwrap());
    }
    let error = open(&url).await.unwrap_err();
    assert!(matches!(error, DbError::TooManyConnections) && error.is_transient(), "{error:?}");
    let error = third.all(Query::new("SELECT 1")).await.unwrap_err();
    assert!(matches!(error, DbError::TooManyConnections), "also where one waits: {error:?}");
    drop(held);
    drop((one, two));
    crate::support::soon(async || third.all(Query::new("SELECT 1")).await).await;
}

#[tokio::test]
async fn whoever_waits_for_a_connection_of_the_own_pool_is_told_that_it_is_busy() {
    let database = database().await;
    let db = open(database.url().unwrap()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(db.begin().await.unwrap());
    }
    let error = db.all(Query::new("SELECT 1")).await.unwrap_err();
    assert!(matches!(error, DbError::Busy), "{error:?}");
    drop(held);
    timeout(WITHIN, db.check()).await.unwrap().unwrap();
}
