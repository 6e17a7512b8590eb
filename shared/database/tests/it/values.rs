//! What is written comes back as it was.

use database::{DbError, EngineKind, Query, Value};
use testkit::TestDb;
use values::Timestamp;

async fn empty(engine: EngineKind) -> TestDb {
    TestDb::new(engine, "empty", &[]).await
}

async fn every_type_comes_back_as_it_was(engine: EngineKind) {
    let database = empty(engine).await;
    let blob = if engine == EngineKind::Sqlite { "BLOB" } else { "BYTEA" };
    let table = format!("CREATE TABLE v (i BIGINT, r DOUBLE PRECISION, t TEXT, b {blob})");
    database.db.execute(Query::built(table)).await.unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    let mut work = database.db.begin().await.unwrap();
    for (int, real, text, blob) in [
        (Some(i64::MIN), Some(-0.1), Some("ü\u{1f980}\n'\"\\"), Some(bytes.clone())),
        (Some(i64::MAX), Some(1e300), Some(""), Some(Vec::new())),
        (None, None, None, None),
    ] {
        let query = Query::new("INSERT INTO v (i, r, t, b) VALUES ($1, $2, $3, $4)");
        let query = query.bind(int).bind(real).bind(text).bind(blob.clone());
        assert_eq!(work.tx().execute(query).await.unwrap(), 1);
        let read = Query::new("SELECT i, r, t, b FROM v");
        let row = work.tx().first(read).await.unwrap().unwrap();
        assert_eq!(row.get::<Option<i64>>(0).unwrap(), int);
        assert_eq!(row.get::<Option<f64>>(1).unwrap(), real);
        assert_eq!(row.get::<Option<String>>(2).unwrap().as_deref(), text);
        assert_eq!(row.get::<Option<Vec<u8>>>(3).unwrap(), blob);
        let wrong = row.get::<i64>(2).unwrap_err();
        assert!(matches!(wrong, DbError::Column { column: 2, expected: "a whole number" }));
        assert_eq!(row.get::<i64>(0).is_err(), int.is_none(), "nothing is not a number");
        work.tx().execute(Query::new("DELETE FROM v")).await.unwrap();
    }
    work.commit().await.unwrap();
}

async fn numbers_of_any_width_and_times_are_read(engine: EngineKind) {
    let database = empty(engine).await;
    let sql = "SELECT 1, CAST(2 AS BIGINT), CAST(3.5 AS REAL), CAST($1 AS BIGINT)";
    let time = Timestamp::from_micros(1_792_584_000_000_001);
    let row = database.db.first(Query::new(sql).bind(time)).await.unwrap().unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), 1);
    assert!(row.get::<bool>(0).unwrap());
    assert_eq!(row.get::<i64>(1).unwrap(), 2);
    assert!((row.get::<f64>(2).unwrap() - 3.5).abs() < f64::EPSILON);
    assert_eq!(row.get::<Timestamp>(3).unwrap(), time);
}

async fn lists_arrive_with_their_gaps(engine: EngineKind) {
    let database = empty(engine).await;
    let ints = Value::Ints(vec![Some(i64::MAX), None, Some(-1)]);
    let texts = Value::Texts(vec![Some("a,{}\"'\\".to_owned()), None, Some(String::new())]);
    let blobs = Value::Blobs(vec![Some(vec![0, 255, 92]), None, Some(Vec::new())]);
    let (ints_sql, texts_sql, blobs_sql) = match engine {
        EngineKind::Sqlite => (
            "SELECT value FROM json_each($1) ORDER BY key",
            "SELECT value FROM json_each($1) ORDER BY key",
            "SELECT unhex(value) FROM json_each($1) ORDER BY key",
        ),
        EngineKind::Postgres => (
            "SELECT * FROM unnest($1::bigint[])",
            "SELECT * FROM unnest($1::text[])",
            "SELECT * FROM unnest($1::bytea[])",
        ),
    };
    let all = async |sql, list: Value| database.db.all(Query::new(sql).bind(list)).await.unwrap();
    let found: Vec<Option<i64>> =
        all(ints_sql, ints).await.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(found, [Some(i64::MAX), None, Some(-1)]);
    let found: Vec<Option<String>> =
        all(texts_sql, texts).await.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(found, [Some("a,{}\"'\\".to_owned()), None, Some(String::new())]);
    let found: Vec<Option<Vec<u8>>> =
        all(blobs_sql, blobs).await.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(found, [Some(vec![0, 255, 92]), None, Some(Vec::new())]);
    assert!(all(ints_sql, Value::Ints(Vec::new())).await.is_empty());
}

async fn text_is_ordered_byte_by_byte(engine: EngineKind) {
    let database = TestDb::new(engine, "sample", &[crate::support::SCHEMA]).await;
    let sorted = ["", "A", "Z", "_", "a", "a b", "a-b", "ab", "z", "ä", "\u{1f980}"];
    for (id, name) in (0..).zip(sorted.iter().rev()) {
        let query = Query::new("INSERT INTO thing (id, name) VALUES ($1, $2)");
        database.db.execute(query.bind(i64::from(id)).bind(*name)).await.unwrap();
    }
    let rows = database.db.all(Query::new("SELECT name FROM thing ORDER BY name")).await.unwrap();
    let found: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(found, sorted);
    let query = Query::new("SELECT max(name) FROM thing WHERE name < $1");
    let row = database.db.first(query.bind("a-b")).await.unwrap().unwrap();
    assert_eq!(row.get::<String>(0).unwrap(), "a b");
}

async fn as_many_arguments_as_the_protocol_carries(engine: EngineKind) {
    // SQLite takes half as many, and grows slow long before.
    let rows: i64 = if engine == EngineKind::Sqlite { 2_000 } else { 32_767 };
    let database = TestDb::new(engine, "sample", &[crate::support::SCHEMA]).await;
    let count = usize::try_from(rows).unwrap();
    let values = database::value_rows(count, 2);
    let mut query = Query::built(format!("INSERT INTO thing (id, name) VALUES {values}"));
    for id in 0..rows {
        query.push(id);
        query.push("x");
    }
    assert_eq!(database.db.execute(query).await.unwrap(), rows.cast_unsigned());
    assert_eq!(crate::support::count(&database.db).await, rows);
}

testkit::on_each_engine!(
    every_type_comes_back_as_it_was,
    numbers_of_any_width_and_times_are_read,
    lists_arrive_with_their_gaps,
    text_is_ordered_byte_by_byte,
    as_many_arguments_as_the_protocol_carries,
);

#[tokio::test]
async fn what_the_server_cannot_keep_in_text_is_replaced() {
    let database = empty(EngineKind::Postgres).await;
    let query = Query::new("SELECT $1::text, ($2::text[])[1]");
    let query = query.bind("a\0b").bind(vec!["\0".to_owned()]);
    let row = database.db.first(query).await.unwrap().unwrap();
    assert_eq!(row.get::<String>(0).unwrap(), "a\u{fffd}b");
    assert_eq!(row.get::<String>(1).unwrap(), "\u{fffd}");
}
