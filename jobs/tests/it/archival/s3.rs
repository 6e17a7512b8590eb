//! Recordings on real object storage, and on a network that breaks.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use database::EngineKind;
use job::JobError;
use objects::{Credentials, ObjectError, ObjectStore, PART_BYTES};
use serde_json::json;
use testkit::{Proxy, S3Server};
use values::Secret;

use super::ground::{ARCHIVE, DELETE, Ground, make};

/// What this process may hold beside its code: a release with its code is then far below 64 MB.
const HELD_KIB_MAX: u64 = 13_000;
const KEY: &str = "cines/key1/cam.mp4";

async fn ground(engine: EngineKind, server: &S3Server, endpoint: &str) -> Ground {
    let store = format!("s3://recordings/all?endpoint={endpoint}");
    let mut ground = Ground::storing_in(engine, Some(&store), "").await;
    let keys = json!({
        "accessKeyId": server.access_key_id(), "secretAccessKey": server.secret_access_key()
    });
    ground.configure("objectStorage", &keys);
    ground
}

async fn bucket(server: &S3Server, endpoint: &str) -> ObjectStore {
    let location = format!("s3://recordings/all?endpoint={endpoint}").parse().unwrap();
    let credentials = Credentials {
        access_key_id: server.access_key_id().to_owned(),
        secret_access_key: Secret::new(server.secret_access_key().to_owned()),
        session_token: None,
    };
    ObjectStore::open(&location, Some(&credentials)).await.unwrap()
}

/// A recording of several parts: noise hardly compresses.
fn large(folder: &Path) -> PathBuf {
    let noise = ["-vf", "scale=1280:720,noise=alls=100:allf=t", "-qp", "1"];
    make(folder, "large.mov", &noise)
}

async fn a_recording_of_many_parts_survives_a_network_that_breaks(engine: EngineKind) {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("recordings").await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let ground = ground(engine, &server, &proxy.http()).await;
    let made = tempfile::tempdir().unwrap();
    let payload = ground.record("cam.mov", &large(made.path()));
    let size = fs::metadata(ground.recorded("cam.mov")).unwrap().len();
    assert!(size > 2 * PART_BYTES, "{size} bytes are too few");

    proxy.cut().await;
    let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
    proxy.restore().await;
    assert!(ground.recorded("cam.mov").exists());
    ground.run_json(ARCHIVE, &payload).await.unwrap();
    let bucket = bucket(&server, server.endpoint()).await;
    let stored = bucket.head(KEY).await.unwrap().size_bytes;
    assert_eq!(ground.number("SELECT size_bytes FROM recording").await.cast_unsigned(), stored);
    assert!(bucket.head("cines/key1/cam.jpg").await.unwrap().size_bytes > 0);
    assert!(ground.files("recordings").is_empty() && ground.files("work").is_empty());

    let row = ground.db.first(database::Query::new("SELECT id FROM recording")).await.unwrap();
    let id: values::RecordingId = row.unwrap().get(0).unwrap();
    ground.run_json(DELETE, &json!({ "recordingId": id })).await.unwrap();
    assert!(matches!(bucket.head(KEY).await, Err(ObjectError::NotFound { .. })));
}

/// An attempt that is killed in the middle of a long upload has made its MP4 for the next one.
async fn an_mp4_is_recorded_while_its_upload_takes_long(engine: EngineKind) {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("recordings").await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let ground = ground(engine, &server, &proxy.http()).await;
    let made = tempfile::tempdir().unwrap();
    let payload = ground.record("cam.flv", &make(made.path(), "a.flv", &[]));
    let recorded = "SELECT count(*) FROM archive WHERE mp4_bytes IS NOT NULL";
    proxy.pause();
    let kept = async {
        while ground.number(recorded).await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        ended = ground.run_json(ARCHIVE, &payload) => panic!("{ended:?}"),
        () = kept => {}
    }
    proxy.resume();
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
}

async fn a_bucket_that_vanished_keeps_the_file(engine: EngineKind) {
    let server = S3Server::start().await.unwrap();
    let ground = ground(engine, &server, server.endpoint()).await;
    let made = tempfile::tempdir().unwrap();
    // The server makes a bucket for what comes in one piece.
    let payload = ground.record("cam.mov", &large(made.path()));
    let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
    assert!(error.chain().contains("s3://recordings/all"), "{error}");
    assert!(ground.recorded("cam.mov").exists());
    server.create_bucket("recordings").await.unwrap();
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
}

async fn keys_that_are_refused_keep_the_file_until_they_are_right(engine: EngineKind) {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("recordings").await.unwrap();
    let mut ground = ground(engine, &server, server.endpoint()).await;
    let keys =
        |secret: &str| json!({ "accessKeyId": server.access_key_id(), "secretAccessKey": secret });
    ground.configure("objectStorage", &keys("canary-canary-canary"));
    let made = tempfile::tempdir().unwrap();
    let payload = ground.record("cam.flv", &make(made.path(), "a.flv", &[]));
    let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
    assert!(error.chain().contains("refuses access"), "{error}");
    assert!(ground.recorded("cam.flv").exists());
    ground.configure("objectStorage", &keys(server.secret_access_key()));
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
}

/// A figure of this process in KiB.
fn of_status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The small form of `cargo bench -p jobs --features s3 --bench archive_recording`: what is on top
/// of ffmpeg's own remux and the bare upload is no second pass, and memory does not grow with the
/// file.
#[tokio::test]
async fn archiving_costs_little_more_than_ffmpeg_and_the_upload() {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("recordings").await.unwrap();
    let ground = ground(EngineKind::Sqlite, &server, server.endpoint()).await;
    let bucket = bucket(&server, server.endpoint()).await;
    let made = tempfile::tempdir().unwrap();
    let file = large(made.path());
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for round in 0..3 {
        let (start, mp4) = (Instant::now(), made.path().join("by-hand.mp4"));
        let status = std::process::Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-i"])
            .arg(&file)
            .args(["-c", "copy", "-movflags", "+faststart"])
            .arg(&mp4)
            .status()
            .unwrap();
        assert!(status.success());
        bucket.put_file(&format!("by-hand/{round}.mp4"), &mp4, |_| ()).await.unwrap();
        theirs = theirs.min(start.elapsed());

        let payload = ground.record(&format!("cam.{round}.mov"), &file);
        ground.db.execute(database::Query::new("DELETE FROM recording")).await.unwrap();
        let start = Instant::now();
        ground.run_json(ARCHIVE, &payload).await.unwrap();
        ours = ours.min(start.elapsed());
    }
    // Three more programs start, and a picture is taken; that is much of so small a file.
    assert!(ours < theirs * 3, "{ours:?} against {theirs:?}");
    // Code that is not optimised takes 52 MB by itself, a release 27: it is left out.
    let held_kib = of_status("VmHWM:") - of_status("RssFile:");
    assert!(held_kib < HELD_KIB_MAX, "{held_kib} KiB");
}

testkit::on_each_engine!(
    a_recording_of_many_parts_survives_a_network_that_breaks,
    an_mp4_is_recorded_while_its_upload_takes_long,
    a_bucket_that_vanished_keeps_the_file,
    keys_that_are_refused_keep_the_file_until_they_are_right,
);
