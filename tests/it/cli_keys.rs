//! `keys`, `check` and `migrate`: what a worker needs before it starts.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::cli_shell::Shell;

const REPORT: &str = "monitoring/report_environment";

#[test]
fn a_made_key_lets_a_source_ask() {
    let shell = Shell::new();
    let said = shell.ok(&["keys", "make", "--source", "api", "--ed25519", "--out", "api.json"]);
    let file: Value = serde_json::from_str(&shell.read("api.json")).unwrap();
    let mode = std::fs::metadata(shell.path("api.json")).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode, &file["id"], &file["algorithm"]),
        (0o600, &json!("api-1"), &json!("ed25519"))
    );
    assert!(file["sealing"].as_str().unwrap().starts_with("x25519:sealing-1:"), "{file:#}");
    let task = shell.enqueue(&[REPORT, "--source", "api"]);
    assert_eq!(shell.json(&["tasks", "show", &task])["proof"], "ed25519 with key api-1");
    let listed = shell.ok(&["keys", "show"]);
    let row = format!("{{ id = \"api-1\", public_key = {} }}", file["public"]);
    assert!(listed.contains(&row), "{row} in {listed}");
    let secret = file["secret"].as_str().unwrap();
    for text in [&said, &listed, &shell.json(&["keys", "show"]).to_string()] {
        assert!(!text.contains(secret), "{text}");
    }
    let printed = shell.ok(&["keys", "make", "--source", "dashboard", "--print-secret"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&printed["id"], &printed["algorithm"]), (&json!("dashboard-1"), &json!("mac")));
    assert!(!shell.home().join("keys").exists());
}

#[test]
fn keys_are_refused_before_anything_changes() {
    let shell = Shell::new();
    shell.ok(&["keys", "show"]);
    let before = shell.read("home/keys.json");
    shell.write("taken.json", b"precious");
    let make = ["keys", "make", "--source"];
    let check = |arguments: &[&str], words: &[&str]| shell.run(arguments).fails(64, words);
    check(&[&make[..], &["apj"]].concat(), &["no source `apj`", "did you mean `api`?"]);
    check(&[&make[..], &["api", "--id", "operator-1"]].concat(), &["choose another id"]);
    check(&[&make[..], &["api", "--out", "taken.json"]].concat(), &["does not exist yet"]);
    check(&["keys", "add", "--source", "api", "--public", "ed25519:x", "--id", "a"], &["ed25519:"]);
    check(&["keys", "rotate", "--source", "media_host"], &["has no key to rotate"]);
    check(&["keys", "revoke", "operator-2"], &["did you mean `operator-1`?"]);
    check(&["keys", "rotate"], &["--source"]);
    assert_eq!(
        (shell.read("home/keys.json"), shell.read("taken.json")),
        (before, "precious".to_owned())
    );
    std::fs::set_permissions(shell.path("home/keys.json"), PermissionsExt::from_mode(0o644))
        .unwrap();
    shell.run(&["keys", "show"]).fails(78, &["chmod 600"]);
    std::fs::set_permissions(shell.path("home/keys.json"), PermissionsExt::from_mode(0o600))
        .unwrap();
    shell.write("home/keys.json", b"{\"version\":1,");
    shell.run(&["jobs"]).fails(78, &["is not a usable key file"]);
}

#[test]
fn keys_made_at_once_are_all_kept() {
    const AT_ONCE: usize = 8;
    let shell = Shell::new();
    let make = ["keys", "make", "--source", "api"];
    let children: Vec<_> =
        (0..AT_ONCE).map(|_| shell.start(&make, std::process::Stdio::null())).collect();
    for child in children {
        assert_eq!(crate::cli_shell::end(child).code, 0);
    }
    let shown = shell.json(&["keys", "show"]);
    let keys = shown["proof"].as_array().unwrap();
    assert_eq!(keys.iter().filter(|key| key["source"] == "api").count(), AT_ONCE, "{shown:#}");
    assert_eq!(std::fs::read_dir(shell.home().join("keys")).unwrap().count(), AT_ONCE);
}

