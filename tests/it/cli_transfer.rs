//! `import` and `export`.

use serde_json::json;

use crate::cli_shell::Shell;

const ACCOUNT: &str = r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter Lane","billingProvider":"cine.io"}"#;
const PROJECT: &str = r#"{"kind":"project","id":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Web","publicKey":"18b191b6"}"#;
const STREAM: &str = r#"{"kind":"stream","id":"strm_01jd0c4x5ve4zrh1k5yq4q8g7m","projectId":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"kb7Qx2LmW"}"#;

#[test]
fn what_goes_in_comes_out_and_changes_nothing_again() {
    let shell = Shell::new();
    shell.write("all.jsonl", [ACCOUNT, PROJECT, STREAM].join("\n").as_bytes());
    let first = shell.json(&["import", "all.jsonl"]);
    assert_eq!(first["accepted"], json!({"accounts": 1, "projects": 1, "streams": 1}));
    let told = shell.ok(&["import", "all.jsonl"]);
    assert_eq!(
        told,
        "3 lines: 0 stored (0 accounts, 0 projects, 0 streams), 3 known already, 0 refused\n"
    );
    let other = Shell::new();
    for kind in ["account", "project", "stream"] {
        let out = shell.ok(&["export", kind]);
        assert_eq!(out.lines().count(), 1, "{out}");
        let into = other.pipe(&["import", "-", "--output", "json"], out.as_bytes());
        assert_eq!((into.code, into.json()["rejectedCount"].clone()), (0, json!(0)), "{into:?}");
        let said = shell.ok(&["export", kind, "--out", "out.jsonl"]);
        assert!(said.contains("1 lines") && said.contains("out.jsonl"), "{said}");
        assert_eq!(shell.read("out.jsonl"), out);
        assert_eq!(other.ok(&["export", kind]), out);
    }
    assert_eq!(shell.ok(&["export", "usage"]), "");
}

#[test]
fn bad_lines_are_named_and_undo_all_unless_told_otherwise() {
    let shell = Shell::new();
    let bad = [ACCOUNT, "{\"kind\":\"acount\"}", PROJECT, "\u{1b}[2J\u{0}"].join("\n");
    shell.write("bad.jsonl", bad.as_bytes());
    let refused = shell.run(&["import", "bad.jsonl"]);
    refused.fails(65, &["line 2", "did you mean `account`?", "nothing was stored"]);
    assert_eq!(shell.ok(&["export", "account"]), "");
    let kept = shell.run(&["import", "bad.jsonl", "--keep-going"]);
    kept.fails(65, &["line 2, `kind`: ", "line 4: "]);
    assert!(!kept.stderr.contains(['\u{1b}', '\u{0}']), "{kept:?}");
    assert!(kept.stdout.starts_with("4 lines: 2 stored (1 accounts, 1 projects"), "{kept:?}");
    assert_eq!(shell.ok(&["export", "account"]).lines().count(), 1);
    let json = shell.run(&["import", "bad.jsonl", "--keep-going", "--output", "json"]);
    let rejected = &json.json()["rejected"];
    assert_eq!((&rejected[0]["line"], &rejected[1]["line"]), (&json!(2), &json!(4)));
    let mut noise = ACCOUNT.as_bytes().to_vec();
    noise.extend_from_slice(b"\n\xff\xfe\n");
    noise.extend(vec![b'x'; 3 << 20]);
    let ran = shell.pipe(&["import", "-", "--keep-going"], &noise);
    ran.fails(65, &["line 2: ", "line 3: "]);
}

#[test]
fn plans_that_are_not_sold_are_told() {
    let shell = Shell::new();
    let line = ACCOUNT.replace('}', r#","plans":[{"broadcast":["sole"]}]}"#);
    shell.write("accounts.jsonl", line.as_bytes());
    let ran = shell.run(&["import", "accounts.jsonl"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("1 lines: 1 stored"), "{ran:?}");
    assert!(ran.stderr.contains("warning: line 1, `plans`: `cine.io` sells no"), "{ran:?}");
    assert!(ran.stderr.contains("did you mean `solo`?"), "{ran:?}");
    let json = shell.json(&["import", "accounts.jsonl"]);
    assert_eq!((&json["warningCount"], &json["warnings"][0]["line"]), (&json!(1), &json!(1)));
}

#[test]
fn wrong_names_are_refused() {
    let shell = Shell::new();
    shell.run(&["import", "absent.jsonl"]).fails(64, &["cannot read absent.jsonl"]);
    shell.run(&["import", "."]).fails(64, &["is a folder"]);
    shell.run(&["export", "acount"]).fails(64, &["did you mean `account`?"]);
    shell.run(&["export", "account", "--out", "no/such/file"]).fails(64, &["no/such/file"]);
    assert!(!shell.path("no").exists());
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let shell = Shell::new();
    let lines: Vec<String> = (0..3_000)
        .map(|n| {
            ACCOUNT.replace("q8g7m", &format!("q{n:04}")).replace("Otter Lane", &"x".repeat(100))
        })
        .collect();
    shell.write("many.jsonl", lines.join("\n").as_bytes());
    shell.ok(&["import", "many.jsonl"]);
    let mut child = shell.start(&["export", "account"], std::process::Stdio::null());
    drop(child.stdout.take());
    let ran = crate::cli_shell::end(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

/// The draft has a name of its own, and what is no file is written as it is.
#[test]
fn exports_into_pipes_and_beside_foreign_files() {
    let shell = Shell::new();
    shell.write("one.jsonl", ACCOUNT.as_bytes());
    shell.ok(&["import", "one.jsonl"]);
    shell.write("out.jsonl.part", b"mine");
    shell.ok(&["export", "account", "--out", "out.jsonl"]);
    assert_eq!(shell.read("out.jsonl.part"), "mine");
    let pipe = shell.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let reading = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    let ran = shell.run(&["export", "account", "--out", "pipe"]);
    let is_file = std::fs::metadata(&pipe).unwrap().is_file();
    assert!(ran.code == 0 && !is_file, "the pipe was not written: {ran:?}");
    assert_eq!(reading.join().unwrap(), shell.read("out.jsonl"));
}
