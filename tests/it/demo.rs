//! The demonstration: from nothing to usage, in a folder of its own.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::site::PROGRAM;

fn demo(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("demo")
        .args(arguments)
        .current_dir(folder)
        // It needs no configuration, and none may disturb it.
        .env("MAIN_WORKER_HOME", folder.join("elsewhere"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn turns_a_day_of_logs_into_usage_and_shows_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &[]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("to the byte"), "{shown}");
    assert!(shown.contains("source_not_allowed") && shown.contains("[sources.api]"), "{shown}");
    assert!(shown.contains("Otter Lane") && shown.contains("What to try next"), "{shown}");
    assert!(!folder.path().join("elsewhere").exists());
    for made in ["worker.toml", "company.jsonl", "logs", ".main-worker/main.db"] {
        assert!(folder.path().join("demo").join(made).exists(), "{made}");
    }
}

#[test]
fn is_made_anew_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("show/own.txt");
    let json = ["--folder", "show", "--output", "json"];
    let first = demo(folder.path(), &json);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let report: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(report["matches"], true, "{report}");
    assert_eq!(report["totalBytes"], report["expectedBytes"]);
    assert_eq!(report["accounts"], 12, "{report}");
    std::fs::write(&own, "mine").unwrap();
    let second = demo(folder.path(), &["--folder", "show"]);
    assert_eq!(second.status.code(), Some(64));
    let told = text(&second.stderr);
    assert!(told.contains("earlier demo") && told.contains("--force"), "{told}");
    let third = demo(folder.path(), &["--force", "--folder", "show", "--output", "json"]);
    assert_eq!(third.status.code(), Some(0), "{}", text(&third.stderr));
    assert!(own.exists());
}

#[test]
fn takes_a_company_through_a_month() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--month", "--folder", "month", "--output", "json"];
    let output = demo(folder.path(), &arguments);
    let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{shown}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["good"], &report["discarded"]), (&true.into(), &0.into()), "{report}");
    assert_eq!(report["recordings"], 6, "{report}");
    assert_eq!(report["months"]["failed"]["months"], 2, "{report}");
    assert_eq!(report["months"]["no_card"]["months"], 1, "{report}");
    assert_eq!((&report["upgraded"], &report["throttled"]), (&1.into(), &4.into()), "{report}");
    let paid = &report["months"]["paid"]["minor"];
    assert_eq!(&report["ledgerMinor"]["cash"], paid, "{report}");
    let sum: i64 =
        report["ledgerMinor"].as_object().unwrap().values().filter_map(Value::as_i64).sum();
    assert_eq!(sum, 0, "{report}");
    let made = folder.path().join("month");
    let count = |below: &str| std::fs::read_dir(made.join(below)).unwrap().count();
    assert_eq!(Some(count("invoices") as u64), report["invoices"].as_u64());
    assert_eq!(Some(count("mails") as u64), report["mails"].as_u64());
    for at in std::fs::read_dir(made.join("invoices")).unwrap() {
        let pdf = std::fs::read(at.unwrap().path()).unwrap();
        assert!(pdf.starts_with(b"%PDF-"));
    }
    // All of it goes when it is made anew.
    let again = demo(folder.path(), &["--force", "--month", "--folder", "month"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    // What it ends with works there, and changes nothing.
    let shown = text(&again.stdout);
    let (_, next) = shown.split_once("What to try next").unwrap();
    let commands: Vec<&str> = next
        .lines()
        .filter_map(|line| line.split_once(PROGRAM))
        .map(|(_, rest)| rest.split('#').next().unwrap())
        .collect();
    assert_eq!(commands.len(), 6, "{shown}");
    for command in commands {
        let mut program = Command::new(PROGRAM);
        let ran = program.args(command.split_whitespace()).current_dir(&made).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{command}: {}", text(&ran.stderr));
    }
}
