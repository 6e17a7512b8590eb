//! The command line on a PostgreSQL server: the way of the README, and what is said when something
//! is wrong.

use main_worker::bench::NoOp;
use scheduling::TaskOptions;
use serde_json::json;
use tasks::TaskState;
use testkit::{TestDatabase, shared_postgres};

use crate::cli_shell::Shell;
use crate::site::{Site, migrate};

const REPORT: &str = "monitoring/report_environment";

async fn empty() -> TestDatabase {
    shared_postgres().await.unwrap().fresh_database().await.unwrap()
}

pub(crate) async fn migrated() -> TestDatabase {
    testkit::postgres_template("measured", migrate).await.unwrap()
}

#[tokio::test]
async fn says_step_by_step_what_a_server_needs() {
    let database = empty().await;
    let mut shell = Shell::new();
    shell.set("DATABASE_URL", database.url());
    let jobs = |shell: &Shell, words: &[&str]| shell.run(&["tasks", "list"]).fails(78, words);
    jobs(&shell, &["no worker.toml", "MAIN_WORKER_MANIFEST"]);
    shell.write("worker.toml", main_worker::app::BUILT_IN_MANIFEST.as_bytes());
    jobs(&shell, &["keys.json is missing", "main-worker keys init", "MAIN_WORKER_HOME"]);
    assert!(!shell.home().exists(), "nothing is made by itself");
    let told = shell.ok(&["keys", "init"]);
    assert!(told.contains("every other host"), "{told}");
    jobs(&shell, &["schema `tasks` is at version 0", "main-worker migrate"]);

    let plan = shell.ok(&["migrate", "--dry-run"]);
    assert!(plan.contains("would be migrated") && plan.contains("CREATE TABLE mw_task"), "{plan}");
    jobs(&shell, &["main-worker migrate"]);
    let plan = shell.json(&["migrate", "--dry-run"]);
    let statements = plan["schema"][0]["statements"].as_array().unwrap();
    assert!(statements.len() > 5, "{plan}");
    let done = shell.ok(&["migrate"]);
    assert!(done.contains("migrated") && !done.contains("would"), "{done}");
    let again = shell.json(&["migrate", "--dry-run"]);
    assert_eq!(again["schema"][0]["statements"], json!([]), "{again}");
    assert_eq!(shell.ok(&["migrate"]).matches("up to date").count(), 3);

    let checked = shell.ok(&["check"]);
    let reached = "direct connections, new tasks are told by LISTEN, 127.0.0.1";
    assert!(checked.contains("PostgreSQL 1") && checked.contains(reached), "{checked}");
    assert!(checked.contains(database.name()), "{checked}");
}

