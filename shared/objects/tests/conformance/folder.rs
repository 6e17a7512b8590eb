//! What is particular to a folder: links, devices, names that are not text, a disk that fails.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use objects::{Location, ObjectError, ObjectStore, PAGE, SKIPPED_NAMES_MAX};
use tempfile::TempDir;

use crate::suite::{self, keys, read};

async fn open(path: &Path) -> ObjectStore {
    ObjectStore::open(&Location::folder(path), None).await.unwrap()
}

fn write(path: &Path, body: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, body).unwrap();
}

#[tokio::test]
async fn a_folder_does_what_every_store_does() {
    let root = TempDir::new().unwrap();
    let fresh = async |name: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(&path).unwrap();
        open(&path).await
    };
    suite::check(fresh).await;
}

#[tokio::test]
async fn refuses_links_that_lead_out_and_follows_those_that_stay() {
    let root = TempDir::new().unwrap();
    let outside = root.path().join("outside");
    write(&outside.join("secret"), "secret");
    let inside = root.path().join("inside");
    write(&inside.join("real/file"), "text");
    symlink(outside.join("secret"), inside.join("link-out")).unwrap();
    symlink(&outside, inside.join("folder-out")).unwrap();
    symlink("real/file", inside.join("link-in")).unwrap();
    symlink("..", inside.join("real/circle")).unwrap();
    symlink("nowhere", inside.join("dangling")).unwrap();
    let store = open(&inside).await;

    let page = store.list_page(None).await.unwrap();
    let listed: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(listed, ["link-in", "real/file"]);
    assert_eq!(page.skipped, 4);
    assert_eq!(page.skipped_names, ["dangling", "folder-out", "link-out", "real/circle"]);
    assert_eq!(read(&store, "link-in").await, "text");
    for key in ["link-out", "folder-out/secret"] {
        let read = store.read(key, 100).await.map(|_| ()).unwrap_err();
        let errors =
            [read, store.head(key).await.unwrap_err(), store.delete(key).await.unwrap_err()];
        for error in errors {
            assert!(matches!(error, ObjectError::BadKey { .. }), "{key}: {error:?}");
        }
    }
    for key in ["folder-out/new", "folder-out/a/new"] {
        let error = store.put(key, Bytes::from_static(b"x")).await.unwrap_err();
        assert!(matches!(error, ObjectError::BadKey { .. }), "{key}: {error:?}");
    }
    // A link in the object's own place is replaced, not written through.
    store.put("link-out", Bytes::from_static(b"mine")).await.unwrap();
    assert_eq!(read(&store, "link-out").await, "mine");
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn counts_what_cannot_be_an_object_once() {
    let root = TempDir::new().unwrap();
    let name = |bytes: &'static [u8]| root.path().join(OsStr::from_bytes(bytes));
    File::create(name(b"0\xff.gz")).unwrap();
    fs::create_dir(name(b"1\xff")).unwrap();
    File::create(name(b"2\nline")).unwrap();
    let _socket = UnixListener::bind(name(b"3socket")).unwrap();
    File::create(name(b".main-worker-1-2.part")).unwrap();
    for n in 0..PAGE + 5 {
        File::create(root.path().join(format!("4-{n:05}"))).unwrap();
    }
    File::create(name(b"5\xff")).unwrap();
    let store = open(root.path()).await;

    let first = store.list_page(None).await.unwrap();
    assert_eq!((first.objects.len(), first.skipped), (PAGE, 4));
    assert_eq!(first.skipped_names, ["0\\xff.gz", "1\\xff", "2\\nline", "3socket"]);
    let second = store.list_page(first.next.as_deref()).await.unwrap();
    assert_eq!((second.objects.len(), second.skipped, second.next), (5, 1, None));
    assert_eq!(second.skipped_names, ["5\\xff"]);
    let socket = store.read("3socket", 10).await.map(|_| ()).unwrap_err();
    assert!(matches!(socket, ObjectError::NotFound { .. }), "{socket:?}");
}

#[tokio::test]
async fn lists_a_folder_where_its_keys_belong() {
    let root = TempDir::new().unwrap();
    let mut expected = ["a/x", "a.txt", "a-b", "a/b/c", "a/b.c", "B", "é", "z", "a0", "a/b-c/d"];
    for key in expected {
        write(&root.path().join(key), "x");
    }
    expected.sort_unstable();
    let store = open(root.path()).await;
    assert_eq!(keys(&store).await, expected);
    for after in expected.into_iter().chain(["a", "a/", "a/a", "a/b/", "a/b~", "a.", "a/b.c/d"]) {
        let listed = store.list_page(Some(after)).await.unwrap();
        let listed: Vec<_> = listed.objects.iter().map(|object| object.key.as_str()).collect();
        let behind: Vec<_> = expected.into_iter().filter(|key| *key > after).collect();
        assert_eq!(listed, behind, "after {after}");
    }
}

#[tokio::test]
async fn lists_behind_any_number_of_empty_folders() {
    let root = TempDir::new().unwrap();
    for n in 0..2 * PAGE + 10 {
        fs::create_dir(root.path().join(format!("{n:05}"))).unwrap();
    }
    write(&root.path().join("z"), "");
    assert_eq!(keys(&open(root.path()).await).await, ["z"]);
}

#[tokio::test]
async fn leaves_no_part_behind_when_a_key_is_taken_by_a_folder() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    store.put("a/b", Bytes::from_static(b"x")).await.unwrap();
    for key in ["a", "a/b/c"] {
        let error = store.put(key, Bytes::from_static(b"x")).await.unwrap_err();
        assert!(matches!(error, ObjectError::BadKey { .. }), "{key}: {error:?}");
    }
    let error = store.read("a/b/c", 10).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ObjectError::NotFound { .. }), "{error:?}");
    let names: Vec<_> =
        fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a"]);
}

