//! Recordings: every case of stored bytes, and names that nothing takes twice.

use database::EngineKind;
use models::recordings::{self, Recording, StoredObject, Wanted};
use models::{Project, projects};
use serde_json::Value;
use values::{Month, ProjectId, RecordingId, StreamId, Timestamp};

use crate::support::{Store, account_id, now, project, project_id, stream_id};

const CASES: &str = include_str!("../../../billing/tests/cases/storage.json");

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| text.parse().unwrap())
}

/// Stores one recording of a case; `number` makes its id and key.
async fn store_one(store: &Store, case: &Value, number: u8, stream: StreamId, project: ProjectId) {
    let at = time(&case["date"]).unwrap();
    let recording = Recording {
        id: RecordingId::from_bytes([number; 16]),
        stream_id: stream,
        project_id: project,
        name: case["name"].as_str().unwrap().to_owned(),
        object_key: format!("cines/{number}.mp4"),
        poster_key: None,
        source_sha256: None,
        size_bytes: case["size"].as_u64(),
        duration_ms: None,
        recorded_at: None,
        reserved_at: at,
        catalogued_at: Some(at),
        deleted_at: None,
    };
    let mut work = store.begin().await;
    assert!(recordings::adopt(&mut work.tx(), &recording).await.unwrap());
    if let Some(deleted_at) = time(&case["deletedAt"]) {
        recordings::delete(&mut work.tx(), recording.id, deleted_at).await.unwrap();
    }
    work.commit().await.unwrap();
}

async fn every_case_stores_the_bytes_it_says(engine: EngineKind) {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let store = Store::new(engine).await;
        store.customer(1, 1..2).await;
        store.customer(2, 2..3).await;
        let mut number = 0;
        for recording in case["recordings"].as_array().unwrap_or(&Vec::new()) {
            number += 1;
            store_one(&store, recording, number, stream_id(1), project_id(1)).await;
        }
        for (at, given) in case["projects"].as_array().unwrap_or(&Vec::new()).iter().enumerate() {
            let owner = if given["owned"] == false { 2 } else { 1 };
            let row = Project {
                deleted_at: time(&given["deletedAt"]),
                ..project(10 + at as u128, owner)
            };
            let mut work = store.begin().await;
            projects::upsert_many(&mut work.tx(), std::slice::from_ref(&row)).await.unwrap();
            work.commit().await.unwrap();
            let streams = given["streams"].as_array().unwrap();
            for recording in streams.iter().flat_map(|s| s["recordings"].as_array().unwrap()) {
                number += 1;
                store_one(&store, recording, number, stream_id(owner), row.id).await;
            }
        }
        let month: Month = case["month"].as_str().unwrap().parse().unwrap();
        let found = recordings::stored_bytes(&store.db, account_id(1), month).await.unwrap();
        let (id, expected) = (&case["id"], &case["expect"]);
        assert_eq!(found, u128::from(expected["bytes"].as_u64().unwrap()), "{id}");
        let found = recordings::stored_now(&store.db, account_id(1)).await.unwrap();
        assert_eq!(found, u128::from(expected["bytesStoredNow"].as_u64().unwrap()), "{id}");
    }
}

fn wanted(number: u8, sha256: u8) -> Wanted {
    Wanted {
        id: RecordingId::from_bytes([number; 16]),
        stream_id: stream_id(1),
        project_id: project_id(1),
        folder: "cines/key".to_owned(),
        stem: "cam".to_owned(),
        source_sha256: vec![sha256; 32],
        duration_ms: Some(5),
        recorded_at: Some(now()),
    }
}

async fn a_name_is_given_once_and_a_file_has_one_row(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let mut names = Vec::new();
    for (number, sha256) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
        let mut work = store.begin().await;
        let row = recordings::reserve(&mut work.tx(), &wanted(number, sha256), now()).await;
        work.commit().await.unwrap();
        names.push(row.unwrap().name);
    }
    assert_eq!(names, ["cam.mp4", "cam-2.mp4", "cam.mp4", "cam-3.mp4"]);
    // What is reserved does not count; what is catalogued counts once, with its first time.
    let month = now().month();
    assert_eq!(recordings::stored_bytes(&store.db, account_id(1), month).await.unwrap(), 0);
    for size_bytes in [7, 9] {
        let object = StoredObject { size_bytes, poster_key: None };
        let mut work = store.begin().await;
        let id = RecordingId::from_bytes([1; 16]);
        recordings::catalogue(&mut work.tx(), id, &object, now()).await.unwrap();
        work.commit().await.unwrap();
    }
    assert_eq!(recordings::stored_bytes(&store.db, account_id(1), month).await.unwrap(), 7);
}

/// Fault 28: numbers are counted per name, whatever else begins with it, and beyond nine.
async fn a_name_is_numbered_by_itself(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let reserve = async |number: u8, stem: &str| {
        let wanted = Wanted { stem: stem.to_owned(), ..wanted(number, number) };
        let mut work = store.begin().await;
        let row = recordings::reserve(&mut work.tx(), &wanted, now()).await.unwrap();
        work.commit().await.unwrap();
        row.name
    };
    for (number, stem) in [(100, "camera"), (101, "cam-9"), (102, "cam_2"), (103, "cam.7")] {
        assert_eq!(reserve(number, stem).await, format!("{stem}.mp4"));
    }
    for number in 1..=12 {
        let expected = match number {
            1 => "cam.mp4".to_owned(),
            // That name has another file.
            9.. => format!("cam-{}.mp4", number + 1),
            _ => format!("cam-{number}.mp4"),
        };
        assert_eq!(reserve(number, "cam").await, expected);
    }
}

async fn two_at_once_get_one_row_for_one_file(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let reserve = async |number| {
        let mut work = store.begin().await;
        let row = recordings::reserve(&mut work.tx(), &wanted(number, 1), now()).await.unwrap();
        work.commit().await.unwrap();
        row.id
    };
    let (one, two) = tokio::join!(reserve(1), reserve(2));
    assert_eq!(one, two);
}

testkit::on_each_engine!(
    every_case_stores_the_bytes_it_says,
    a_name_is_given_once_and_a_file_has_one_row,
    a_name_is_numbered_by_itself,
    two_at_once_get_one_row_for_one_file,
);
