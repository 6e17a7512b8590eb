use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

use super::*;
use crate::Proxy;

const SOON: Duration = Duration::from_millis(200);
const WITHIN: Duration = Duration::from_secs(20);

async fn connect(url: &str) -> PgConnection {
    timeout(WITHIN, PgConnection::connect(url)).await.unwrap().unwrap()
}

async fn execute(connection: &mut PgConnection, statement: &str) -> sqlx::Result<u64> {
    let statement = AssertSqlSafe(statement.to_owned());
    Ok(sqlx::raw_sql(statement).execute(connection).await?.rows_affected())
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    let query = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
    query.fetch_one(connection).await.unwrap()
}

async fn rows(url: &str) -> i64 {
    let mut connection = connect(url).await;
    sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn survives_a_crash_and_a_stop_with_port_and_data() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let mut connection = connect(&url).await;
    execute(&mut connection, "CREATE TABLE t (n INT)").await.unwrap();
    execute(&mut connection, "INSERT INTO t VALUES (1), (2)").await.unwrap();

    let running = server.start_again().await.unwrap_err();
    assert!(running.to_string().contains("kill or stop it first"), "{running}");
    server.kill();
    assert!(timeout(WITHIN, execute(&mut connection, "SELECT 1")).await.unwrap().is_err());
    let refused = PgConnection::connect(&url).await.unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    server.kill();
    server.start_again().await.unwrap();
    assert_eq!(rows(&url).await, 2);
    assert!(server.log().contains("not properly shut down"), "{}", server.log());

    let mut connection = connect(&url).await;
    execute(&mut connection, "BEGIN").await.unwrap();
    execute(&mut connection, "INSERT INTO t VALUES (3)").await.unwrap();
    server.restart().await.unwrap();
    assert_eq!(rows(&url).await, 2);
    assert!(server.log().contains("fast shutdown"), "{}", server.log());
}

#[tokio::test]
async fn stands_still_with_all_its_sessions_and_leaves_nothing_behind() {
    let server = PostgresServer::options(Profile::Durable).set("max_connections", "7").start();
    let server = server.await.unwrap();
    let url = server.url("postgres");
    let mut connection = connect(&url).await;
    assert_eq!(setting(&mut connection, "max_connections").await, "7");
    assert_eq!(setting(&mut connection, "fsync").await, "on");

    server.pause();
    let mut question = Box::pin(execute(&mut connection, "SELECT 1"));
    assert!(timeout(SOON, &mut question).await.is_err());
    assert!(timeout(SOON, PgConnection::connect(&url)).await.is_err());
    server.resume();
    assert_eq!(timeout(WITHIN, question).await.unwrap().unwrap(), 1);

    server.pause();
    let (pid, folder) = (server.pid().unwrap(), server.folder.path().to_owned());
    drop(server);
    assert!(!folder.exists());
    assert!(rustix::process::test_kill_process(pid).is_err());
}

#[tokio::test]
async fn goes_back_to_a_snapshot() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let mut connection = connect(&url).await;
    execute(&mut connection, "CREATE TABLE t (n INT)").await.unwrap();
    execute(&mut connection, "INSERT INTO t VALUES (1)").await.unwrap();
    let behind = server.copy_data().unwrap();
    execute(&mut connection, "INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(rows(&url).await, 2);
    assert!(server.start_from(&behind).await.is_err());
    server.kill();
    server.start_from(&behind).await.unwrap();
    assert_eq!(rows(&url).await, 1);
}

