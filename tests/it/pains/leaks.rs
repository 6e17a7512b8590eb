//! The operators' surface: closed unless it is opened, and no secret comes out of it.

use std::time::Duration;

use main_worker::bench::{Fail, NoOp, Panic};
use scheduling::TaskOptions;
use serde_json::Value;
use testkit::Proxy;

use super::{ended, eventually, shell_of};
use crate::postgres_cli::migrated;
use crate::site::{PATIENCE, Site, Worker};
use crate::work_health::{address, get};

/// The password of the database.
const CANARY: &str = "canary5d1e07b2";
/// A number in a payload that no log has a reason to show.
const PAYLOAD: u64 = 7_316_420_981_337;
/// A label that would clear a terminal, and one that would forge a metric.
const LABELS: [&str; 2] = ["\u{1b}[2Jred\u{7}", "x\"} 1\nforged_metric 1"];
const REPORT: &str = "monitoring/report_environment";

fn is_clean(what: &str, text: &str) {
    for secret in [CANARY, &PAYLOAD.to_string()] {
        assert!(!text.contains(secret), "{secret} is in {what}:\n{text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{what}:\n{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("forged_metric")), "{what}:\n{text}");
}

/// What any user of the machine may read of a process, and where it listens.
fn seen_from_outside(worker: &Worker) -> String {
    let read = |name: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{name}", worker.pid())).unwrap();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    format!("{} {} {}", read("cmdline"), read("comm"), read("stat"))
}

/// The ports that a process listens on, by their sockets.
fn listening_sockets(worker: &Worker) -> usize {
    let sockets = |table: &str| -> Vec<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/net/{table}", worker.pid())).unwrap();
        let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let listening = fields.filter(|fields| fields.get(3) == Some(&"0A"));
        listening.map(|fields| format!("socket:[{}]", fields[9])).collect()
    };
    let listening = [sockets("tcp"), sockets("tcp6")].concat();
    let files = std::fs::read_dir(format!("/proc/{}/fd", worker.pid())).unwrap();
    let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.filter(|target| listening.iter().any(|one| target.as_os_str() == one.as_str())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_15_the_operators_surface_is_open_or_leaky() {
    let database = migrated().await;
    let proxy = Proxy::start(database.server().address()).await.unwrap();
    let url =
        database.url_through(proxy.address()).replace("postgres@", &format!("postgres:{CANARY}@"));
    assert!(url.contains(CANARY));
    let site = Site::at(&url).await;
    let sentry = testkit::SentryServer::start().await.unwrap();
    let variables = [("SENTRY_DSN", sentry.dsn()), ("MAIN_WORKER_LOG", "debug")];
    let closed = site.worker_with(&["--jobs", "bench/fill"], &variables);
    let worker =
        site.worker_with(&["--listen", "127.0.0.1:0", "--except", "bench/fill"], &variables);
    let address = address(&worker);
    closed.says("\"working\"");
    assert_eq!((listening_sockets(&closed), listening_sockets(&worker)), (0, 1));

    let labels =
        TaskOptions { labels: LABELS.map(str::to_owned).to_vec(), ..TaskOptions::default() };
    let secret = site.enqueue_with(&NoOp { number: PAYLOAD }, labels).await;
    let panicked = site.enqueue(&Panic { words: "as asked".to_owned() }).await;
    let failed = site.enqueue(&Fail { permanent: true }).await;
    for task in [secret, panicked, failed] {
        site.until(task, ended).await;
        is_clean("the process list", &seen_from_outside(&worker));
    }
    is_clean("/metrics", &get(&address, "/metrics").1);
    let shell = shell_of(&site);
    for arguments in [&["check"][..], &["tasks", "list"], &["tasks", "rejections"], &["jobs"]] {
        let ran = shell.run(arguments);
        is_clean(&arguments.join(" "), &format!("{}{}", ran.stdout, ran.stderr));
    }
    // Its payload is the operator's to see; escape sequences are nobody's.
    let shown = shell.ok(&["tasks", "show", &secret.to_string()]);
    assert!(!shown.contains(CANARY) && !shown.contains('\u{1b}'), "{shown:?}");

    // Whoever asks for a job with an odd name gets it back in a form that does no harm.
    let odd = shell.run(&["enqueue", "bench/\u{1b}]0;x\u{7}"]);
    assert_eq!(odd.code, 65, "{odd:?}");
    let envelope = format!(
        r#"{{"configuration":{{}},"jobName":"\u001b[2J{REPORT}\u0007","source":"operator","jobPayload":{{}}}}"#
    );
    let forged = shell.pipe(&["enqueue", "--envelope", "-"], envelope.as_bytes());
    assert_eq!(forged.code, 65, "{forged:?}");
    let kept = shell.run(&["tasks", "rejections"]);
    for ran in [odd, forged, kept] {
        is_clean("a rejection", &format!("{}{}", ran.stdout, ran.stderr));
    }
    // A password has no place on a command line, which every user can read.
    shell.run(&["check", "--against", &url]).fails(64, &["password", "DATABASE_URL"]);

    proxy.cut().await;
    eventually("the worker is not ready", async || get(&address, "/readyz").0 == 503).await;
    is_clean("/readyz", &get(&address, "/readyz").1);
    worker.says("the task store does not answer");
    let away = shell.run(&["check"]);
    assert_eq!(away.code, 75, "{away:?}");
    is_clean("check", &format!("{}{}", away.stdout, away.stderr));
    tokio::time::sleep(Duration::from_millis(200)).await;
    for worker in [&worker, &closed] {
        is_clean("a log", &worker.log());
    }
    if cfg!(feature = "sentry") {
        let events: Vec<Value> = sentry.wait_for_events(2, PATIENCE).await.unwrap();
        is_clean("Sentry", &serde_json::to_string(&events).unwrap());
    }
}
