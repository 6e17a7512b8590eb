//! `jobs`, `tasks` and `schedules`: what is shown and what is changed.

use serde_json::json;

use crate::cli_shell::Shell;

const REPORT: &str = "monitoring/report_environment";

#[test]
fn show_themselves() {
    let shell = Shell::new();
    insta::assert_snapshot!("jobs", shell.ok(&["jobs"]));
    insta::assert_snapshot!("jobs_show", shell.ok(&["jobs", "show", "logs/process_log"]));
    let shown = shell.json(&["jobs", "show", "logs/process_log"]);
    assert_eq!(shown["row"]["max_attempts"], 8);
    assert_eq!(shown["sections"][0]["name"], "objectStorage");
    // The example envelope is one that is taken.
    shell.write("envelope.json", shown["envelope"].to_string().as_bytes());
    shell.enqueue(&["--envelope", "envelope.json"]);
    let unknown = shell.run(&["jobs", "show", "logs/proces_log"]);
    unknown.fails(64, &["no job `logs/proces_log`", "did you mean `logs/process_log`?"]);
    shell.run(&["jobs", "show", "\u{1b}[2J"]).fails(64, &["\\u{1b}[2J", "main-worker jobs"]);
}

#[test]
fn are_paused_and_resumed() {
    let shell = Shell::new();
    assert_eq!(shell.ok(&["tasks", "list"]), "no tasks\n");
    shell.ok(&["jobs", "pause", REPORT]);
    shell.run(&["jobs", "resume", "--all"]).fails(0, &["still so: monitoring/report_environment"]);
    let task = shell.enqueue(&[REPORT]);
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!(shell.json(&["tasks", "show", &task])["state"], "available");
    assert!(shell.ok(&["jobs"]).contains("paused"));
    assert!(shell.ok(&["jobs", "resume", REPORT]).contains("resumed"));
    assert!(shell.ok(&["jobs", "resume", REPORT]).contains("no such pause"));
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!(shell.json(&["tasks", "show", &task])["state"], "completed");
    assert_eq!(shell.json(&["jobs", "pause", "--all"])["paused"], json!(["*"]));
    assert_eq!(shell.json(&["jobs", "resume", "--all"]), json!({"changed": true, "paused": []}));
    shell.run(&["jobs", "pause"]).fails(64, &["--all"]);
    shell.run(&["jobs", "pause", "a/b"]).fails(64, &["no job `a/b`"]);
}

#[test]
fn keep_the_limits_of_job_and_source() {
    let shell = Shell::new();
    let text = main_worker::app::BUILT_IN_MANIFEST
        .replace("jobs = [\"*\"]", "jobs = [\"*\"]\nmax_concurrency = 50\nrate_limit = \"3/1h\"")
        .replace("\ntimeout = \"30s\"", "\nrate_limit = \"2/1h\"\ntimeout = \"30s\"");
    shell.write("worker.toml", text.as_bytes());
    let list = shell.ok(&["jobs"]);
    assert!(list.contains("2/1h") && list.contains("4 at once"), "{list}");
    let shown = shell.ok(&["jobs", "show", REPORT]);
    assert!(shown.contains("operator (50 at once, 3/1h)"), "{shown}");
    assert_eq!(shell.json(&["jobs", "show", REPORT])["row"]["rate_limit"], "2/1h");
    for job in [REPORT, REPORT, REPORT, "monitoring/prune_history", "monitoring/prune_history"] {
        shell.enqueue(&[job]);
    }
    let waiting = |job| {
        let tasks = shell.json(&["tasks", "list", "--state", "available", "--job", job]);
        tasks.as_array().unwrap().len()
    };
    for _ in 0..2 {
        shell.ok(&["work", "--until-empty", "--no-schedules"]);
        assert_eq!((waiting(REPORT), waiting("monitoring/prune_history")), (1, 1));
    }
}