#[tokio::test]
async fn runs_out_of_disk_and_goes_on_with_a_larger_one() {
    if !rustix::process::geteuid().is_root() {
        let refused = PostgresServer::options(Profile::Fast).small_disk(80).start().await;
        assert!(refused.unwrap_err().to_string().contains("run this test as root"));
        return;
    }
    let server = PostgresServer::options(Profile::Fast).small_disk(80).start().await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let mut connection = connect(&url).await;
    execute(&mut connection, "CREATE TABLE t AS SELECT 1 AS n").await.unwrap();
    let fill = "INSERT INTO t SELECT g FROM generate_series(1, 3000000) g";
    let error = execute(&mut connection, fill).await.unwrap_err();
    // A full disk ends the statement, or the server if it is its journal that finds no room. Where
    // half a page still fits, the server tells of that instead.
    let told =
        |text: &str| text.contains("No space left") || text.contains("could not extend file");
    assert!(told(&error.to_string()) || told(&server.log()), "{error}");
    server.kill();
    server.resize_disk(400).unwrap();
    server.start_again().await.unwrap();
    assert_eq!(rows(&url).await, 1);
    let mounted = server.folder.path().join("data");
    drop(server);
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(mounted.to_str().unwrap()));
}

#[tokio::test]
async fn migrates_a_template_once_and_copies_it_for_each_test() {
    let migrated = AtomicU32::new(0);
    let database = async || {
        let migrate = async |url: String| {
            migrated.fetch_add(1, Ordering::Relaxed);
            // Left open: the template is closed to it.
            let mut connection = connect(&url).await;
            execute(&mut connection, "CREATE TABLE t AS SELECT 1 AS n").await?;
            std::mem::forget(connection);
            Ok(())
        };
        postgres_template("of_one_test", migrate).await.unwrap()
    };
    let (one, two, three) = tokio::join!(database(), database(), database());
    assert_eq!(migrated.load(Ordering::Relaxed), 1);
    let mut connection = connect(one.url()).await;
    execute(&mut connection, "INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!((rows(one.url()).await, rows(two.url()).await), (2, 1));
    assert_eq!(rows(three.url()).await, 1);
    assert_eq!(setting(&mut connection, "max_connections").await, "300");
    assert_eq!(setting(&mut connection, "fsync").await, "off");

    let (server, gone) = (one.server().clone(), one.url().to_owned());
    drop(one); // with a session in it
    let error = PgConnection::connect(&gone).await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    let empty = server.fresh_database().await.unwrap();
    let error = execute(&mut connect(empty.url()).await, "SELECT * FROM t").await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn tries_again_to_migrate_what_failed() {
    let broken = async |_| bail!("no such column");
    let error = postgres_template("broken_at_first", broken).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "cannot migrate the template: no such column");
    postgres_template("broken_at_first", async |_| Ok(())).await.unwrap();
    let error = postgres_template("Name; with more", async |_| Ok(())).await.unwrap_err();
    assert!(error.to_string().contains("no name for a template"), "{error}");
}

#[tokio::test]
async fn is_cut_off_silenced_slowed_and_refused_by_a_proxy() {
    let server = shared_postgres().await.unwrap();
    let database = server.fresh_database().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let url = database.url_through(proxy.address());
    let mut connection = connect(&url).await;
    execute(&mut connection, "CREATE TABLE t (n INT)").await.unwrap();

    // The server commits, the client never hears of it.
    let mut question = Box::pin(execute(&mut connection, "INSERT INTO t VALUES (1); SELECT 1"));
    proxy.cut_after(1);
    assert!(timeout(WITHIN, &mut question).await.unwrap().is_err());
    drop(question);
    let started = Instant::now();
    while rows(database.url()).await == 0 && started.elapsed() < WITHIN {}
    assert_eq!(rows(database.url()).await, 1);

    let mut connection = connect(&url).await;
    proxy.pause();
    let mut question = Box::pin(execute(&mut connection, "INSERT INTO t VALUES (2)"));
    assert!(timeout(SOON, &mut question).await.is_err());
    proxy.resume();
    assert_eq!(timeout(WITHIN, question).await.unwrap().unwrap(), 1);

    proxy.delay(SOON);
    let started = Instant::now();
    execute(&mut connection, "SELECT 1").await.unwrap();
    assert!(started.elapsed() >= SOON * 2, "{:?}", started.elapsed());
    proxy.delay(Duration::ZERO);

    proxy.cut().await;
    assert!(timeout(WITHIN, execute(&mut connection, "SELECT 1")).await.unwrap().is_err());
    let refused = PgConnection::connect(&url).await.unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    proxy.restore().await;
    assert_eq!(rows(&url).await, 2);
}
