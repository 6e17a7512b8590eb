//! Rolling deploys: workers with other manifests, other jobs and another schema on one database.

use std::time::{Duration, Instant};

use database::{Db, Migration, PostgresSettings, PostgresSql, SchemaRange};
use main_worker::bench::{NoOp, Sleep, WriteRow};
use rustix::process::Signal;
use serde_json::Value;
use tasks::{TaskState, TaskSummary};
use values::{Secret, TaskId, Timestamp};

use crate::cli_shell::Shell;
use crate::postgres_cli::migrated;
use crate::site::Site;

/// In the manifest of the measured jobs: everything is allowed.
const WIDE: &str = "[sources.operator]\njobs = [\"*\"]";
/// What the release before accepted.
const NARROW: &str = "[sources.operator]\njobs = [\"bench/no_op\", \"bench/sleep\"]";
/// Within this time a task that the old release refuses runs on the new one.
const SOON: Duration = Duration::from_secs(15);

async fn done(site: &Site, task: TaskId) -> TaskSummary {
    site.until(task, |detail| detail.summary.state.is_final()).await.summary
}

/// A worker that does not know a job leaves its tasks alone; one that does runs them.
#[tokio::test]
async fn tasks_of_a_job_that_only_the_new_release_knows_wait_for_it_untouched() {
    let site = Site::postgres().await;
    let company = site.folder.path().join("company.toml");
    std::fs::write(&company, main_worker::app::BUILT_IN_MANIFEST).unwrap();
    let variables = [("MAIN_WORKER_MANIFEST", company.to_str().unwrap())];
    let old = site.start(&["work", "--no-schedules"], &variables);
    old.says("working");
    let task = site.enqueue(&NoOp { number: 1 }).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waiting = site.task(task).await;
    assert_eq!((waiting.summary.state, waiting.summary.attempt), (TaskState::Available, 0));
    assert_eq!((waiting.summary.held, waiting.attempts.len()), (None, 0));
    assert!(site.app.store.rejections(10).await.unwrap().is_empty());
    let _new = site.worker(&[]);
    assert_eq!(done(&site, task).await.state, TaskState::Completed);
}

