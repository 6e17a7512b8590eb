//! The command line on a PostgreSQL server: the way of the README, and what is said when something
//! is wrong.

use database::{Db, PostgresSettings, Query};
use main_worker::bench::NoOp;
use scheduling::TaskOptions;
use serde_json::json;
use tasks::TaskState;
use testkit::{PgBouncer, PoolMode, TestDatabase, shared_postgres};
use values::Secret;

use crate::cli_shell::Shell;
use crate::site::{Site, migrate};

const REPORT: &str = "monitoring/report_environment";

async fn empty() -> TestDatabase {
    shared_postgres().await.unwrap().fresh_database().await.unwrap()
}

async fn open(url: &str) -> Db {
    Db::open_postgres(&PostgresSettings::new(Secret::new(url.to_owned()))).await.unwrap()
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
async fn no_keys_are_made_where_nobody_can_say_whether_others_prove_its_tasks() {
    let database = migrated().await;
    let mut shell = Shell::with_manifest("");
    for (url, code) in [
        ("postgres://postgres@127.0.0.1:1/main".to_owned(), 75),
        (database.url().replace(database.name(), "nowhere"), 78),
    ] {
        shell.set("DATABASE_URL", &url);
        shell.run(&["keys", "init"]).fails(code, &["is not known", "--force"]);
        assert!(!shell.home().exists());
    }
    shell.ok(&["keys", "init", "--force"]);
}

#[tokio::test]
async fn check_says_what_a_server_that_answers_lacks() {
    let database = migrated().await;
    let shell = Shell::at(database.url());
    let checked = |options: &str, code: i32, words: &[&str]| {
        let url = format!("{}?options={options}", database.url());
        let output = shell.command(&["check"]).env("DATABASE_URL", &url).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stdout}");
        for word in words {
            assert!(stdout.contains(word), "no {word:?} in {stdout}");
        }
    };
    let reader = "-c%20role%3Dpg_read_all_data";
    checked(
        reader,
        78,
        &["GRANT INSERT, UPDATE, DELETE ON ", "GRANT USAGE ON SEQUENCE mw_seq", "mw_task"],
    );
    let read_only = "-c%20default_transaction_read_only%3Don";
    checked(read_only, 78, &["default_transaction_read_only = off"]);
    checked("&connect_timeout=3", 0, &["warning: connect_timeout in the URL has no effect"]);
    let url = format!("{}?options={reader}", database.url());
    let mut guest = Shell::at(&url);
    guest.run(&["enqueue", REPORT]).fails(78, &["permission denied for", "grant it"]);

    let db = open(database.url()).await;
    db.execute(Query::new("DROP TABLE mw_label")).await.unwrap();
    checked("", 78, &["mw_label; restore a backup"]);
    let name = format!("{}_latin", database.name());
    let make = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    db.all(Query::built(make)).await.unwrap();
    guest.set("DATABASE_URL", &database.url().replace(database.name(), &name));
    guest.run(&["migrate"]).fails(78, &["encoded as LATIN1", "ENCODING 'UTF8'"]);
    db.all(Query::built(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
    guest.set("DATABASE_URL", "postgres://postgres@127.0.0.1:1/main");
    assert_eq!(guest.run(&["check"]).code, 75, "a server that is away may come back");
}

#[tokio::test]
async fn the_rights_in_the_documents_are_enough() {
    let mut blocks = include_str!("../../docs/operations.md").split("```sql\n").skip(1);
    let database = empty().await;
    let name = format!("{}_rights", database.name());
    let mut statements = || {
        let (block, _) = blocks.next().unwrap().split_once("```").unwrap();
        block.replace("main_worker", &name).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let server = open(database.url()).await;
    for sql in statements() {
        server.all(Query::built(sql)).await.unwrap();
    }
    let url = |user: &str| format!("postgres://{user}@{}/{name}", database.server().address());
    let owner = open(&url(&format!("{name}_owner"))).await;
    for sql in statements() {
        owner.all(Query::built(sql)).await.unwrap();
    }
    owner.close().await;
    let mut shell = Shell::at(&url(&format!("{name}_owner")));
    shell.ok(&["migrate"]);
    shell.set("DATABASE_URL", &url(&name));
    shell.ok(&["check"]);
    shell.enqueue(&[REPORT]);
    let worked = shell.json(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!(worked["completed"], 1, "{worked}");
    for sql in ["DROP DATABASE name WITH (FORCE)", "DROP ROLE name", "DROP ROLE name_owner"] {
        server.all(Query::built(sql.replace("name", &name))).await.unwrap();
    }
}

#[tokio::test]
async fn migrate_names_the_right_that_is_missing() {
    let database = empty().await;
    let mut shell = Shell::at(database.url());
    for (options, words) in [
        ("role%3Dpg_read_all_data", "GRANT CREATE ON SCHEMA public TO pg_read_all_data"),
        ("search_path%3Dnowhere", "no schema of the search_path `nowhere` is there"),
    ] {
        shell.set("DATABASE_URL", &format!("{}?options=-c%20{options}", database.url()));
        shell.run(&["migrate"]).fails(78, &[words]);
        shell.run(&["migrate", "--dry-run"]).fails(78, &[words]);
    }
}

#[tokio::test]
async fn check_hears_itself_through_a_pooler_or_says_that_nobody_would() {
    let database = migrated().await;
    let pool = PgBouncer::start(database.server().address(), PoolMode::Transaction, 6);
    let pool = pool.await.unwrap();
    let mut shell = Shell::at(&pool.url(database.name()));
    shell.set("DATABASE_LISTEN_URL", database.url());
    let told = shell.ok(&["check"]);
    assert!(told.contains("through a pooler, new tasks are told by LISTEN"), "{told}");
    assert!(!told.contains("synchronous_commit"), "{told}");
    let elsewhere = database.url().replace(database.name(), "postgres");
    let nobody = "nobody hears through DATABASE_LISTEN_URL";
    for (url, words) in [(elsewhere, nobody), (pool.url(database.name()), "leads through a pooler")]
    {
        shell.set("DATABASE_LISTEN_URL", &url);
        let told = shell.run(&["check"]);
        assert_eq!(told.code, 78, "{told:?}");
        assert!(told.stdout.contains(words), "{told:?}");
    }
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
    at(
        "postgres://u:canary@host:port/x",
        78,
        &["DATABASE_URL cannot be used", "invalid port number", "%40 for @"],
    );
    let mode = format!("{}?sslmode=strict", database.url());
    at(&mode, 78, &["DATABASE_URL", "sslmode is none of disable"]);
    at(&format!("{}?sslmode=require", database.url()), 78, &["encrypted", "sslmode"]);
    at(&database.url().replace("postgres:", "Postgres:"), 78, &["small letters"]);
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
