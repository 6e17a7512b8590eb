//! The log jobs on real object storage, and on a network that breaks.

use bytes::Bytes;
use database::EngineKind;
use edge_logs::sample::FileKind;
use job::JobError;
use objects::{Credentials, ObjectStore};
use serde_json::{Value, json};
use testkit::{Proxy, S3Server};
use values::Secret;

use crate::harness::{Harness, payload_of};
use crate::logs::{NAMES, gzip, sample};

const PROCESS: &str = "logs/process_log";
const DISCOVER: &str = "logs/discover_logs";
const LIST: &str = "SELECT state || ' ' || key FROM log_file ORDER BY key";

fn keys(server: &S3Server, secret: &str) -> Value {
    json!({ "accessKeyId": server.access_key_id(), "secretAccessKey": secret })
}

/// A harness whose one log source is the bucket, reached at `endpoint`.
async fn harness(engine: EngineKind, server: &S3Server, endpoint: &str) -> Harness {
    let mut harness = Harness::with(engine, |_| {
        format!(
            "[domains.logs.log_sources]\n\
             cdn = {{ format = \"cloudfront\", location = 's3://edge-logs/cf?endpoint={endpoint}' }}\n"
        )
    })
    .await;
    harness.configure("objectStorage", &keys(server, server.secret_access_key()));
    harness.customer(1, &NAMES).await;
    harness
}

async fn bucket(server: &S3Server) -> ObjectStore {
    server.create_bucket("edge-logs").await.unwrap();
    let location = format!("s3://edge-logs/cf?endpoint={}", server.endpoint()).parse().unwrap();
    let credentials = Credentials {
        access_key_id: server.access_key_id().to_owned(),
        secret_access_key: Secret::new(server.secret_access_key().to_owned()),
        session_token: None,
    };
    ObjectStore::open(&location, Some(&credentials)).await.unwrap()
}

fn file(key: &str) -> Value {
    json!({ "logSource": "cdn", "key": key })
}

async fn a_bucket_of_logs_becomes_usage_of_accounts(engine: EngineKind) {
    let server = S3Server::start().await.unwrap();
    let bucket = bucket(&server).await;
    let harness = harness(engine, &server, server.endpoint()).await;
    let mut bytes = 0;
    for serial in 0..5 {
        let kind = if serial < 3 { FileKind::CloudFrontHls } else { FileKind::CloudFrontVod };
        let log = sample(kind, u64::from(serial), 200);
        let key = kind.key("2026-10-31T22:00:00Z".parse().unwrap(), serial);
        bucket.put(&key, Bytes::from(gzip(&log.text))).await.unwrap();
        bytes += log.bytes;
    }
    let counts = harness.run_all_json(DISCOVER, &json!({})).await.unwrap();
    assert_eq!((counts[DISCOVER], counts[PROCESS]), (2, 5));
    assert_eq!(harness.billed_bytes().await, bytes);
    assert_eq!(harness.run_all_json(DISCOVER, &json!({})).await.unwrap().get(PROCESS), None);

    // What was written long before the newest object of the last listing is known.
    let found = async |hours: i64| {
        let sql = database::Query::new("UPDATE log_marker SET listed_until = $1 + $2");
        let newest = bucket.head("late.gz").await.unwrap().modified_at.as_micros();
        let ahead = hours * 3_600_000_000;
        harness.db.execute(sql.bind(newest).bind(ahead)).await.unwrap();
        harness.run_json(DISCOVER, &json!({ "logSource": "cdn" })).await.unwrap().follow_ups.len()
    };
    bucket.put("late.gz", Bytes::from_static(b"")).await.unwrap();
    assert_eq!(found(47).await, 1);
    assert_eq!(found(49).await, 0);
}

async fn a_body_that_breaks_off_anywhere_is_retried_and_then_read(engine: EngineKind) {
    let server = S3Server::start().await.unwrap();
    let bucket = bucket(&server).await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let harness = harness(engine, &server, &proxy.http()).await;
    let log = sample(FileKind::CloudFrontHls, 1, 5_000);
    // Plain text: here a short body would look like a whole one.
    for (key, body) in [("a.log", log.text.clone()), ("a.gz", gzip(&log.text))] {
        let len = body.len() as u64;
        bucket.put(key, Bytes::from(body)).await.unwrap();
        for cut in [2_000, len / 4, len / 2, len - 1] {
            proxy.cut_after(cut);
            let error = harness.run_json(PROCESS, &file(key)).await.unwrap_err();
            assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
            assert!(error.chain().contains("broke off"), "cut after {cut}: {error}");
            assert_eq!(harness.number("SELECT count(*) FROM usage_hour").await, 0);
        }
        let done = harness.run_json(PROCESS, &file(key)).await.unwrap();
        assert_eq!(done.result["bytes"], log.bytes);
        let clear = database::Query::new("DELETE FROM usage_hour");
        harness.db.execute(clear).await.unwrap();
    }
    let rows = harness.db.all(database::Query::new(LIST)).await.unwrap();
    let states: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(states, ["complete a.gz", "complete a.log"]);
}

async fn an_unreachable_bucket_is_retried_and_wrong_keys_are_for_a_person(engine: EngineKind) {
    let server = S3Server::start().await.unwrap();
    let bucket = bucket(&server).await;
    bucket.put("a.gz", Bytes::from_static(b"x")).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let mut harness = harness(engine, &server, &proxy.http()).await;

    proxy.cut().await;
    let asked = harness.run_json(DISCOVER, &json!({})).await.unwrap();
    for (job, payload) in [(DISCOVER, payload_of(&asked.follow_ups[0])), (PROCESS, file("a.gz"))] {
        let error = harness.run_json(job, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
        assert!(error.chain().contains("s3://edge-logs/cf cannot be reached"), "{error}");
    }
    proxy.restore().await;

    harness.configure("objectStorage", &keys(&server, "canary-canary-canary"));
    for (job, payload) in [(DISCOVER, json!({ "logSource": "cdn" })), (PROCESS, file("a.gz"))] {
        let error = harness.run_json(job, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
        let text = format!("{} {error:?}", error.chain());
        assert!(text.contains("refuses access") && !text.contains("canary"), "{text}");
    }
    assert_eq!(harness.number("SELECT count(*) FROM log_file").await, 0);
    assert_eq!(harness.number("SELECT count(*) FROM log_marker").await, 0);
}

testkit::on_each_engine!(
    a_bucket_of_logs_becomes_usage_of_accounts,
    a_body_that_breaks_off_anywhere_is_retried_and_then_read,
    an_unreachable_bucket_is_retried_and_wrong_keys_are_for_a_person,
);