#[tokio::test]
async fn tells_a_missing_folder_from_a_missing_file() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("mount");
    let missing = ObjectStore::open(&Location::folder(&path), None).await.unwrap_err();
    assert!(matches!(missing, ObjectError::NoPlace { .. }), "{missing:?}");
    assert!(missing.is_transient(), "a disk may not be mounted yet");
    File::create(&path).unwrap();
    let file = ObjectStore::open(&Location::folder(&path), None).await.unwrap_err();
    assert!(matches!(file, ObjectError::NoPlace { .. }), "{file:?}");
    assert!(file.to_string().ends_with("does not exist; create it or correct the location"));

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let store = open(&path).await;
    fs::remove_dir(&path).unwrap();
    let errors = [
        store.list_page(None).await.map(|_| ()).unwrap_err(),
        store.read("a", 10).await.map(|_| ()).unwrap_err(),
        store.put("a", Bytes::new()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, ObjectError::NoPlace { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn notices_a_file_that_shrinks_and_ignores_what_is_appended() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("log");
    write(&path, &"x".repeat(1_000_000));
    let store = open(root.path()).await;
    let mut reader = store.read("log", 2_000_000).await.unwrap();
    let first = reader.next_chunk().await.unwrap().unwrap();
    File::options().write(true).open(&path).unwrap().set_len(first.len() as u64).unwrap();
    let error = reader.next_chunk().await.unwrap_err();
    assert!(error.is_transient());
    assert!(
        matches!(error, ObjectError::Truncated { received_bytes, .. } if received_bytes == first.len() as u64)
    );

    write(&path, "whole");
    let reader = store.read("log", 5).await.unwrap();
    write(&path, "whole and more");
    assert_eq!(reader.read_to_end().await.unwrap(), "whole");
}

#[tokio::test]
async fn tells_times_before_1970() {
    let root = TempDir::new().unwrap();
    let old = SystemTime::UNIX_EPOCH - Duration::from_millis(86_400_500);
    let file = File::create(root.path().join("old")).unwrap();
    file.set_modified(old).unwrap();
    let info = open(root.path()).await.head("old").await.unwrap();
    assert_eq!(info.modified_at.to_string(), "1969-12-30T23:59:59.500Z");
}

#[tokio::test]
async fn reports_a_folder_it_may_not_read() {
    let root = TempDir::new().unwrap();
    let store = open(root.path()).await;
    write(&root.path().join("closed/file"), "x");
    fs::set_permissions(root.path().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything: then the file is simply there.
    match store.list_page(None).await {
        Ok(page) => assert_eq!(page.objects.len(), 1),
        Err(error) => assert!(matches!(error, ObjectError::Denied { .. }), "{error:?}"),
    }
    fs::set_permissions(root.path().join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[cfg(not(feature = "s3"))]
#[tokio::test]
async fn says_which_feature_is_missing() {
    let error = ObjectStore::open(&"s3://logs/edge".parse().unwrap(), None).await.unwrap_err();
    assert!(error.to_string().ends_with("build it with --features s3"), "{error}");
}

#[tokio::test]
async fn names_no_more_skipped_things_than_it_says() {
    let root = TempDir::new().unwrap();
    for n in 0..SKIPPED_NAMES_MAX + 5 {
        symlink("nowhere", root.path().join(format!("link-{n:02}"))).unwrap();
    }
    let page = open(root.path()).await.list_page(None).await.unwrap();
    assert_eq!((page.skipped, page.skipped_names.len()), (15, SKIPPED_NAMES_MAX));
    assert_eq!(page.skipped_names[9], "link-09");
}
