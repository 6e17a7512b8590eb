//! Thousands of rows that somebody with access to the database wrote or altered: none of them runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use database::{Db, Query};
use envelope::RawJson;
use main_worker::app::{App, Program};
use main_worker::clock::SystemClock;
use main_worker::settings::Settings;
use reporting::Scrubber;
use scheduling::TaskOptions;
use serde_json::{Value, json};
use values::TaskId;

use crate::cli_shell::Shell;

const REPORT: &str = "monitoring/report_environment";
/// Tasks forged in each way.
const EACH: usize = 150;
/// Ways to forge a task: its name, the SQL over `$1` (the row), and the codes that may follow.
///
/// `(SELECT ...)` of row 1 takes something from a task that is genuine.
const FORGERIES: [(&str, &str, &str); 24] = [
    (
        "payload",
        r#"UPDATE mw_envelope SET payload = CAST('{"echo":"forged"}' AS BLOB) WHERE seq = $1"#,
        "bad_proof",
    ),
    (
        "payload, a space",
        "UPDATE mw_envelope SET payload = CAST('{ ' || substr(CAST(payload AS TEXT), 2) AS BLOB) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "payload that is no JSON",
        "UPDATE mw_envelope SET payload = x'ff7b' WHERE seq = $1",
        "malformed_envelope",
    ),
    (
        "payload of another",
        "UPDATE mw_envelope SET payload = (SELECT payload FROM mw_envelope WHERE seq = 1) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "configuration",
        "UPDATE mw_envelope SET configuration = CAST('{ }' AS BLOB) WHERE seq = $1",
        "bad_proof",
    ),
    ("source", "UPDATE mw_envelope SET lane = 9001 WHERE seq = $1", "bad_proof"),
    ("job", "UPDATE mw_envelope SET lane = 9002 WHERE seq = $1", "bad_proof"),
    ("unknown source", "UPDATE mw_envelope SET lane = 9003 WHERE seq = $1", "unknown_source"),
    (
        "priority",
        "UPDATE mw_envelope SET stamp = json_set(stamp, '$.priority', 2) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "attempts",
        "UPDATE mw_envelope SET stamp = json_set(stamp, '$.maxAttempts', 99) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "lifetime",
        "UPDATE mw_envelope SET stamp = json_set(stamp, '$.notAfter', '2999-01-01T00:00:00Z') WHERE seq = $1",
        "bad_proof",
    ),
    (
        "start",
        "UPDATE mw_envelope SET stamp = json_set(stamp, '$.runAt', '2020-01-01T00:00:00Z') WHERE seq = $1",
        "bad_proof",
    ),
    (
        "unique key",
        "UPDATE mw_envelope SET stamp = json_set(stamp, '$.uniqueKey', 'k') WHERE seq = $1",
        "bad_proof",
    ),
    ("priority of the row", "UPDATE mw_task SET priority = 2 WHERE seq = $1", "bad_proof"),
    ("attempts of the row", "UPDATE mw_task SET max_attempts = 99 WHERE seq = $1", "bad_proof"),
    ("stamp that is none", "UPDATE mw_envelope SET stamp = 'x' WHERE seq = $1", "bad_proof"),
    (
        "replayed under a new id",
        "UPDATE mw_envelope SET id = randomblob(16) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "stamp of another",
        "UPDATE mw_envelope SET stamp = (SELECT stamp FROM mw_envelope WHERE seq = 1) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "copy of another",
        "UPDATE mw_envelope SET (stamp, proof, configuration, payload) =
           (SELECT stamp, proof, configuration, payload FROM mw_envelope WHERE seq = 1) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "copy of another under its own id",
        "UPDATE mw_envelope SET (stamp, proof, configuration, payload) =
           (SELECT json_set(o.stamp, '$.taskId', json_extract(mw_envelope.stamp, '$.taskId')), o.proof,
              o.configuration, o.payload FROM mw_envelope o WHERE o.seq = 1) WHERE seq = $1",
        "bad_proof",
    ),
    (
        "proof of another",
        "UPDATE mw_envelope SET proof = (SELECT proof FROM mw_envelope WHERE seq = 1) WHERE seq = $1",
        "bad_proof",
    ),
    ("no proof", "UPDATE mw_envelope SET proof = NULL WHERE seq = $1", "bad_proof"),
    ("proof that is none", "UPDATE mw_envelope SET proof = 'v1.mac' WHERE seq = $1", "bad_proof"),
    (
        "proof cut short",
        "UPDATE mw_envelope SET proof = substr(proof, 1, length(proof) - 3) WHERE seq = $1",
        "bad_proof",
    ),
];

