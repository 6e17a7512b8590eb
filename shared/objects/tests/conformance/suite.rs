//! What every store does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use objects::{ObjectError, ObjectInfo, ObjectStore, PAGE, PART_BYTES, Stored};
use tokio::task::JoinSet;

const ANY_SIZE: u64 = u64::MAX;
const PUTS_AT_ONCE: usize = 16;

/// Runs the suite; `fresh` opens an empty store each time, at a place of the given name, and
/// stores of names like `a/b` lie within those of names like `a`.
pub(crate) async fn check<F>(fresh: F)
where
    F: AsyncFn(&str) -> ObjectStore,
{
    keeps_what_was_put(&fresh("round-trip").await).await;
    streams_large_objects(&fresh("large").await).await;
    stores_files_once(&fresh("files").await).await;
    holds_to_the_limit(&fresh("limit").await).await;
    keeps_unusual_keys(&fresh("keys").await).await;
    refuses_bad_keys(&fresh("bad-keys").await).await;
    lists_by_the_bytes_of_keys(&fresh("order").await).await;
    lists_every_object_once(&fresh("pages").await).await;
    says_when_a_full_page_is_the_last(&fresh("full-page").await).await;
    writes_whole_objects_only(&fresh("race").await).await;
    let (outer, inner, other) =
        (fresh("outer").await, fresh("outer/inner").await, fresh("outer/inner-2").await);
    keeps_to_its_own_part(&outer, &inner, &other).await;
}

async fn keeps_what_was_put(store: &ObjectStore) {
    assert_eq!(keys(store).await, [""; 0]);
    for body in ["first", "", "a longer third body"] {
        store.put("a/b.gz", Bytes::from(body)).await.unwrap();
        assert_eq!(read(store, "a/b.gz").await, body);
        let info = store.head("a/b.gz").await.unwrap();
        assert_eq!((info.key.as_str(), info.size_bytes), ("a/b.gz", body.len() as u64));
        let listed = store.list_page(None).await.unwrap();
        assert_eq!(listed.next, None);
        assert_eq!(listed.skipped, 0);
        assert_eq!(to_seconds(&listed.objects), to_seconds(&[info]));
    }
    store.delete("a/b.gz").await.unwrap();
    store.delete("a/b.gz").await.unwrap();
    assert_eq!(keys(store).await, [""; 0]);
    for key in ["a/b.gz", "a", "never/was"] {
        let read = store.read(key, ANY_SIZE).await.map(|_| ()).unwrap_err();
        assert!(matches!(&read, ObjectError::NotFound { key: k, .. } if k == key), "{read:?}");
        assert!(!read.is_transient());
        let head = store.head(key).await.unwrap_err();
        assert!(matches!(&head, ObjectError::NotFound { key: k, .. } if k == key), "{head:?}");
    }
}

async fn streams_large_objects(store: &ObjectStore) {
    let body: Bytes =
        (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    store.put("large.bin", body.clone()).await.unwrap();
    let mut reader = store.read("large.bin", ANY_SIZE).await.unwrap();
    assert_eq!(reader.info().size_bytes, body.len() as u64);
    let (mut whole, mut pieces) = (Vec::new(), 0);
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        assert!(!chunk.is_empty());
        whole.extend_from_slice(&chunk);
        pieces += 1;
    }
    assert!(pieces > 1);
    assert!(whole == body);
    assert!(reader.next_chunk().await.unwrap().is_none());
}

