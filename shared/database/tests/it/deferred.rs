//! Deferred statements: sent together, seen by whoever reads, and gone with what they are part of.

use database::{
    Db, DbError, EngineKind, Migration, PgConnection, PostgresSql, Query, SchemaRange, Tx,
};
use testkit::TestDb;

const TABLES: SchemaRange = SchemaRange {
    component: "deferred",
    migrations: &[Migration {
        version: 1,
        name: "tables",
        works_from: 1,
        sqlite: &[
            "CREATE TABLE owner (id INTEGER NOT NULL PRIMARY KEY, things INTEGER NOT NULL)",
            "CREATE TABLE thing (
               id INTEGER NOT NULL PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES owner (id))",
            "CREATE TABLE note (id INTEGER NOT NULL PRIMARY KEY, text TEXT NOT NULL)",
        ],
        postgres: PostgresSql::Translated,
    }],
    oldest: 1,
};

async fn database(engine: EngineKind) -> TestDb {
    TestDb::new(engine, "deferred", &[TABLES]).await
}

fn owner(id: i64) -> Query {
    Query::new("INSERT INTO owner (things, id) VALUES ($2, $1)").bind(id).bind(0_i64)
}

fn thing(id: i64, owner: i64) -> Query {
    Query::new("INSERT INTO thing (id, owner_id) VALUES ($1, $2)").bind(id).bind(owner)
}

fn note(id: i64) -> Query {
    Query::new("INSERT INTO note (id, text) VALUES ($1, $2)").bind(id).bind("$1 is 5 $")
}

fn count(owner: i64) -> Query {
    let sql = "UPDATE owner SET things = (SELECT count(*) FROM thing WHERE owner_id = $1)
                WHERE id = $1";
    Query::new(sql).bind(owner)
}

/// How many owners, things and notes there are.
async fn rows(db: &Db) -> [i64; 3] {
    let sql = "SELECT (SELECT count(*) FROM owner), (SELECT count(*) FROM thing),
                 (SELECT count(*) FROM note)";
    let row = db.first(Query::new(sql)).await.unwrap().unwrap();
    [0, 1, 2].map(|column| row.get(column).unwrap())
}

async fn are_stored_in_their_order(engine: EngineKind) {
    let database = database(engine).await;
    let mut work = database.db.begin().await.unwrap();
    let mut tx = work.tx();
    tx.defer(owner(1)).await.unwrap();
    tx.defer(thing(1, 1)).await.unwrap();
    tx.defer(note(1)).await.unwrap();
    tx.defer(thing(2, 1)).await.unwrap();
    tx.defer(count(1)).await.unwrap();
    // A read sees all that was deferred before it, and an answer is that of its own statement.
    let things = Query::new("SELECT things FROM owner ORDER BY id");
    assert_eq!(tx.first(things.clone()).await.unwrap().unwrap().get::<i64>(0).unwrap(), 2);
    tx.defer(owner(2)).await.unwrap();
    tx.defer(owner(3)).await.unwrap();
    assert_eq!(tx.execute(Query::new("DELETE FROM thing WHERE id > 0")).await.unwrap(), 2);
    tx.defer(note(2)).await.unwrap();
    let query =
        Query::new("INSERT INTO thing (id, owner_id) VALUES ($1, $2) RETURNING id, owner_id");
    let row = tx.first(query.bind(9_i64).bind(3_i64)).await.unwrap().unwrap();
    assert_eq!((row.get::<i64>(0).unwrap(), row.get::<i64>(1).unwrap()), (9, 3));
    tx.defer(note(3)).await.unwrap();
    tx.defer(Query::new("UPDATE owner SET things = 7 WHERE id = 1")).await.unwrap();
    assert_eq!(rows(&database.db).await, [0, 0, 0]);
    work.commit().await.unwrap();
    assert_eq!(rows(&database.db).await, [3, 1, 3]);
    let row = database.db.first(things).await.unwrap().unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), 7);
    let text = database.db.first(Query::new("SELECT text FROM note")).await.unwrap().unwrap();
    assert_eq!(text.get::<String>(0).unwrap(), "$1 is 5 $");
}

