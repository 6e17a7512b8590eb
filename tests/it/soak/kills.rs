//! Workers are killed at random moments.

use std::process::Command;

use database::{Db, EngineKind, PostgresSettings, Query};
use serde_json::Value;
use testkit::{PostgresServer, Profile};
use values::Secret;

use super::{size, tell};
use crate::site::PROGRAM;

async fn killed_workers_lose_nothing_and_double_nothing(engine: EngineKind) {
    let (tasks, workers, kills) = size((2_000, 2, 8), (50_000, 3, 100));
    let profile = size(Profile::Fast, Profile::Durable);
    let server = PostgresServer::start(profile).await.unwrap();
    // The measurement makes what it needs in a schema of its own.
    let database = server.fresh_database().await.unwrap();
    let url = (engine == EngineKind::Postgres).then_some(&database);
    let output = Command::new(PROGRAM)
        .envs(url.map(|url| ("DATABASE_URL", url)))
        .args(["--output", "json", "bench", "faults", "--seed", "3"])
        .args(["--tasks", &tasks.to_string(), "--workers", &workers.to_string()])
        .args(["--kills", &kills.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["completed"], tasks, "{report}");
    let killed = report["kills"].as_u64().unwrap();
    assert!(killed > 0, "{report}");
    for promise in
        ["lost", "other", "effectsMissing", "effectsDoubled", "rowsMissing", "rowsDoubled"]
    {
        assert_eq!(report[promise], 0, "{report}");
    }
    let db = Db::open_postgres(&PostgresSettings::new(Secret::new(database))).await.unwrap();
    let left = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'main_worker%'
                UNION SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    assert!(db.all(Query::new(left)).await.unwrap().is_empty(), "nothing is left behind");
    let repeated = &report["repeatedAttempts"];
    tell(
        &format!("{killed} kills (SIGKILL) of {workers} workers, {engine:?}"),
        &format!("{tasks} tasks, 0 lost, 0 doubled, {repeated} attempts repeated"),
    );
}

testkit::on_each_engine!(killed_workers_lose_nothing_and_double_nothing);
