//! What is particular to S3: signatures, and a network and a server that fail.

use std::time::{Duration, Instant};

use bytes::Bytes;
use objects::{Credentials, Location, ObjectError, ObjectStore, Timeouts};
use testkit::{Proxy, S3Server};
use values::Secret;

use crate::suite::{self, keys, read};

const IMPATIENT: Timeouts =
    Timeouts { connect: Duration::from_secs(1), read: Duration::from_secs(1), attempts: 2 };
const MANY: u64 = u64::MAX;

fn credentials(server: &S3Server) -> Credentials {
    Credentials {
        access_key_id: server.access_key_id().to_owned(),
        secret_access_key: Secret::new(server.secret_access_key().to_owned()),
        session_token: None,
    }
}

fn location(bucket: &str, endpoint: &str) -> Location {
    let text = format!("s3://{bucket}?endpoint={endpoint}");
    text.parse().expect("a server's endpoint is an address")
}

#[tokio::test]
async fn a_bucket_does_what_every_store_does() {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("conformance").await.unwrap();
    let fresh = async |name: &str| {
        let location = location(&format!("conformance/{name}"), server.endpoint());
        ObjectStore::open(&location, Some(&credentials(&server))).await.unwrap()
    };
    suite::check(fresh).await;
}

#[tokio::test]
async fn tells_refusals_apart_without_showing_the_secret() {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("logs").await.unwrap();
    let right = credentials(&server);
    let open = async |bucket: &str, credentials: &Credentials| {
        let location = location(bucket, server.endpoint());
        ObjectStore::open(&location, Some(credentials)).await.unwrap()
    };
    // One bucket as a whole, without a prefix.
    let store = open("logs", &right).await;
    store.put("a", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(keys(&store).await, ["a"]);

    let missing = open("no-such-bucket", &right).await;
    let error = missing.list_page(None).await.unwrap_err();
    assert!(matches!(error, ObjectError::NoPlace { .. }), "{error:?}");

    let secret_access_key = Secret::new("canary-canary-canary".to_owned());
    let wrong = Credentials { secret_access_key, ..right.clone() };
    let stranger = Credentials { access_key_id: "stranger".to_owned(), ..right };
    for store in [open("logs", &wrong).await, open("logs", &stranger).await] {
        let errors = [
            store.list_page(None).await.map(|_| ()).unwrap_err(),
            store.read("a", MANY).await.map(|_| ()).unwrap_err(),
            store.put("b", Bytes::new()).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, ObjectError::Denied { .. }), "{error:?}");
            assert!(!error.is_transient());
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
        assert!(!format!("{store:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_broken_network_is_transient_and_never_a_short_object() {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("logs").await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let location = location("logs/edge", &proxy.http());
    let store =
        ObjectStore::open_with(&location, Some(&credentials(&server)), IMPATIENT).await.unwrap();
    let body = "0123456789abcdef".repeat(100_000);
    store.put("a", Bytes::from(body.clone())).await.unwrap();

    // Broken off in the middle of a body.
    proxy.cut_after(400_000);
    let error = store.read("a", MANY).await.unwrap().read_to_end().await.unwrap_err();
    assert!(
        matches!(error, ObjectError::Truncated { received_bytes: 1..400_000, .. }),
        "{error:?}"
    );
    assert!(error.is_transient());

    // Silent in the middle of a body.
    let mut reader = store.read("a", MANY).await.unwrap();
    reader.next_chunk().await.unwrap().unwrap();
    proxy.pause();
    let error = reader.read_to_end().await.unwrap_err();
    check_unreachable(&error, "no byte came for 1s");

    // Silent before the answer.
    let started = Instant::now();
    check_unreachable(&store.head("a").await.unwrap_err(), "timeout");
    check_unreachable(&store.put("b", Bytes::from(body.clone())).await.unwrap_err(), "");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    proxy.resume();

    // No connection at all.
    proxy.cut().await;
    check_unreachable(&store.list_page(None).await.unwrap_err(), "Connection refused");
    proxy.restore().await;
    assert_eq!(read(&store, "a").await, body);

    // The server stands still, goes on, and dies.
    server.pause();
    check_unreachable(&store.head("a").await.unwrap_err(), "timeout");
    server.resume();
    store.head("a").await.unwrap();
    server.kill();
    check_unreachable(&store.head("a").await.unwrap_err(), "");
}

fn check_unreachable(error: &ObjectError, reason: &str) {
    assert!(matches!(error, ObjectError::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.starts_with("s3://logs/edge cannot be reached (") && text.contains(reason),
        "{text}"
    );
}