/// Stores `count` genuine tasks the way every producer does.
async fn enqueue(shell: &Shell, count: usize) -> Vec<TaskId> {
    let settings = Settings { home: Some(shell.home()), ..Settings::default() };
    let program = Program::main();
    let app = App::open(settings, &program, Arc::new(SystemClock), Scrubber::new()).await.unwrap();
    let producer = app.producer("operator").unwrap();
    let mut batch = Vec::with_capacity(count);
    for number in 0..count {
        let payload = RawJson::from_value(&json!({ "echo": number })).unwrap();
        let (empty, options) = (RawJson::empty_object(), TaskOptions::default());
        batch.push(producer.prepare_raw(REPORT, &empty, payload, options, None).unwrap());
    }
    let stored = app.store.enqueue(batch).await.unwrap();
    stored.into_iter().map(|enqueued| enqueued.task_id).collect()
}

async fn forge(db: &Db) {
    for (lane, job, source) in [
        (9001, REPORT, "scheduler"),
        (9002, "usage/roll_up_usage", "operator"),
        (9003, REPORT, "stranger"),
    ] {
        let sql = "INSERT INTO mw_lane (id, job, source) VALUES ($1, $2, $3)";
        db.execute(Query::new(sql).bind(i64::from(lane)).bind(job).bind(source)).await.unwrap();
    }
    let mut transaction = db.begin().await.unwrap();
    let mut tx = transaction.tx();
    for (group, (name, sql, _)) in FORGERIES.iter().enumerate() {
        for number in 0..EACH {
            let row = i64::try_from(2 + group * EACH + number).unwrap();
            let changed = tx.execute(Query::new(sql).bind(row)).await.unwrap();
            assert_eq!(changed, 1, "{name}");
            // The hot row names the lane too.
            let lane = "UPDATE mw_task SET lane = (SELECT lane FROM mw_envelope WHERE seq = $1) WHERE seq = $1";
            tx.execute(Query::new(lane).bind(row)).await.unwrap();
        }
    }
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn none_of_the_forged_tasks_runs() {
    let shell = Shell::new();
    let genuine = enqueue(&shell, 1 + FORGERIES.len() * EACH).await[0];
    let db = Db::open_existing_sqlite(&shell.home().join("main.db")).await.unwrap();
    forge(&db).await;
    let (log, out) = (shell.path("log"), shell.path("out"));
    let status = shell
        .command(&["work", "--until-empty", "--no-schedules", "--output", "json"])
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::fs::File::create(&log).unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{}", shell.read("log"));
    let end: Value = serde_json::from_str(&shell.read("out")).unwrap();
    let sql =
        "SELECT e.seq, coalesce(t.held_code, ''), coalesce(f.state, -1), coalesce(f.error, ''),
                 coalesce(f.result, '')
               FROM mw_envelope e LEFT JOIN mw_task t ON t.seq = e.seq
               LEFT JOIN mw_finished f ON f.seq = e.seq ORDER BY e.seq";
    let rows = db.all(Query::new(sql)).await.unwrap();
    assert_eq!(rows.len(), 1 + FORGERIES.len() * EACH);
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows[1..] {
        let seq: i64 = row.get(0).unwrap();
        let (name, _, code) = FORGERIES[(usize::try_from(seq).unwrap() - 2) / EACH];
        let (held, error): (String, String) = (row.get(1).unwrap(), row.get(3).unwrap());
        let (state, result): (i64, String) = (row.get(2).unwrap(), row.get(4).unwrap());
        // 4 is discarded; what is not finished is held.
        assert!(state == 4 || held == code, "{name}: state {state}, held {held:?}");
        assert!(held == code || error.starts_with(&format!("{code}: ")), "{name}: {error}");
        assert_eq!(result, "", "{name}");
        *refused.entry(name).or_default() += 1;
    }
    assert!(FORGERIES.iter().all(|(name, _, _)| refused[name] == EACH), "{refused:?}");
    assert_eq!(end["completed"], 1, "{end:#}");
    let shown = shell.json(&["tasks", "show", &genuine.to_string()]);
    assert_eq!((&shown["state"], &shown["result"]["echo"]), (&json!("completed"), &json!(0)));
}