async fn are_gone_with_their_transaction(engine: EngineKind) {
    let database = database(engine).await;
    for rolls_back in [true, false] {
        let mut work = database.db.begin().await.unwrap();
        work.tx().defer(note(1)).await.unwrap();
        if rolls_back {
            work.rollback().await.unwrap();
        } else {
            drop(work);
        }
        database.db.execute(note(1)).await.unwrap();
        database.db.execute(Query::new("DELETE FROM note")).await.unwrap();
    }
}

async fn are_undone_with_their_step_alone(engine: EngineKind) {
    let database = database(engine).await;
    let mut work = database.db.begin().await.unwrap();
    let mut tx = work.tx();
    tx.defer(note(1)).await.unwrap();
    let refused = tx
        .savepoint(|tx: &mut Tx<'_>| {
            Box::pin(async move {
                tx.defer(note(2)).await?;
                tx.defer(owner(2)).await?;
                Err::<(), _>(DbError::Refused("no".to_owned()))
            })
        })
        .await
        .unwrap();
    assert!(matches!(refused, Err(DbError::Refused(_))), "{refused:?}");
    let kept = tx
        .savepoint(|tx: &mut Tx<'_>| Box::pin(async move { tx.defer(owner(3)).await }))
        .await
        .unwrap();
    kept.unwrap();
    work.commit().await.unwrap();
    assert_eq!(rows(&database.db).await, [1, 0, 1]);
}

/// The error of a deferred statement fails the step it is of, and no other.
async fn fail_their_step(engine: EngineKind) {
    let database = database(engine).await;
    database.db.execute(note(1)).await.unwrap();
    let mut work = database.db.begin().await.unwrap();
    let mut tx = work.tx();
    tx.defer(owner(1)).await.unwrap();
    let failed = tx
        .savepoint(|tx: &mut Tx<'_>| {
            Box::pin(async move {
                tx.defer(owner(2)).await?;
                tx.defer(note(1)).await
            })
        })
        .await
        .unwrap();
    assert!(matches!(failed, Err(DbError::Constraint { .. })), "{failed:?}");
    tx.defer(owner(3)).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(rows(&database.db).await, [2, 0, 1]);
}

testkit::on_each_engine!(
    are_stored_in_their_order,
    are_gone_with_their_transaction,
    are_undone_with_their_step_alone,
    fail_their_step,
);

/// The number of the command that stored a row tells apart what was sent at once.
#[tokio::test]
async fn are_sent_at_once() {
    let database = database(EngineKind::Postgres).await;
    let mut work = database.db.begin().await.unwrap();
    let mut tx = work.tx();
    tx.defer(owner(1)).await.unwrap();
    tx.defer(note(1)).await.unwrap();
    tx.execute(thing(1, 1)).await.unwrap();
    tx.execute(thing(2, 1)).await.unwrap();
    let sql = "SELECT CAST(CAST(cmin AS TEXT) AS BIGINT) FROM owner
               UNION ALL SELECT CAST(CAST(cmin AS TEXT) AS BIGINT) FROM note
               UNION ALL SELECT CAST(CAST(cmin AS TEXT) AS BIGINT) FROM thing ORDER BY 1";
    let found = tx.all(Query::new(sql)).await.unwrap();
    let commands: Vec<i64> = found.iter().map(|row| row.get(0).unwrap()).collect();
    let [first, second, third, fourth] = commands[..] else { panic!("{commands:?}") };
    assert!(first == second && second == third && third < fourth, "{commands:?}");
}

#[tokio::test]
async fn fail_the_commit_if_nothing_came_after_them() {
    let database = database(EngineKind::Postgres).await;
    database.db.execute(note(1)).await.unwrap();
    let mut work = database.db.begin().await.unwrap();
    work.tx().defer(owner(1)).await.unwrap();
    work.tx().defer(note(1)).await.unwrap();
    let failed = work.commit().await;
    assert!(matches!(failed, Err(DbError::Constraint { .. })), "{failed:?}");
    assert_eq!(rows(&database.db).await, [0, 0, 1]);
}

/// Who commits a transaction of its own does not ask us what waits.
#[tokio::test]
async fn run_at_once_on_a_connection_of_the_caller() {
    use sqlx::Connection as _;

    let database = database(EngineKind::Postgres).await;
    let mut connection = PgConnection::connect(database.url().unwrap()).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
    Tx::postgres(&mut connection, true).defer(note(1)).await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
    assert_eq!(rows(&database.db).await, [0, 0, 1]);
}
