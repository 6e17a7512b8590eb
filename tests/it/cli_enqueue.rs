//! `enqueue`: what is stored, what is refused, and waiting for the end.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli_shell::{Ran, Shell, end};

const REPORT: &str = "monitoring/report_environment";

fn show(shell: &Shell, task: &str) -> Value {
    shell.json(&["tasks", "show", task])
}

#[test]
fn stores_what_the_options_say() {
    let shell = Shell::new();
    let task = shell.enqueue(&[
        "logs/process_log",
        r#"{"logSource":"cdn","key":"a.gz"}"#,
        "--priority",
        "2",
        "--delay",
        "1h",
        "--max-attempts",
        "3",
        "--timeout",
        "90s",
        "--label",
        "one",
        "--label",
        "two",
        "--host",
        "m1",
    ]);
    let shown = show(&shell, &task);
    let expected = json!({
        "taskId": task, "jobName": "logs/process_log", "source": "operator", "state": "scheduled",
        "priority": 2, "attempt": 0, "maxAttempts": 3, "host": "m1", "labels": ["one", "two"],
        "timeout": "1m30s", "jobPayload": {"logSource": "cdn", "key": "a.gz"}, "configuration": {},
        "proof": format!("mac with key {}", shell.key("operator")), "children": [], "attempts": [], "result": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&shown[key], value, "{key} in {shown:#}");
    }
    assert!(shown["runAt"].as_str() > shown["enqueuedAt"].as_str(), "{shown:#}");
}