async fn stores_files_once(store: &ObjectStore) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for (number, len) in [0, 1, PART_BYTES, PART_BYTES * 2 + 77].into_iter().enumerate() {
        std::fs::write(&file, noise(len)).unwrap();
        let key = format!("a/{number}.bin");
        let (told, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (times, bytes) = (Arc::clone(&told), Arc::clone(&sent));
        let tell = move |through| {
            times.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_max(through, Ordering::Relaxed);
        };
        assert_eq!(store.put_file(&key, &file, tell).await.unwrap(), Stored::New);
        assert!(store.is_same_as_file(&key, &file).await.unwrap());
        assert!(len <= PART_BYTES || told.load(Ordering::Relaxed) > 0);
        assert!([0, len].contains(&sent.load(Ordering::Relaxed)));
    }
    // What is there stays as it is, whatever comes.
    for len in [3, PART_BYTES + 3] {
        std::fs::write(&file, noise(len)).unwrap();
        assert_eq!(store.put_file("a/1.bin", &file, |_| ()).await.unwrap(), Stored::Exists);
        assert!(!store.is_same_as_file("a/1.bin", &file).await.unwrap());
        assert_eq!(store.head("a/1.bin").await.unwrap().size_bytes, 1);
    }
    assert_eq!(keys(store).await.len(), 4);
    let error = store.put_file("b", &folder.path().join("absent"), |_| ()).await.unwrap_err();
    assert!(matches!(error, ObjectError::Io { .. } | ObjectError::NoPlace { .. }), "{error:?}");
    assert!(matches!(store.put_file("../b", &file, |_| ()).await, Err(ObjectError::BadKey { .. })));
}

async fn holds_to_the_limit(store: &ObjectStore) {
    store.put("ten", Bytes::from_static(b"0123456789")).await.unwrap();
    let whole = store.read("ten", 10).await.unwrap().read_to_end().await.unwrap();
    assert_eq!(whole.len(), 10);
    let error = store.read("ten", 9).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ObjectError::TooLarge { max_bytes: 9, .. }), "{error:?}");
    assert!(!error.is_transient());
}

async fn keeps_unusual_keys(store: &ObjectStore) {
    let mut expected = [
        "with space",
        "plus+and%20percent",
        "a&b=c?d#e",
        "été/日本.gz",
        "quote'\"<>",
        "..dots..",
        ".hidden",
        "tilde~!*()",
        "semi;colon:",
        "UPPER",
        "a=b/c@d",
        "100%",
    ];
    for key in expected {
        store.put(key, Bytes::from(key)).await.unwrap();
    }
    expected.sort_unstable();
    assert_eq!(keys(store).await, expected);
    for key in expected {
        assert_eq!(read(store, key).await, key);
    }
}

async fn refuses_bad_keys(store: &ObjectStore) {
    for key in ["", "/etc/passwd", "../out", "a/../../out", "a//b", "a/", ".", "a\nb", "a\0b"] {
        let put = store.put(key, Bytes::from_static(b"x")).await.unwrap_err();
        let results = [
            put,
            store.read(key, ANY_SIZE).await.map(|_| ()).unwrap_err(),
            store.head(key).await.map(|_| ()).unwrap_err(),
            store.delete(key).await.unwrap_err(),
        ];
        for error in results {
            assert!(matches!(error, ObjectError::BadKey { .. }), "{key:?}: {error:?}");
        }
    }
    assert_eq!(keys(store).await, [""; 0]);
}

