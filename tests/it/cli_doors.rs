//! What must be right before anything starts, and what must arrive before all is well.

use serde_json::json;

use crate::cli_shell::Shell;

const REPORT: &str = "monitoring/report_environment";
const DISCOVER: &str = "logs/discover_logs";
const KEYS: &str = r#""accessKeyId":"AKIA","secretAccessKey":"canary-1""#;

fn envelope(configuration: &str, job: &str, payload: &str) -> String {
    format!(
        r#"{{"configuration":{configuration},"jobName":"{job}","source":"operator","jobPayload":{payload}}}"#
    )
}

/// A result that cannot be written is no success, whoever prints it.
#[test]
fn a_full_device_is_told_and_ends_badly() {
    let shell = Shell::new();
    shell.write("envelope.json", envelope("{}", REPORT, "{}").as_bytes());
    for arguments in [
        &["run", "envelope.json"][..],
        &["enqueue", REPORT],
        &["jobs"],
        &["tasks", "list", "--output", "json"],
        &["check"],
        &["--help"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = shell.command(arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(70), "{arguments:?}: {stderr}");
        assert_eq!(stderr.matches("results are lost").count(), 1, "{arguments:?}: {stderr}");
    }
}

/// Each wrong section: refused with its field, at every door, and never quoted.
#[test]
fn a_wrong_section_is_refused_at_the_door() {
    let shell = Shell::new();
    let check = |section: &str, field: &str, hint: &str| {
        let configuration = format!(r#"{{"objectStorage":{section}}}"#);
        shell.write("request.json", envelope(&configuration, DISCOVER, "{}").as_bytes());
        shell.write("sections.json", configuration.as_bytes());
        let json = ["--output", "json"];
        for arguments in [
            &["run", "request.json"][..],
            &["enqueue", "--envelope", "request.json"],
            &["enqueue", DISCOVER, "--configuration", "sections.json"],
        ] {
            let ran = shell.run(&[arguments, &json].concat());
            assert_eq!(ran.code, 65, "{arguments:?}: {ran:?}");
            let rejection = &ran.json()["rejection"];
            assert_eq!(rejection["code"], "missing_configuration", "{ran:?}");
            assert_eq!(rejection["field"], field, "{ran:?}");
            assert!(rejection["message"].as_str().unwrap().contains(hint), "{ran:?}");
            assert!(!format!("{ran:?}").contains("canary"), "{ran:?}");
        }
    };
    let token = format!("{{{KEYS},\"sessionToken\":[\"canary-2\"]}}");
    check(&token, "configuration.objectStorage.sessionToken", "expected a string");
    let misspelt = format!("{{{KEYS},\"sesionToken\":\"canary-2\"}}");
    check(&misspelt, "configuration.objectStorage", "did you mean `sessionToken`?");
    let half = r#"{"accessKeyId":"canary-2"}"#;
    check(half, "configuration.objectStorage", "missing field `secretAccessKey`");
    assert_eq!(shell.json(&["tasks", "list"]), json!([]));
}

/// Fault 21: a worker without its configuration does not start with another.
#[test]
fn a_wrong_section_of_its_own_stops_the_worker() {
    let mut shell = Shell::new();
    shell.set("MAIN_WORKER_SECTION_objectStorage", r#"{"accessKeyId":"canary"}"#);
    let words = ["configuration.objectStorage", "missing field `secretAccessKey`"];
    for arguments in [&["work", "--until-empty"][..], &["jobs"]] {
        let ran = shell.run(arguments);
        ran.fails(78, &words);
        assert!(!ran.stderr.contains("canary"), "{ran:?}");
    }
    let checked = shell.run(&["check"]);
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(words.iter().all(|word| checked.stdout.contains(word)), "{checked:?}");
}

/// Nothing is made by a start that fails, and `check` says the same of the file.
#[test]
fn nothing_starts_with_a_bad_file() {
    let check = |text: &str, words: &[&str]| {
        let shell = Shell::new();
        shell.write("other.toml", text.as_bytes());
        let checked = shell.run(&["check", "--manifest", "other.toml"]);
        assert_eq!(checked.code, 78, "{checked:?}");
        let mut shell = shell;
        shell.set("MAIN_WORKER_MANIFEST", "other.toml");
        let started = shell.run(&["work", "--until-empty"]);
        started.fails(78, words);
        for word in words {
            assert!(checked.stdout.contains(word), "no {word:?} in {checked:?}");
        }
        assert!(!format!("{started:?}{checked:?}").contains("worker.toml"), "{started:?}");
        assert!(!shell.home().exists(), "{started:?}");
    };
    check("", &["`logs/discover_logs` has a handler but no row", "to other.toml"]);
    check("[worker]\nnam = \"x\"\n", &["other.toml:2: ", "did you mean `name`?"]);
    let built_in = main_worker::app::BUILT_IN_MANIFEST;
    let row = "[jobs.\"usage/roll_up_usage\"]\n";
    assert!(built_in.contains(row));
    let wrong = built_in.replace(row, &format!("{row}settings = {{ nope = 1 }}\n"));
    check(&wrong, &["settings of [jobs.\"usage/roll_up_usage\"] in other.toml", "nope"]);
}

#[test]
fn misspelt_names_and_values_out_of_bounds_are_usage_errors() {
    let shell = Shell::new();
    let check = |arguments: &[&str], words: &[&str]| shell.run(arguments).fails(64, words);
    check(&["work", "--jobs", "nope/*"], &["no job matches `nope/*`", REPORT]);
    check(&["work", "--jobs", "nope"], &["nope"]);
    check(&["work", "--except", "logs/nope"], &["no job matches `logs/nope`"]);
    check(&["tasks", "list", "--source", "opertor"], &["did you mean `operator`?"]);
    check(&["tasks", "list", "--source", "nope"], &["no source `nope`", "scheduler"]);
    check(&["tasks", "list", "--source", ""], &["it is empty"]);
    let enqueue = |option: &str, value: &str, word: &str| {
        check(&["enqueue", REPORT, option, value], &[option, word]);
    };
    enqueue("--timeout", "0s", "from 1ms to 4w");
    enqueue("--timeout", "5w", "from 1ms to 4w");
    enqueue("--delay", "521w", "to 520w");
    enqueue("--run-at", "1969-12-31T23:59:59Z", "before 1970");
    enqueue("--host", "", "it is empty");
    enqueue("--label", "", "it is empty");
    check(&["enqueue", REPORT, "--unique", "job", "--unique-for", "521w"], &["to 520w"]);
    check(&["keys", "rotate", "--source", "operator", "--overlap", "521w"], &["to 520w"]);
}

/// Fault 22: a file of the process contract is UTF-8, and its envelope names the job.
#[test]
fn understands_ironworker_behind_its_own_options_and_escapes_what_steers() {
    let shell = Shell::new();
    let payload = "{\"echo\":\"a\u{202e}b\u{9b}c\"}";
    shell.write("envelope.json", envelope("{}", REPORT, payload).as_bytes());
    for arguments in [
        &["--output", "json", "run", "-payload", "envelope.json"][..],
        &["--output=json", "-payload", "envelope.json"],
    ] {
        let ran = shell.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.json()["result"]["echo"], "a\u{202e}b\u{9b}c");
        assert!(ran.stdout.contains("a\\u202eb\\u009bc"), "{ran:?}");
    }
}
