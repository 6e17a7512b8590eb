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