/// Both releases lease the job; what only one of them accepts runs there, soon.
#[tokio::test]
async fn tasks_that_the_old_release_does_not_accept_run_on_the_new_one() {
    let site = Site::postgres().await;
    let narrow = site.manifest("narrow.toml", WIDE, NARROW);
    let old = site.worker_with(&[], &[("MAIN_WORKER_MANIFEST", &narrow)]);
    old.says("working");
    let first = site.enqueue(&WriteRow { number: 1 }).await;
    site.until(first, |detail| detail.summary.held.as_deref() == Some("source_not_allowed")).await;
    let began = Instant::now();
    let _new = site.worker(&[]);
    let summary = done(&site, first).await;
    assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let mut tasks = Vec::new();
    for number in 2..22 {
        tasks.push(site.enqueue(&WriteRow { number }).await);
    }
    let began = Instant::now();
    for task in tasks {
        let summary = done(&site, task).await;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn nothing_is_lost_while_the_old_release_drains() {
    let site = Site::postgres().await;
    let narrow = site.manifest("narrow.toml", WIDE, NARROW);
    let few = ["--concurrency", "4"];
    let mut old = site.worker_with(&few, &[("MAIN_WORKER_MANIFEST", &narrow)]);
    old.says("working");
    let mut tasks = Vec::new();
    for number in 0..20 {
        tasks.push(site.enqueue(&Sleep { millis: 300 }).await);
        tasks.push(site.enqueue(&WriteRow { number }).await);
    }
    let new = site.worker_with(&few, &[]);
    new.says("working");
    old.signal(Signal::TERM);
    assert!(old.ended().success(), "{}", old.log());
    for task in tasks {
        let summary = done(&site, task).await;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
    assert!(site.app.store.conservation().await.unwrap().holds());
}

#[tokio::test]
async fn a_task_that_no_release_accepts_is_discarded_with_its_code() {
    let site = Site::postgres().await;
    let limit = format!("hold_limit = \"2s\"\n\n{NARROW}");
    let narrow = site.manifest("narrow.toml", WIDE, &limit);
    let task = site.enqueue(&WriteRow { number: 1 }).await;
    let _old = site.worker_with(&[], &[("MAIN_WORKER_MANIFEST", &narrow)]);
    let detail = site.until(task, |detail| detail.summary.state.is_final()).await;
    assert_eq!(detail.summary.state, TaskState::Discarded);
    let last = detail.attempts.last().unwrap();
    assert_eq!(last.code.as_deref(), Some("source_not_allowed"), "{detail:?}");
}

/// The next release's step on the tables of tasks, as the rules for migrations allow it.
const NEXT: &[&str] = &[
    "ALTER TABLE mw_task ADD COLUMN region TEXT",
    "ALTER TABLE mw_envelope ADD COLUMN region TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE mw_finished ADD COLUMN region TEXT",
    "CREATE INDEX mw_finished_by_region ON mw_finished (region) WHERE region IS NOT NULL",
];

#[tokio::test]
async fn workers_go_on_while_the_next_release_migrates() {
    let site = Site::postgres().await;
    let worker = site.worker(&["--concurrency", "8"]);
    worker.says("working");
    let mut tasks = Vec::new();
    for _ in 0..40 {
        tasks.push(site.enqueue(&Sleep { millis: 100 }).await);
    }
    let newest = tasks::SCHEMA.newest();
    let step = Migration {
        version: newest + 1,
        name: "regions",
        works_from: newest,
        sqlite: NEXT,
        postgres: PostgresSql::Own(NEXT),
    };
    let migrations: Vec<Migration> =
        tasks::SCHEMA.migrations.iter().copied().chain([step]).collect();
    let next = SchemaRange { migrations: migrations.leak(), ..tasks::SCHEMA };
    let db = Db::open_postgres(&PostgresSettings::new(Secret::new(site.url()))).await.unwrap();
    assert_eq!(next.migrate(&db, Timestamp::EPOCH).await.unwrap().found, newest + 1);
    // A further worker of the same release starts beside it.
    let second = site.worker(&["--concurrency", "8"]);
    second.says("working");
    for number in 0..20 {
        tasks.push(site.enqueue(&WriteRow { number }).await);
    }
    for task in tasks {
        let summary = done(&site, task).await;
        assert_eq!((summary.state, summary.attempt), (TaskState::Completed, 1), "{summary:?}");
    }
    assert!(site.app.store.conservation().await.unwrap().holds());
    // One that no longer works with the release before keeps it out.
    let step = Migration { version: newest + 2, works_from: newest + 2, ..step };
    let migrations: Vec<Migration> = next
        .migrations
        .iter()
        .copied()
        .chain([Migration { postgres: PostgresSql::Own(&[]), ..step }])
        .collect();
    let breaking = SchemaRange { migrations: migrations.leak(), ..tasks::SCHEMA };
    breaking.migrate(&db, Timestamp::EPOCH).await.unwrap();
    let mut third = site.worker(&[]);
    assert_eq!(third.ended().code(), Some(78), "{}", third.log());
    assert!(third.log().contains("use the release that migrated this database"), "{}", third.log());
}

/// What `check --against` says of a database in which the narrower release would hold tasks.
fn names_what_would_not_run(shell: &Shell, other: Option<&str>) {
    let echo = shell.enqueue(&["monitoring/report_environment"]);
    let later = shell.enqueue(&["usage/roll_up_usage", r#"{"month":"2026-10"}"#, "--delay", "1h"]);
    let prune = shell.enqueue(&["monitoring/prune_history"]);
    let narrow = main_worker::app::BUILT_IN_MANIFEST;
    let operator = narrow.find("[sources.operator]").expect("an operator");
    let jobs = narrow[operator..].find("jobs = ").expect("its jobs") + operator;
    let end = narrow[jobs..].find('\n').expect("a line") + jobs;
    let narrow =
        format!("{}jobs = [\"monitoring/report_environment\"]{}", &narrow[..jobs], &narrow[end..]);
    let check = |json: bool| {
        let mut arguments = vec!["check", "--against"];
        arguments.extend(other);
        if json {
            arguments.extend(["--output", "json"]);
        }
        shell.run(&arguments)
    };
    let fine = check(false);
    assert_eq!(fine.code, 0, "{fine:?}");
    assert!(fine.stdout.contains("would run all 3 tasks"), "{fine:?}");
    shell.write("worker.toml", narrow.as_bytes());
    let refused = check(true);
    assert_eq!(refused.code, 65, "{refused:?}");
    let report = refused.json();
    assert_eq!((&report["waiting"], &report["ok"]), (&Value::from(3), &Value::from(false)));
    let kinds = report["refused"].as_array().unwrap();
    let told: Vec<(&str, &str, &str, &str)> = kinds
        .iter()
        .map(|kind| {
            let text = |name: &str| kind[name].as_str().unwrap();
            assert_eq!((kind["count"].as_u64(), text("source")), (Some(1), "operator"));
            (text("code"), text("jobName"), text("fate"), kind["tasks"][0].as_str().unwrap())
        })
        .collect();
    let code = "source_not_allowed";
    let expected = [
        (code, "monitoring/prune_history", "held", prune.as_str()),
        (code, "usage/roll_up_usage", "held", later.as_str()),
    ];
    assert_eq!(told, expected, "{report}");
    let shown = check(false).stdout;
    for word in ["of 3 tasks", "2 would not run", &prune, &later, code] {
        assert!(shown.contains(word), "no {word:?} in {shown}");
    }
    assert!(!shown.contains(&echo), "{shown}");
    // Nothing was changed: what was fine before is fine again, and nothing was counted.
    shell.write("worker.toml", main_worker::app::BUILT_IN_MANIFEST.as_bytes());
    assert_eq!(check(false).code, 0);
    assert!(shell.json(&["tasks", "rejections"]).as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_check_against_a_server_names_what_would_not_run() {
    let database = migrated().await;
    names_what_would_not_run(&Shell::at(database.url()), None);
}

#[test]
fn a_check_against_a_file_names_what_would_not_run() {
    let shell = Shell::with_manifest("");
    let path = shell.home().join("main.db");
    names_what_would_not_run(&shell, path.to_str());
    let missing = shell.run(&["check", "--against", "nowhere.db"]);
    missing.fails(78, &["cannot open the database nowhere.db"]);
    assert!(!shell.path("nowhere.db").exists());
}
