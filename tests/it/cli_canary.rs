//! A secret in `configuration` is found nowhere: no file, no output, no log, no metric.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::cli_shell::{Ran, Shell, end};

const CANARY: &str = "canary7c1f0d93e2b84a56";
/// The same in base64, without what depends on its surroundings.
const CANARY_BASE64: &str = "Y2FuYXJ5N2MxZjBkOTNlMmI4NGE1N";
const CANARY_HEX: &str = "63616e61727937633166306439336532623834613536";
const SOURCE: &str =
    "[domains.logs.log_sources.cdn]\nformat = \"cloudfront\"\nlocation = \"logs\"\n";
const PATIENCE: Duration = Duration::from_secs(30);

fn form_in(bytes: &[u8]) -> Option<&'static str> {
    let mut forms = [CANARY, CANARY_BASE64, CANARY_HEX].into_iter();
    forms.find(|form| bytes.windows(form.len()).any(|window| window == form.as_bytes()))
}

fn is_clean(what: &str, bytes: &[u8]) {
    assert_eq!(form_in(bytes), None, "the secret is in {what}");
}

fn files_are_clean(folder: &Path) -> usize {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            seen += files_are_clean(&path);
        } else {
            is_clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
            seen += 1;
        }
    }
    seen
}

fn ran_clean(what: &str, ran: &Ran) {
    is_clean(&format!("stdout of {what}"), ran.stdout.as_bytes());
    is_clean(&format!("stderr of {what}"), ran.stderr.as_bytes());
}

fn get(address: &str, path: &str) -> String {
    let began = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect(address) {
            write!(stream, "GET {path} HTTP/1.0\r\nHost: worker\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            return text;
        }
        assert!(began.elapsed() < PATIENCE, "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Fault 21: secrets of a request are in no message, row, file or log.
#[test]
fn a_secret_in_configuration_is_found_nowhere() {
    let mut shell = Shell::with_manifest(SOURCE);
    shell.set("MAIN_WORKER_LOG", "trace");
    shell.write("logs/a.log", b"not a log line\n");
    let section = format!("{{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"{CANARY}\"}}");
    shell.write("storage.json", format!("{{\"objectStorage\":{section}}}").as_bytes());
    assert_eq!(form_in(shell.read("storage.json").as_bytes()), Some(CANARY));
    let ask = |job: &str, payload: &str, more: &[&str]| {
        let arguments = ["enqueue", job, payload, "--configuration", "storage.json"];
        let ran = shell.run(&[&arguments[..], more].concat());
        ran_clean(&format!("enqueue {job} {payload}"), &ran);
        ran
    };
    let done = ask("logs/process_log", r#"{"logSource":"cdn","key":"a.log"}"#, &[]);
    let failed =
        ask("logs/process_log", r#"{"logSource":"cdn","key":"gone.gz"}"#, &["--max-attempts", "1"]);
    let parent = ask("logs/discover_logs", "{}", &[]);
    let refused = ask("logs/process_log", r#"{"logSource":1}"#, &[]);
    let surplus = ask("usage/roll_up_usage", "{}", &[]);
    assert_eq!(
        [done.code, failed.code, parent.code, refused.code, surplus.code],
        [0, 0, 0, 65, 65]
    );

    let envelope = format!(
        r#"{{"configuration":{{"objectStorage":{section}}},"jobName":"logs/process_log","source":"operator","jobPayload":{{"logSource":"cdn","key":"gone.gz"}}}}"#
    );
    let plain = shell.pipe(&["enqueue", "--envelope", "-"], envelope.as_bytes());
    ran_clean("enqueue --envelope", &plain);
    let broken =
        shell.pipe(&["enqueue", "--envelope", "-"], envelope.replace("cdn", "\\u0007").as_bytes());
    ran_clean("enqueue --envelope, odd", &broken);
    let cut =
        shell.pipe(&["enqueue", "--envelope", "-"], &envelope.as_bytes()[..envelope.len() - 9]);
    ran_clean("enqueue --envelope, cut off", &cut);
    assert_eq!([plain.code, broken.code, cut.code], [0, 0, 65]);

    let address = free_address();
    let worker = shell.start(&["work", "--no-schedules", "--listen", &address], Stdio::null());
    let pid = rustix::process::Pid::from_raw(worker.id().try_into().unwrap()).unwrap();
    // Whoever reads the pipes keeps the worker from waiting for them.
    let worker = std::thread::spawn(move || end(worker));
    let began = Instant::now();
    while shell.ok(&["tasks", "depth"]) != "nothing waits and nothing runs\n" {
        assert!(began.elapsed() < PATIENCE, "{}", shell.ok(&["tasks", "list"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("main_worker_tasks_total"), "{metrics}");
    is_clean("/metrics", metrics.as_bytes());
    // While the worker holds the database, its log is beside it.
    assert!(files_are_clean(&shell.home()) >= 3);
    assert!(shell.home().join("main.db-wal").exists());
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let worker = worker.join().unwrap();
    assert_eq!(worker.code, 0);
    assert!(worker.stderr.contains("process_log"), "{worker:?}");
    ran_clean("work", &worker);

    let one = shell.pipe(&["run"], envelope.as_bytes());
    assert_ne!(one.code, 0, "{one:?}");
    ran_clean("run", &one);
    for task in [&done, &failed, &parent, &plain] {
        let task = task.stdout.trim();
        let shown = shell.run(&["tasks", "show", task, "--output", "json"]);
        let sealed = shown.json()["configuration"]["objectStorage"].clone();
        let sealed = sealed.as_str().unwrap();
        assert!(sealed.starts_with("[sealed to sealing-1-"), "{shown:?}");
        ran_clean("tasks show --output json", &shown);
        ran_clean("tasks show", &shell.run(&["tasks", "show", task]));
    }
    for command in [["tasks", "list"], ["tasks", "rejections"], ["keys", "show"]] {
        ran_clean("lists", &shell.run(&command));
        ran_clean("lists", &shell.run(&[&command[..], &["--output", "json"]].concat()));
    }
    assert!(files_are_clean(&shell.home()) >= 2);
}
