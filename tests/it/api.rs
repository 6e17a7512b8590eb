//! The example API with the real worker: what it asks for over HTTP is run.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ORDER: &str =
    r#"{"requestId":"r-1","accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","month":"2026-10"}"#;

/// Runs the program in a folder; returns what it printed.
fn main_worker(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_main-worker"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The shipped rules, but `api` may ask for roll-ups.
fn write_manifest(folder: &Path) -> String {
    let shipped = main_worker::app::BUILT_IN_MANIFEST;
    let allowed = "[sources.api]\njobs = [\"usage/roll_up_usage\", ";
    let manifest = shipped.replace("[sources.api]\njobs = [", allowed);
    assert_ne!(manifest, shipped);
    std::fs::write(folder.join("worker.toml"), &manifest).unwrap();
    manifest
}

#[tokio::test]
async fn what_the_example_api_asks_for_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let manifest = write_manifest(folder);
    main_worker(folder, &["keys", "make", "--source", "api"]);
    let home = folder.join(".main-worker");
    let api = api::Api::open(api::Place::Folder(&home), &home.join("keys/api-1.json"), &manifest)
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(api::serve(listener, api));

    let length = ORDER.len();
    let request = format!(
        "POST /statements HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{ORDER}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").last().unwrap()).unwrap();
    let task = body["taskId"].as_str().unwrap();

    main_worker(folder, &["work", "--until-empty", "--no-schedules"]);
    let shown = main_worker(folder, &["tasks", "show", task, "--output", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["state"], "completed", "{shown}");
    assert_eq!(shown["source"], "api", "{shown}");
}