#[test]
fn keys_rotate_without_a_gap() {
    let shell = Shell::new();
    let old = shell.enqueue(&[REPORT]);
    shell.ok(&["keys", "rotate", "--source", "operator", "--overlap", "1h"]);
    shell.ok(&["keys", "rotate", "--sealing"]);
    let new = shell.enqueue(&[REPORT]);
    assert_eq!(shell.json(&["tasks", "show", &new])["proof"], "mac with key operator-2");
    let shown = shell.ok(&["keys", "show"]);
    assert!(shown.contains("taken until") && shown.contains("opens only"), "{shown}");
    assert!(shown.contains("x25519:sealing-2:"), "{shown}");
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    for task in [old, new] {
        assert_eq!(shell.json(&["tasks", "show", &task])["state"], "completed");
    }
}

#[test]
fn a_revoked_key_names_the_tasks_it_touches() {
    let shell = Shell::new();
    let task = shell.enqueue(&[REPORT]);
    let scheduled = shell.ok(&["enqueue", REPORT, "--source", "scheduler"]);
    let told = shell.ok(&["keys", "revoke", "operator-1"]);
    assert!(told.contains("1 waiting tasks") && told.contains("bad_proof"), "{told}");
    assert!(told.contains(&task) && !told.contains(scheduled.trim()), "{told}");
    shell.run(&["enqueue", REPORT]).fails(65, &["bad_proof", "keys make --source operator"]);
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    let shown = shell.json(&["tasks", "show", &task]);
    assert_eq!((&shown["state"], &shown["result"]), (&json!("discarded"), &Value::Null));
    assert!(shown["error"].as_str().unwrap().starts_with("bad_proof: "), "{shown:#}");
    let again = shell.json(&["keys", "revoke", "scheduler-1"]);
    assert_eq!(again["touchedTasks"], json!([]));
}

#[test]
fn a_key_of_the_manifest_is_withdrawn_there() {
    let keys = Shell::new();
    keys.ok(&["keys", "make", "--source", "media_host", "--ed25519", "--out", "key.json"]);
    let file: Value = serde_json::from_str(&keys.read("key.json")).unwrap();
    let row = format!(
        "[sources.media_host]\nkeys = [{{ id = \"host\", public_key = {} }}]\n",
        file["public"]
    );
    let shell = Shell::with_manifest(&row);
    assert!(shell.ok(&["keys", "show"]).contains("in use, in worker.toml"));
    let taken = ["keys", "make", "--source", "api", "--id", "host"];
    shell.run(&taken).fails(64, &["worker.toml has a key with the id `host`"]);
    shell.run(&["keys", "revoke", "host"]).fails(78, &["remove its row there"]);
    let public = file["public"].as_str().unwrap();
    keys.ok(&["keys", "add", "--source", "api", "--public", public, "--id", "theirs"]);
    assert!(keys.ok(&["keys", "show"]).contains("theirs"));
    keys.run(&["enqueue", REPORT, "--source", "api"]).fails(65, &["holds no key for `api`"]);
}

fn line<'a>(checks: &'a Value, what: &str) -> &'a Value {
    let found = checks["checks"].as_array().unwrap().iter().find(|line| line["what"] == what);
    found.unwrap_or_else(|| panic!("no {what:?} in {checks:#}"))
}