/// Fault 22: a payload is UTF-8, from a file as from anywhere.
#[test]
fn takes_payloads_from_anywhere() {
    let shell = Shell::new();
    shell.write("payload.json", r#"{"echo":"Żółć, 東京, 🎥"}"#.as_bytes());
    let file = shell.enqueue(&[REPORT, "--payload-file", "payload.json"]);
    assert_eq!(show(&shell, &file)["jobPayload"], json!({"echo": "Żółć, 東京, 🎥"}));
    let piped = shell.pipe(&["enqueue", REPORT, "-"], br#"{"echo":"stdin"}"#);
    assert_eq!(show(&shell, piped.stdout.trim())["jobPayload"], json!({"echo": "stdin"}));
    let none = shell.enqueue(&[REPORT]);
    assert_eq!(show(&shell, &none)["jobPayload"], json!({}));
    let envelope = br#"{"configuration":{},"jobName":"monitoring/report_environment",
        "source":"scheduler","jobPayload":{"echo":"envelope"}}"#;
    let piped = shell.pipe(&["enqueue", "--envelope", "-"], envelope);
    let shown = show(&shell, piped.stdout.trim());
    assert_eq!(shown["jobPayload"], json!({"echo": "envelope"}));
    assert_eq!(shown["source"], "scheduler");
}

#[test]
fn adds_a_unique_task_once() {
    let shell = Shell::new();
    let arguments = ["usage/roll_up_usage", "--unique", "key:night", "--unique-for", "1h"];
    let first = shell.enqueue(&arguments);
    let again = shell.run(&[&["enqueue"], &arguments[..]].concat());
    assert_eq!((again.code, again.stdout.trim()), (0, first.as_str()));
    assert!(again.stderr.contains("there already"), "{again:?}");
    let other = shell.enqueue(&["usage/roll_up_usage", "--unique", "key:day"]);
    assert_ne!(first, other);
}

/// Each refusal: exit code 65, code and field, for people and for programs, and no task.
#[test]
fn refuses_with_code_field_and_what_to_change() {
    let shell = Shell::new();
    let envelope = |source: &str, job: &str| {
        format!(
            r#"{{"configuration":{{}},"jobName":"{job}","source":"{source}","jobPayload":{{}}}}"#
        )
    };
    shell.write("api.json", envelope("api", REPORT).as_bytes());
    shell.write("nobody.json", envelope("apj", REPORT).as_bytes());
    shell.write("follow_up.json", envelope("main_worker", REPORT).as_bytes());
    shell.write("cut.json", b"{\"configuration\":{},");
    shell.write("binary", b"\xff\xfe\x00");
    shell.write("large.json", format!(r#"{{"echo":"{}"}}"#, "x".repeat(1 << 20)).as_bytes());
    shell.write("plain.toml", b"[storage]\nkey = \"value\"\n");
    let check = |arguments: &[&str], code: &str, field: &str, hint: &str| {
        let arguments = [&["enqueue"], arguments].concat();
        let told = shell.run(&arguments);
        told.fails(65, &["rejected: ", code, field, hint]);
        assert_eq!(told.stdout, "");
        let json = shell.run(&[&arguments[..], &["--output", "json"]].concat());
        assert_eq!((json.code, json.json()["outcome"].clone()), (65, json!("rejected")));
        let rejection = &json.json()["rejection"];
        assert_eq!(rejection["code"], code, "{rejection:#}");
        assert_eq!(rejection["field"], field, "{rejection:#}");
        assert!(rejection["message"].as_str().unwrap().contains(hint), "{rejection:#}");
    };
    check(&["logs/proces_log"], "unknown_job", "jobName", "logs/process_log");
    check(&[REPORT, r#"{"ecko":1}"#], "invalid_payload", "jobPayload.ecko", "echo");
    check(&["logs/process_log"], "invalid_payload", "jobPayload", "logSource");
    check(&[REPORT, "{"], "malformed_envelope", "jobPayload", "");
    check(&[REPORT, "[]"], "malformed_envelope", "jobPayload", "object");
    check(&[REPORT, "--payload-file", "binary"], "malformed_envelope", "jobPayload", "UTF-8");
    check(&[REPORT, "--payload-file", "large.json"], "too_large", "jobPayload", "1048576");
    check(&[REPORT, "--source", "api"], "bad_proof", "source", "keys make --source api");
    check(&[REPORT, "--source", "apj"], "unknown_source", "source", "did you mean `api`?");
    check(&["--envelope", "api.json"], "bad_proof", "source", "keys make --source api");
    check(&["--envelope", "nobody.json"], "unknown_source", "source", "did you mean `api`?");
    check(&["--envelope", "follow_up.json"], "source_not_allowed", "source", "main_worker");
    check(&["--envelope", "cut.json"], "malformed_envelope", "", "");
    let surplus = [REPORT, "--configuration", "plain.toml"];
    check(&surplus, "missing_configuration", "configuration.storage", "");
    assert_eq!(shell.json(&["tasks", "list"]), json!([]));
    let kept = shell.json(&["tasks", "rejections"]);
    let codes: Vec<&str> =
        kept.as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect();
    for code in ["unknown_job", "invalid_payload", "too_large", "bad_proof", "source_not_allowed"] {
        assert!(codes.contains(&code), "{code} in {kept:#}");
    }
    assert!(
        kept.as_array().unwrap().iter().all(|row| row["count"].as_u64() >= Some(2)),
        "{kept:#}"
    );
}

#[test]
fn refuses_wrong_command_lines() {
    let shell = Shell::new();
    let check = |arguments: &[&str], words: &[&str]| {
        shell.run(&[&["enqueue"], arguments].concat()).fails(64, words);
    };
    check(&[], &["JOB"]);
    check(&[REPORT, "--priority", "3"], &["0..=2"]);
    check(&[REPORT, "--delay", "5"], &["--delay"]);
    check(&[REPORT, "--delay", "5s", "--run-at", "2026-11-01T00:00:00Z"], &["cannot be used with"]);
    check(&[REPORT, "--unique", "page"], &["job, source, payload or key:TEXT"]);
    check(&[REPORT, "--payload-file", "absent"], &["cannot read absent"]);
    check(&[REPORT, "--configuration", "absent"], &["cannot read absent"]);
    assert!(!shell.home().join("main.db").exists() || shell.json(&["tasks", "list"]) == json!([]));
    let told = shell.run(&["enqueue", "usage/x", "--label", &"y".repeat(4_000)]);
    told.fails(64, &["it has 4000 bytes; at most 255 are taken", "yyy…"]);
    assert!(told.stderr.len() < 400, "{told:?}");
}

fn wait_with(shell: &Shell, arguments: &[&str], meanwhile: impl Fn(&str)) -> Ran {
    let arguments = [&["enqueue", "--wait", "--wait-timeout", "30s"], arguments].concat();
    let child = shell.start(&arguments, Stdio::null());
    let task = loop {
        let tasks = shell.json(&["tasks", "list", "--state", "available"]);
        if let Some(task) = tasks[0]["taskId"].as_str() {
            break task.to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    meanwhile(&task);
    end(child)
}

#[test]
fn waits_for_the_end_and_tells_it_by_the_exit_code() {
    let shell = Shell::new();
    shell.ok(&["jobs"]);
    let work = |_: &str| {
        shell.ok(&["work", "--until-empty", "--no-schedules"]);
    };
    let done = wait_with(&shell, &[REPORT, r#"{"echo":"back"}"#], work);
    assert_eq!((done.code, done.json()["echo"].clone()), (0, json!("back")), "{done:?}");
    let lost = [r#"{"logSource":"nowhere","key":"a.gz"}"#, "--output", "json"];
    let failed = wait_with(&shell, &[&["logs/process_log"], &lost[..]].concat(), work);
    assert_eq!((failed.code, failed.json()["state"].clone()), (70, json!("discarded")));
    assert!(failed.json()["error"].as_str().unwrap().contains("nowhere"), "{failed:?}");
    let cancelled = wait_with(&shell, &[REPORT], |task| {
        assert_eq!(shell.ok(&["tasks", "cancel", task]), format!("{task}  cancelled\n"));
    });
    cancelled.fails(76, &["was cancelled"]);
    let late = shell.run(&["enqueue", REPORT, "--wait", "--wait-timeout", "50ms"]);
    late.fails(75, &["is available after 50ms", "main-worker tasks show task_"]);
}
