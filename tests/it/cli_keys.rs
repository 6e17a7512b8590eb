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
    let id = shell.key("api");
    assert!(id.starts_with("api-1-") && id.len() == 10, "{id}");
    assert_eq!((mode, &file["id"], &file["algorithm"]), (0o600, &json!(id), &json!("ed25519")));
    assert!(file["sealing"].as_str().unwrap().starts_with("x25519:sealing-1-"), "{file:#}");
    let task = shell.enqueue(&[REPORT, "--source", "api"]);
    assert_eq!(shell.json(&["tasks", "show", &task])["proof"], format!("ed25519 with key {id}"));
    let listed = shell.ok(&["keys", "show"]);
    let row = format!("{{ id = \"{id}\", public_key = {} }}", file["public"]);
    assert!(listed.contains(&row), "{row} in {listed}");
    let secret = file["secret"].as_str().unwrap();
    for text in [&said, &listed, &shell.json(&["keys", "show"]).to_string()] {
        assert!(!text.contains(secret), "{text}");
    }
    let printed = shell.ok(&["keys", "make", "--source", "dashboard", "--print-secret"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let id = shell.key("dashboard");
    assert_eq!((&printed["id"], &printed["algorithm"]), (&json!(id), &json!("mac")));
    assert!(!shell.home().join("keys").exists());
    shell.ok(&["keys", "make", "--source", "api"]);
    shell.ok(&["keys", "make", "--source", "api", "--id", "mine"]);
    for name in ["api-2", "mine"] {
        assert!(shell.read(&format!("home/keys/{name}.json")).contains(name), "{name}");
    }
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
    let (operator, sealing) = (shell.key("operator"), shell.key("sealing"));
    check(&[&make[..], &["api", "--id", &operator]].concat(), &["choose another id"]);
    check(&[&make[..], &["api", "--out", "taken.json"]].concat(), &["does not exist yet"]);
    check(&["keys", "add", "--source", "api", "--public", "ed25519:x", "--id", "a"], &["ed25519:"]);
    check(&["keys", "rotate", "--source", "media_host"], &["has no key to rotate"]);
    let near = format!("did you mean `{operator}`?");
    check(&["keys", "revoke", &operator.replace("-1-", "-2-")], &[&near]);
    check(&["keys", "revoke", &sealing], &["seals configuration", "keys rotate --sealing"]);
    shell.run(&["keys", "init"]).fails(78, &["keys.json exists", "keys rotate"]);
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
    assert_eq!(
        shell.json(&["tasks", "show", &new])["proof"],
        format!("mac with key {}", shell.key("operator"))
    );
    assert!(shell.key("operator").starts_with("operator-2-"));
    let shown = shell.ok(&["keys", "show"]);
    assert!(shown.contains("taken until") && shown.contains("opens only"), "{shown}");
    assert!(shown.contains("x25519:sealing-2-"), "{shown}");
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
    let told = shell.ok(&["keys", "revoke", &shell.key("operator")]);
    assert!(told.contains("1 waiting tasks") && told.contains("bad_proof"), "{told}");
    assert!(told.contains(&task) && !told.contains(scheduled.trim()), "{told}");
    shell.run(&["enqueue", REPORT]).fails(65, &["bad_proof", "keys make --source operator"]);
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    let shown = shell.json(&["tasks", "show", &task]);
    assert_eq!((&shown["state"], &shown["result"]), (&json!("discarded"), &Value::Null));
    assert!(shown["error"].as_str().unwrap().starts_with("bad_proof: "), "{shown:#}");
    let again = shell.json(&["keys", "revoke", &shell.key("scheduler")]);
    assert_eq!(again["touchedTasks"], json!([]));
}

/// A worker that goes on until it is stopped, with what it says in a file.
struct Running(std::process::Child);

impl Running {
    fn start(shell: &Shell) -> Self {
        let log = std::fs::File::create(shell.path("log")).unwrap();
        let mut command = shell.command(&["work", "--no-schedules"]);
        Self(command.stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

/// Waits until what `tasks show` says of the task is as wanted.
fn until(shell: &Shell, task: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = std::time::Instant::now();
    loop {
        let shown = shell.json(&["tasks", "show", task]);
        if wanted(&shown) {
            return shown;
        }
        assert!(began.elapsed() < crate::site::PATIENCE, "{shown:#} {}", shell.read("log"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_running_worker_learns_of_new_and_withdrawn_keys() {
    let shell = Shell::new();
    let first = shell.enqueue(&[REPORT]);
    let worker = Running::start(&shell);
    let completed = |shown: &Value| shown["state"] == "completed";
    until(&shell, &first, completed);
    let old = shell.key("operator");
    shell.ok(&["keys", "rotate", "--source", "operator", "--overlap", "1h"]);
    until(&shell, &shell.enqueue(&[REPORT]), completed);
    // What was proven with a key that is withdrawn meanwhile does not run.
    let late = shell.enqueue(&[REPORT, "--delay", "1h"]);
    let new = shell.key("operator");
    assert_ne!(new, old);
    shell.ok(&["keys", "revoke", &new]);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    shell.ok(&["tasks", "retry", &late]);
    let refused = until(&shell, &late, |shown| shown["state"] == "discarded");
    assert!(refused["error"].as_str().unwrap().contains("revoked"), "{refused:#}");
    // A file that cannot be read leaves the worker as it is.
    let good = shell.read("home/keys.json");
    let task = shell.enqueue(&[REPORT, "--source", "scheduler", "--delay", "3s"]);
    shell.write("home/keys.json", b"{");
    let began = std::time::Instant::now();
    while !shell.read("log").contains("changed key file not usable") {
        assert!(began.elapsed() < crate::site::PATIENCE, "{}", shell.read("log"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    shell.write("home/keys.json", good.as_bytes());
    until(&shell, &task, completed);
    worker.stop();
    let log = shell.read("log");
    assert_eq!(log.matches("changed key file not usable").count(), 1, "{log}");
}

#[test]
fn follow_ups_are_proven_with_the_newest_key() {
    let shell = Shell::with_manifest(
        "[domains.logs.log_sources.cdn]\nformat = \"cloudfront\"\nlocation = \"logs\"\n",
    );
    shell.write("logs/a.log", b"not a log line\n");
    let completed = |shown: &Value| shown["state"] == "completed";
    let first = shell.enqueue(&[REPORT]);
    let worker = Running::start(&shell);
    until(&shell, &first, completed);
    let old = shell.key("main_worker");
    shell.ok(&["keys", "rotate", "--source", "main_worker"]);
    shell.ok(&["keys", "revoke", &old]);
    let parent = until(&shell, &shell.enqueue(&["logs/discover_logs"]), completed);
    let child = parent["children"][0].as_str().unwrap();
    let child = until(&shell, child, completed);
    assert_eq!(child["proof"], format!("mac with key {}", shell.key("main_worker")));
    worker.stop();
}

#[test]
fn lost_keys_stop_the_worker_and_cost_no_task() {
    let shell = Shell::new();
    let task = shell.enqueue(&[REPORT]);
    let keys = shell.read("home/keys.json");
    std::fs::remove_file(shell.path("home/keys.json")).unwrap();
    for command in [&["work", "--until-empty"][..], &["keys", "show"], &["keys", "init"]] {
        shell.run(command).fails(78, &["keys.json is missing", "restore it", "--force"]);
    }
    assert!(!shell.path("home/keys.json").exists());
    let told = shell.ok(&["keys", "init", "--force"]);
    assert!(told.contains("1 waiting tasks") && told.contains(&task), "{told}");
    shell.ok(&["work", "--until-empty", "--no-schedules"]);
    let held = shell.json(&["tasks", "show", &task]);
    assert_eq!((&held["held"], &held["attempt"]), (&json!("bad_proof"), &json!(0)), "{held:#}");
    assert_eq!(shell.json(&["tasks", "show", &shell.enqueue(&[REPORT])])["held"], Value::Null);
    // The keys were found after all: whoever has them takes the task.
    shell.write("home/keys.json", keys.as_bytes());
    let worker = Running::start(&shell);
    until(&shell, &task, |shown| shown["state"] == "completed");
    worker.stop();
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
    let text = main_worker::app::BUILT_IN_MANIFEST.replace("[sources.media_host]", &row);
    let shell = Shell::new();
    shell.write("worker.toml", text.as_bytes());
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
    assert!(good.starts_with("ok      manifest") && good.contains(" schedules"), "{good}");
    shell.write(
        "bad.toml",
        b"[worker]\nconcurency = 4\n\n[jobs.\"logs/proces_log\"]\ntimeout = \"5\"\n",
    );
    let bad = shell.run(&["check", "--manifest", "bad.toml"]);
    assert_eq!(bad.code, 78, "{bad:?}");
    for words in ["bad.toml:2", "did you mean `concurrency`?", "bad.toml:4", "bad.toml:5"] {
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