#[tokio::test]
async fn the_way_of_the_readme_works_on_a_server() {
    let database = migrated().await;
    let shell = Shell::at(database.url());
    let envelope = format!(
        r#"{{"configuration":{{}},"jobName":"{REPORT}","source":"operator","jobPayload":{{"echo":"hello"}}}}"#
    );
    shell.write("envelope.json", envelope.as_bytes());
    let ran = shell.json(&["run", "envelope.json"]);
    assert_eq!(ran["result"]["echo"], "hello", "{ran}");
    let settings = &ran["result"]["settings"];
    assert_eq!(settings["DATABASE_URL"], "[redacted]");
    let shown = settings["database"].as_str().unwrap();
    assert!(shown.starts_with("PostgreSQL") && shown.contains("LISTEN"), "{shown}");

    let task = shell.enqueue(&[REPORT, r#"{"echo":7}"#, "--label", "red"]);
    let listed = shell.json(&["tasks", "list", "--label", "red"]);
    assert_eq!(listed[0]["taskId"], task.as_str(), "{listed}");
    let worked = shell.json(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!((&worked["completed"], &worked["discarded"]), (&json!(1), &json!(0)), "{worked}");
    let shown = shell.json(&["tasks", "show", &task]);
    assert_eq!((&shown["state"], &shown["result"]["echo"]), (&json!("completed"), &json!(7)));

    shell.ok(&["jobs", "pause", REPORT]);
    assert!(shell.ok(&["jobs"]).contains("PAUSED") || shell.ok(&["jobs"]).contains("paused"));
    let waiting = shell.enqueue(&[REPORT]);
    let worked = shell.json(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!((&worked["completed"], &worked["paused"]), (&json!(0), &json!(1)), "{worked}");
    shell.ok(&["jobs", "resume", REPORT]);
    shell.ok(&["tasks", "cancel", &waiting]);
    assert!(shell.ok(&["schedules", "list"]).contains("discover-logs"));
    shell.ok(&["schedules", "run", "prune-history"]);
    let worked = shell.json(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!(worked["completed"], 1, "{worked}");
    shell.run(&["enqueue", "billing/nothing"]).fails(65, &["unknown_job"]);
    assert!(shell.ok(&["tasks", "rejections"]).contains("unknown_job"));
    shell.ok(&["check", "--conservation"]);
}

#[tokio::test]
async fn a_second_host_makes_no_keys_of_its_own() {
    let database = migrated().await;
    let first = Shell::at(database.url());
    let mut second = Shell::with_manifest("");
    second.set("DATABASE_URL", database.url());
    let task = first.enqueue(&[REPORT]);
    second.run(&["keys", "init"]).fails(78, &["keys of another host", "keys.json", "--force"]);
    assert!(!second.home().exists());
    std::fs::create_dir(second.home()).unwrap();
    // Which keeps its mode.
    std::fs::copy(first.home().join("keys.json"), second.home().join("keys.json")).unwrap();
    let worked = second.json(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!(worked["completed"], 1, "{worked}");
    assert_eq!(first.json(&["tasks", "show", &task])["state"], "completed");
    std::fs::remove_file(second.home().join("keys.json")).unwrap();
    second.ok(&["keys", "init", "--force"]);
}

#[tokio::test]
async fn companies_go_from_one_engine_to_the_other() {
    let database = migrated().await;
    let (embedded, server) = (Shell::with_manifest(""), Shell::at(database.url()));
    let account = r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter Lane","billingEmail":"bills@example.com","billingProvider":"cine.io"}"#;
    let imported = embedded.pipe(&["import", "-"], account.as_bytes());
    assert_eq!(imported.code, 0, "{imported:?}");
    let lines = embedded.ok(&["export", "account"]);
    let imported = server.pipe(&["import", "-"], lines.as_bytes());
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(server.ok(&["export", "account"]), lines);
}

#[tokio::test]
async fn wrong_addresses_say_what_to_change_and_repeat_no_secret() {
    let database = migrated().await;
    let shell = Shell::at(database.url());
    let address = database.server().address();
    let url = |who: &str, name: &str| format!("postgres://{who}:canary@{address}/{name}");
    let away = "postgres://postgres:canary@127.0.0.1:1/main".to_owned();
    let check = |variables: &[(&str, &str)], code: i32, words: &[&str]| {
        for arguments in [&["enqueue", REPORT][..], &["migrate"], &["check", "--against"]] {
            let mut command = shell.command(arguments);
            let output = command.envs(variables.iter().copied()).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
            for word in words {
                assert!(stderr.contains(word), "{arguments:?}: no {word:?} in {stderr}");
            }
            assert!(!stderr.contains("canary"), "{stderr}");
        }
    };
    let at = |url: &str, code: i32, words: &[&str]| check(&[("DATABASE_URL", url)], code, words);
    at(&url("nobody", database.name()), 78, &["user, password or database of DATABASE_URL"]);
    at(&url("postgres", "nowhere"), 78, &["nowhere", "DATABASE_URL"]);
    at(&away, 75, &["cannot open the database 127.0.0.1:1/main"]);
    at("mysql://u:canary@host/x", 78, &["DATABASE_URL", "postgres://", "sqlite:PATH"]);
    at("postgres://u:canary@host:port/x", 78, &["DATABASE_URL is not a PostgreSQL URL"]);
    let of = |name, value, words: &[&str]| {
        check(&[("DATABASE_URL", database.url()), (name, value)], 78, words);
    };
    of("DATABASE_MAX_CONNECTIONS", "3", &["DATABASE_MAX_CONNECTIONS", "4 to 1000"]);
    of("DATABASE_MAX_CONNECTIONS", "many", &["DATABASE_MAX_CONNECTIONS", "4 to 1000"]);
    of("DATABASE_LISTEN_URL", "host:canary", &["DATABASE_LISTEN_URL", "postgres://"]);
}

#[tokio::test]
async fn two_workers_share_one_queue() {
    let site = Site::postgres().await;
    let producer = site.app.producer("operator").unwrap();
    let batch: Vec<NoOp> = (0..400).map(|number| NoOp { number }).collect();
    let tasks = producer.enqueue_many(&batch, &TaskOptions::default()).await.unwrap();
    let mut workers = [site.worker(&["--until-empty"]), site.worker(&["--until-empty"])];
    for worker in &mut workers {
        assert!(worker.ended().success(), "{}", worker.log());
    }
    for task in tasks {
        let summary = site.task(task.task_id).await.summary;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
}
