//! Rejections and permanent failures reach a real Sentry-compatible server, without any secret.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use testkit::{SentryServer, SmtpSecurity, SmtpServer};

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

/// A mail server that accepts nothing cannot carry the news of it.
#[cfg(feature = "sentry")]
#[tokio::test]
async fn a_mail_server_that_is_down_is_reported() {
    let server = SentryServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let mail_server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
    let port = mail_server.address().port();
    mail_server.kill();
    let rules = main_worker::app::BUILT_IN_MANIFEST;
    let rules = rules.replace("max_unsent = \"1h\"", "max_unsent = \"1us\"");
    let mail = format!(
        "[domains.emails]\nallowed_domains = [\"example.org\"]\n\
         smtp = {{ host = \"127.0.0.1\", port = {port}, security = \"plain\" }}\n\
         [domains.emails.brand]\ncompany = \"Otter TV\"\nfrom = \"mail@otter.example\"\n\
         support = \"help@otter.example\"\nwebsite_url = \"https://otter.example/\"\n\
         documentation_url = \"https://otter.example/docs\"\n\
         account_url = \"https://otter.example/account\"\n"
    );
    std::fs::write(home.join("worker.toml"), format!("{rules}\n{mail}")).unwrap();
    let account = r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter Lane","billingProvider":"cine.io","billingEmail":"ann@example.org"}"#;
    std::fs::write(home.join("account.jsonl"), account).unwrap();
    let welcome = r#"{"accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m"}"#;
    for arguments in [
        &["import", "account.jsonl"][..],
        &["enqueue", "emails/welcome_account", welcome],
        &["work", "--until-empty", "--no-schedules"],
        &["enqueue", "monitoring/check_queues"],
        &["work", "--until-empty", "--no-schedules"],
    ] {
        let ran = main_worker(home, server.dsn(), arguments);
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
    }
    let events = server.wait_for_events(1, Duration::from_secs(20)).await.unwrap();
    let text = serde_json::to_string(&events).unwrap();
    assert!(text.contains("mails_unsent") && text.contains("emails list"), "{text}");
    assert!(!text.contains("ann@example.org"), "an address reached the server: {text}");
}
