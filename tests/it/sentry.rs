//! Rejections and permanent failures reach a real Sentry-compatible server, without any secret.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use testkit::SentryServer;

const CANARY: &str = "canary-9f2b61d0c4";

/// Runs the program on a home of its own, reporting to the server.
fn main_worker(home: &Path, dsn: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_main-worker"))
        .args(arguments)
        .current_dir(home)
        .env("MAIN_WORKER_HOME", home.join("home"))
        .env("MAIN_WORKER_ENVIRONMENT", "test")
        .env("SENTRY_DSN", dsn)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[cfg(feature = "sentry")]
#[tokio::test]
async fn rejections_and_failures_are_reported_without_secrets() {
    let server = SentryServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let configuration = format!(
        r#"{{"objectStorage":{{"accessKeyId":"{CANARY}","secretAccessKey":"{CANARY}-secret"}}}}"#
    );
    std::fs::write(home.join("configuration.json"), &configuration).unwrap();
    let envelope = format!(
        r#"{{"configuration":{configuration},"jobName":"logs/process_log","source":"api",
            "jobPayload":{{"logSource":"cdn","key":"x.gz"}}}}"#
    );
    std::fs::write(home.join("envelope.json"), envelope).unwrap();

    let rejected = main_worker(home, server.dsn(), &["run", "envelope.json"]);
    assert_eq!(rejected.status.code(), Some(65), "{rejected:?}");
    let stored = main_worker(
        home,
        server.dsn(),
        &[
            "enqueue",
            "logs/process_log",
            r#"{"logSource":"nowhere","key":"x.gz"}"#,
            "--configuration",
            "configuration.json",
        ],
    );
    assert!(stored.status.success(), "{stored:?}");
    let worked = main_worker(home, server.dsn(), &["work", "--until-empty", "--no-schedules"]);
    assert!(worked.status.success(), "{worked:?}");

    let events = server.wait_for_events(2, Duration::from_secs(20)).await.unwrap();
    let text = serde_json::to_string(&events).unwrap();
    assert!(text.contains("source_not_allowed"), "{text}");
    assert!(text.contains("logs/process_log"), "{text}");
    assert!(text.contains("nowhere"), "the permanent failure names the log source: {text}");
    assert!(!text.contains(CANARY), "a secret reached the server: {text}");
    for output in [rejected, stored, worked] {
        let shown = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&shown).contains(CANARY));
    }
}