#[test]
fn tasks_are_found_changed_and_shown() {
    let shell = Shell::new();
    let hostile = shell.enqueue(&[REPORT, r#"{"echo":"x"}"#, "--label", "a\u{1b}[31m\u{202e}"]);
    let lost = shell.enqueue(&["logs/process_log", r#"{"logSource":"nowhere","key":"a"}"#]);
    let ids = |arguments: &[&str]| -> Vec<String> {
        let tasks = shell.json(&[&["tasks", "list"], arguments].concat());
        let tasks = tasks.as_array().unwrap();
        tasks.iter().map(|task| task["taskId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&[]), [lost.clone(), hostile.clone()]);
    assert_eq!(ids(&["--job", REPORT]), std::slice::from_ref(&hostile));
    assert_eq!(ids(&["--label", "a\u{1b}[31m\u{202e}"]), std::slice::from_ref(&hostile));
    assert_eq!(ids(&["--limit", "1"]), std::slice::from_ref(&lost));
    assert_eq!(ids(&["--before", &lost]), std::slice::from_ref(&hostile));
    assert!(ids(&["--state", "running,completed"]).is_empty());
    assert!(ids(&["--source", "api"]).is_empty() && ids(&["--held"]).is_empty());
    assert!(ids(&["--to", "2020-01-01T00:00:00Z"]).is_empty());
    assert_eq!(ids(&["--from", "2020-01-01T00:00:00Z"]).len(), 2);
    for shown in [shell.ok(&["tasks", "list"]), shell.ok(&["tasks", "show", &hostile])] {
        assert!(shown.contains("a\\u{1b}[31m\\u{202e}"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    }
    let depth = shell.ok(&["tasks", "depth"]);
    assert!(depth.contains("logs/process_log") && depth.contains("available"), "{depth}");
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    assert_eq!(shell.ok(&["tasks", "depth"]), "nothing waits and nothing runs\n");
    let shown = shell.ok(&["tasks", "show", &lost]);
    for words in ["discarded", "attempt 1", "no log source `nowhere`", "permanent: "] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
    assert!(shell.ok(&["tasks", "show", &hostile]).contains("\"echo\": \"x\""));
    assert_eq!(shell.ok(&["tasks", "retry", &lost]), format!("{lost}  available\n"));
    let discarded = shell.ok(&["tasks", "discard", &lost, "--reason", "a bad key"]);
    assert_eq!(discarded, format!("{lost}  discarded\n"));
    let shown = shell.ok(&["tasks", "show", &lost]);
    assert!(shown.contains("a bad key"), "{shown}");
}

#[test]
fn tasks_that_cannot_be_changed_say_why() {
    let shell = Shell::new();
    let absent = "task_01jd0c4x5ve4zrh1k5yq4q8g7m";
    for command in ["show", "cancel", "retry", "discard"] {
        shell.run(&["tasks", command, absent]).fails(65, &["there is no task", absent]);
        shell.run(&["tasks", command, "acct_7"]).fails(64, &["acct_7"]);
    }
    let waiting = shell.enqueue(&[REPORT]);
    let mixed = shell.run(&["tasks", "cancel", absent, &waiting, "--output", "json"]);
    assert_eq!(mixed.code, 65);
    assert_eq!(mixed.json()[1], json!({"taskId": waiting, "now": "cancelled"}));
    assert!(mixed.json()[0]["error"].as_str().unwrap().contains("no task"));
    let over = shell.run(&["tasks", "discard", &waiting]);
    over.fails(65, &["is cancelled, which does not allow this"]);
    shell.run(&["tasks", "list", "--state", "lost"]).fails(64, &["the states are scheduled"]);
    shell.run(&["tasks", "list", "--job", "logs/proces_log"]).fails(64, &["did you mean"]);
}

#[test]
fn schedules_tick_and_run_by_hand() {
    let shell = Shell::with_manifest(
        "[schedules.night]\njob = \"monitoring/report_environment\"\ncron = \"30 2 * * *\"\n\
         time_zone = \"Europe/Berlin\"\nmissed = \"skip\"\npayload = { echo = \"night\" }\n",
    );
    let next =
        shell.ok(&["schedules", "next", "night", "--count", "2", "--from", "2026-10-24T00:00:00Z"]);
    insta::assert_snapshot!("schedules_next", next);
    let task = shell.ok(&["schedules", "run", "night"]).trim().to_owned();
    let shown = shell.json(&["tasks", "show", &task]);
    assert_eq!(
        (&shown["source"], &shown["jobPayload"]),
        (&json!("scheduler"), &json!({"echo": "night"}))
    );
    let list = shell.json(&["schedules", "list"]);
    let night = list.as_array().unwrap().iter().find(|line| line["name"] == "night").unwrap();
    assert_eq!(night["latestTask"]["taskId"], task.as_str());
    assert_eq!((&night["missed"], &night["timeZone"]), (&json!("skip"), &json!("Europe/Berlin")));
    let table = shell.ok(&["schedules", "list"]);
    assert!(table.contains("roll-up-usage") && table.contains("30 2 * * *"), "{table}");
    for command in ["next", "run"] {
        shell.run(&["schedules", command, "nigth"]).fails(64, &["did you mean `night`?"]);
    }
}

/// Long enough that the pipe is full before the reader goes away.
#[test]
fn a_closed_pipe_is_no_failure() {
    let shell = Shell::new();
    let mut child =
        shell.start(&["schedules", "next", "--count", "1000"], std::process::Stdio::null());
    drop(child.stdout.take());
    let ran = crate::cli_shell::end(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
