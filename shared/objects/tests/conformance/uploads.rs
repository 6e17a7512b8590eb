//! Files on their way to S3: parts that fail, bytes that change, servers that are busy or gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use objects::{Credentials, ObjectError, ObjectStore, PART_BYTES, Stored};
use tempfile::TempDir;
use testkit::{Proxy, S3Server};
use values::Secret;

use crate::bad_day::{BadDay, Trouble};
use crate::suite::noise;

async fn open(server: &S3Server, endpoint: &str) -> ObjectStore {
    let location = format!("s3://files/all?endpoint={endpoint}").parse().unwrap();
    let credentials = Credentials {
        access_key_id: server.access_key_id().to_owned(),
        secret_access_key: Secret::new(server.secret_access_key().to_owned()),
        session_token: None,
    };
    ObjectStore::open(&location, Some(&credentials)).await.unwrap()
}

fn file(folder: &Path, len: u64) -> PathBuf {
    let path = folder.join(len.to_string());
    fs::write(&path, noise(len)).unwrap();
    path
}

async fn check_stored(direct: &ObjectStore, key: &str, file: &Path) {
    assert!(direct.is_same_as_file(key, file).await.unwrap(), "{key}");
    direct.delete(key).await.unwrap();
}

async fn check_absent(direct: &ObjectStore, key: &str) {
    let found = direct.head(key).await;
    assert!(matches!(found, Err(ObjectError::NotFound { .. })), "{found:?}");
}

#[tokio::test]
async fn what_passes_by_itself_is_sent_again_and_the_rest_is_transient() {
    use Trouble::{AnswerLost, Breaks, None, SlowDown};
    let server = S3Server::start().await.unwrap();
    server.create_bucket("files").await.unwrap();
    let (day, folder) = (BadDay::of(&server).await, TempDir::new().unwrap());
    let (direct, store) =
        (open(&server, server.endpoint()).await, open(&server, &day.endpoint()).await);
    let (small, large) =
        (file(folder.path(), 100_000), file(folder.path(), PART_BYTES * 2 + 1_000_003));
    for (file, troubles) in [
        (&small, &[SlowDown, Breaks][..]),
        (&large, &[SlowDown, None, Breaks]),
        (&large, &[AnswerLost, None, AnswerLost]),
    ] {
        day.expect(troubles);
        assert_eq!(store.put_file("a", file, |_| ()).await.unwrap(), Stored::New, "{troubles:?}");
        check_stored(&direct, "a", file).await;
    }
    for (file, trouble) in [(&small, SlowDown), (&large, SlowDown), (&large, Breaks)] {
        day.expect(&[trouble; 20]);
        let error = store.put_file("a", file, |_| ()).await.unwrap_err();
        assert!(matches!(error, ObjectError::Unreachable { .. }), "{error:?}");
        assert!(error.is_transient() && !error.to_string().contains("canary"), "{error}");
        check_absent(&direct, "a").await;
        day.expect(&[]);
        assert_eq!(store.put_file("a", file, |_| ()).await.unwrap(), Stored::New);
        check_stored(&direct, "a", file).await;
    }
}

#[tokio::test]
async fn a_byte_that_changed_on_the_way_is_never_stored() {
    let server = S3Server::start().await.unwrap();
    server.create_bucket("files").await.unwrap();
    let (day, folder) = (BadDay::of(&server).await, TempDir::new().unwrap());
    let (direct, store) =
        (open(&server, server.endpoint()).await, open(&server, &day.endpoint()).await);
    for len in [100_000, PART_BYTES + 100_000] {
        let file = file(folder.path(), len);
        day.expect(&[Trouble::Damages; 20]);
        let error = store.put_file("a", &file, |_| ()).await.unwrap_err();
        assert!(day.arrived() > 0 && error.is_transient(), "{error:?}");
        check_absent(&direct, "a").await;
        day.expect(&[]);
        assert_eq!(store.put_file("a", &file, |_| ()).await.unwrap(), Stored::New);
        check_stored(&direct, "a", &file).await;
    }
}

#[tokio::test]
async fn what_is_dropped_or_has_no_bucket_leaves_nothing() {
    let server = S3Server::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let (direct, through) =
        (open(&server, server.endpoint()).await, open(&server, &proxy.http()).await);
    let folder = TempDir::new().unwrap();
    let large = file(folder.path(), PART_BYTES * 3 + 5);
    let error = direct.put_file("a", &large, |_| ()).await.unwrap_err();
    assert!(matches!(error, ObjectError::NoPlace { .. }) && error.is_transient(), "{error:?}");

    server.create_bucket("files").await.unwrap();
    proxy.delay(Duration::from_millis(300));
    let dropped = through.put_file("a", &large, |_| ());
    assert!(tokio::time::timeout(Duration::from_secs(2), dropped).await.is_err());
    check_absent(&direct, "a").await;
    assert_eq!(direct.put_file("a", &large, |_| ()).await.unwrap(), Stored::New);
    check_stored(&direct, "a", &large).await;
}