#[test]
fn check_finds_what_is_wrong_and_says_what_to_do() {
    let shell = Shell::with_manifest(
        "[domains.logs.log_sources.here]\nformat = \"cloudfront\"\nlocation = \"logs\"\n\
         [domains.logs.log_sources.gone]\nformat = \"edgecast\"\nlocation = \"absent\"\n\
         [domains.logs.log_sources.deaf]\nformat = \"edgecast\"\n\
         location = \"s3://bucket/logs?endpoint=http://127.0.0.1:9&region=us-east-1\"\n",
    );
    shell.write("logs/a.gz", b"");
    let ran = shell.run(&["check", "--output", "json"]);
    let checks = ran.json();
    assert_eq!((ran.code, &checks["ok"]), (78, &json!(false)), "{checks:#}");
    for what in ["manifest", "configuration", "keys", "database", "registry", "task store"] {
        assert_eq!(line(&checks, what)["ok"], true, "{checks:#}");
    }
    let here = line(&checks, "log source here");
    assert!(here["detail"].as_str().unwrap().contains("1 files"), "{checks:#}");
    for what in ["log source gone", "log source deaf"] {
        assert_eq!(line(&checks, what)["ok"], false, "{checks:#}");
    }
    let told = shell.run(&["check"]);
    assert!(told.stdout.contains("FAILED  log source gone"), "{told:?}");
    shell.write("home/main.db", &[b'x'; 4096]);
    std::fs::remove_file(shell.path("home/main.db-wal")).ok();
    std::fs::remove_file(shell.path("home/main.db-shm")).ok();
    let broken = shell.run(&["check", "--output", "json"]).json();
    assert_eq!(line(&broken, "database")["ok"], false, "{broken:#}");
}

#[test]
fn check_reads_a_manifest_alone() {
    let shell = Shell::new();
    shell.write("good.toml", main_worker::app::BUILT_IN_MANIFEST.as_bytes());
    let good = shell.ok(&["check", "--manifest", "good.toml"]);
    assert!(good.starts_with("ok      manifest") && good.contains("3 schedules"), "{good}");
    shell.write(
        "bad.toml",
        b"[worker]\nconcurency = 4\n\n[jobs.\"logs/proces_log\"]\ntimeout = \"5\"\n",
    );
    let bad = shell.run(&["check", "--manifest", "bad.toml"]);
    assert_eq!(bad.code, 78, "{bad:?}");
    for words in ["worker.toml:2", "did you mean `concurrency`?", "worker.toml:4", "worker.toml:5"]
    {
        assert!(bad.stdout.contains(words), "no {words:?} in {}", bad.stdout);
    }
    let absent = shell.run(&["check", "--manifest", "absent.toml"]);
    assert_eq!(absent.code, 78);
    assert!(absent.stdout.contains("cannot read absent.toml"), "{absent:?}");
    assert!(!shell.home().exists(), "it looks at the file alone");
}

#[test]
fn migrate_says_where_the_schema_stands() {
    let shell = Shell::new();
    let dry = shell.ok(&["migrate", "--dry-run"]);
    assert!(dry.contains("would be migrated") && !shell.home().exists(), "{dry}");
    let done = shell.json(&["migrate"]);
    for part in done["schema"].as_array().unwrap() {
        assert_eq!((&part["before"], &part["now"]), (&json!(0), &part["newest"]), "{done:#}");
    }
    assert!(shell.ok(&["migrate"]).contains("up to date"));
    std::fs::remove_file(shell.path("home/main.db-wal")).ok();
    shell.write("home/main.db", &[b'x'; 4096]);
    shell.run(&["migrate"]).fails(78, &["main.db"]);
}

#[test]
fn a_home_that_cannot_be_used_is_named() {
    let mut shell = Shell::new();
    shell.set("MAIN_WORKER_HOME", "no/such/folder");
    for command in ["jobs", "work", "migrate"] {
        shell.run(&[command]).fails(78, &["no/such/folder", "set MAIN_WORKER_HOME"]);
    }
    let json = shell.run(&["jobs", "--output", "json"]);
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert!(error["error"].as_str().unwrap().contains("no/such/folder"), "{json:?}");
    shell.write("file", b"");
    shell.set("MAIN_WORKER_HOME", "file");
    assert_eq!(shell.run(&["jobs"]).code, 78);
}
