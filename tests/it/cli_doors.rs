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

/// What a domain's jobs refuse is told once, with the line where it stands, and all of it.
#[test]
fn a_wrong_domain_is_told_once_with_its_line() {
    let shell = Shell::with_manifest(
        "[domains.emails]\nsmtp = { host = \"127.0.0.1\" }\n\
         [domains.emails.brand]\ncompany = \"Otter TV\"\n",
    );
    let text = shell.read("worker.toml");
    let at = text.lines().position(|line| line == "[domains.emails.brand]").unwrap() + 1;
    let checked = shell.run(&["check"]);
    assert_eq!(checked.code, 78, "{checked:?}");
    let told = format!(
        "[domains.emails] in worker.toml:{at}: brand: a brand needs `from`, `support`, \
         `website_url`, `documentation_url`, `account_url` too (read by emails/"
    );
    assert_eq!(checked.stdout.matches("a brand needs").count(), 1, "{checked:?}");
    assert!(checked.stdout.contains(&told), "no {told:?} in {checked:?}");
}

/// What would only be missed at the end of a month, or at the next start, is told before.
#[test]
fn check_tells_what_billing_and_the_doors_would_miss() {
    let first = "[domains.billing]\nfirst_month = \"2026-11\"\n";
    let mut shell = Shell::with_manifest(first);
    shell.set("MAIN_WORKER_MEDIA_HOST_TOKEN", "canary-token");
    let section = json!({ "secretKey": "sk_live_canary", "webhookSecrets": ["whsec_canary"] });
    shell.set("MAIN_WORKER_SECTION_payments", &section.to_string());
    let checked = shell.run(&["check"]);
    assert_eq!(checked.code, 78, "{checked:?}");
    for words in [
        "ok      environment            development: ",
        "MAIN_WORKER_ENVIRONMENT=production is for customers",
        "FAILED  payments               the section `payments` cannot work: a live key is refused",
        "FAILED  billing                invoices need a sender",
        "FAILED  doors                  MAIN_WORKER_MEDIA_HOST_TOKEN is set",
        "main-worker keys make --source media_host",
        "webhookSecrets of the section `payments` is set",
        "main-worker keys make --source webhook",
    ] {
        assert!(checked.stdout.contains(words), "no {words:?} in {}", checked.stdout);
    }
    assert!(!format!("{checked:?}").contains("canary"), "{checked:?}");

    // What no charge could be made with is told before any task is begun.
    let cannot = "the section `payments` cannot work";
    for section in [
        section.clone(),
        json!({ "secretKey": "canary" }),
        json!({ "secretKey": "sk_test_canary", "endpoint": "http://evil.example" }),
    ] {
        shell.set("MAIN_WORKER_SECTION_payments", &section.to_string());
        let refused = shell.run(&["work", "--until-empty"]);
        assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
        refused.fails(78, &[cannot]);
    }
    shell.ok(&["keys", "make", "--source", "media_host"]);
    shell.ok(&["keys", "make", "--source", "webhook"]);
    shell.set("MAIN_WORKER_SECTION_payments", &section.to_string());
    shell.set("MAIN_WORKER_ENVIRONMENT", "production");
    let issuer = "[domains.billing.issuer]\nlegal_name = \"Otter TV Ltd\"\n";
    let text = format!("{}\n{first}{issuer}", main_worker::app::BUILT_IN_MANIFEST);
    shell.write("worker.toml", text.as_bytes());
    let checked = shell.ok(&["check"]);
    assert!(checked.contains("ok      environment            production\n"), "{checked}");
    let way = "from 2026-11 on, through the payment gateway, in the name of Otter TV Ltd";
    assert!(checked.contains(way), "{checked}");
    // Without a gateway customers have to know where to pay to.
    shell.set("MAIN_WORKER_SECTION_payments", "");
    shell.run(&["check"]).fails(78, &[]);
    assert!(shell.run(&["check"]).stdout.contains("set bank in [domains.billing.issuer]"));
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

/// A month closed for another time than now is closed for good.
#[test]
fn tells_that_the_clock_of_a_run_is_set_where_it_counts() {
    let mut shell = Shell::new();
    shell.write("envelope.json", envelope("{}", REPORT, "{}").as_bytes());
    let told = "what this run does in production counts for this time";
    for (environment, is_told) in [("staging", false), ("production", true)] {
        shell.set("MAIN_WORKER_ENVIRONMENT", environment);
        let ran = shell.run(&["run", "envelope.json", "--at", "2026-10-31T23:59:00Z"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.stderr.contains(told), is_told, "{ran:?}");
    }
}