async fn lists_by_the_bytes_of_keys(store: &ObjectStore) {
    let mut expected = ["a/x", "a/b/c", "a/c.d", "B", "é", "z", "ab", "b/c-d/e"];
    for key in expected {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    expected.sort_unstable();
    assert_eq!(keys(store).await, expected);
    for after in ["A", "B", "a/a", "a/b/c", "a/x", "b/", "b/c-d/e", "b/c~", "zz", "\u{10ffff}"] {
        let listed = store.list_page(Some(after)).await.unwrap();
        let listed: Vec<_> = listed.objects.iter().map(|object| object.key.as_str()).collect();
        let behind: Vec<_> = expected.into_iter().filter(|key| *key > after).collect();
        assert_eq!(listed, behind, "after {after}");
    }
}

async fn lists_every_object_once(store: &ObjectStore) {
    let mut expected = BTreeMap::new();
    for n in 0..2 * PAGE + 345 {
        let key = match n % 5 {
            0 => format!("2026-{:02}/{n:05}.gz", n % 12),
            1 => format!("flat-{n:05}"),
            2 => format!("deep/{}/{}/{n}", n % 7, n % 6),
            // Names around that of a folder: `deep-` and `deep.` sort before `deep/`.
            3 => format!("deep-{n}"),
            _ => format!("deep.{n}/x"),
        };
        expected.insert(key, n % 10);
    }
    put_all(store, &expected).await;
    let (mut listed, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = store.list_page(after.as_deref()).await.unwrap();
        assert!(page.objects.len() <= PAGE && page.objects.is_sorted_by_key(|object| &object.key));
        assert_eq!(page.skipped, 0);
        listed.extend(page.objects.into_iter().map(|object| (object.key, object.size_bytes)));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = expected.into_iter().map(|(key, size)| (key, size as u64)).collect();
    listed.sort_unstable();
    assert!(listed == expected, "{} of {}", listed.len(), expected.len());
    assert_eq!(pages, 3);
}

async fn says_when_a_full_page_is_the_last(store: &ObjectStore) {
    let expected = (0..PAGE).map(|n| (format!("{n:04}"), 1)).collect();
    put_all(store, &expected).await;
    let page = store.list_page(None).await.unwrap();
    assert_eq!((page.objects.len(), page.next), (PAGE, None));
    let page = store.list_page(Some("0000")).await.unwrap();
    assert_eq!((page.objects.len(), page.next), (PAGE - 1, None));
}

async fn writes_whole_objects_only(store: &ObjectStore) {
    let bodies: Vec<Bytes> = (0..8).map(|n| Bytes::from(vec![n; 300_000])).collect();
    store.put("contested", bodies[0].clone()).await.unwrap();
    let mut writers = JoinSet::new();
    for body in bodies.clone() {
        let store = store.clone();
        writers.spawn(async move { store.put("contested", body).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap().unwrap();
        let found = store.read("contested", ANY_SIZE).await.unwrap().read_to_end().await.unwrap();
        assert!(bodies.contains(&found));
    }
    assert_eq!(keys(store).await, ["contested"]);
}

async fn keeps_to_its_own_part(outer: &ObjectStore, inner: &ObjectStore, other: &ObjectStore) {
    inner.put("a", Bytes::from_static(b"inner")).await.unwrap();
    other.put("a", Bytes::from_static(b"other")).await.unwrap();
    assert_eq!(keys(inner).await, ["a"]);
    assert_eq!(keys(other).await, ["a"]);
    assert_eq!(keys(outer).await, ["inner-2/a", "inner/a"]);
    assert_eq!(read(inner, "a").await, "inner");
    inner.delete("a").await.unwrap();
    assert_eq!(keys(outer).await, ["inner-2/a"]);
}

/// Puts objects of the given sizes, several at once.
async fn put_all(store: &ObjectStore, sizes: &BTreeMap<String, usize>) {
    let mut writers = JoinSet::new();
    for (key, size) in sizes {
        if writers.len() == PUTS_AT_ONCE {
            writers.join_next().await.unwrap().unwrap();
        }
        let (store, key, body) = (store.clone(), key.clone(), Bytes::from(vec![b'x'; *size]));
        writers.spawn(async move { store.put(&key, body).await.unwrap() });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
}

pub(crate) async fn keys(store: &ObjectStore) -> Vec<String> {
    let page = store.list_page(None).await.unwrap();
    assert_eq!(page.next, None);
    page.objects.into_iter().map(|object| object.key).collect()
}

pub(crate) async fn read(store: &ObjectStore, key: &str) -> String {
    let body = store.read(key, ANY_SIZE).await.unwrap().read_to_end().await.unwrap();
    String::from_utf8(body.into()).unwrap()
}

/// S3's header tells whole seconds, its listing more.
fn to_seconds(objects: &[ObjectInfo]) -> Vec<(&str, u64, i64)> {
    objects.iter().map(|o| (o.key.as_str(), o.size_bytes, o.modified_at.as_seconds())).collect()
}

/// Bytes that no part of them repeats soon.
pub(crate) fn noise(len: u64) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
