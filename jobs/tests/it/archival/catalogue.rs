//! Deleting recordings, and comparing the store with the catalogue.

use contract::archival::ReconcileRecordings;
use database::{EngineKind, Query};
use job::JobError;
use models::recordings;
use serde_json::json;
use testkit::Cut;
use values::{AccountId, ProjectId, RecordingId};

use super::ground::{ARCHIVE, DELETE, Ground, RECONCILE, make};

const LIVE: &str = "SELECT count(*) FROM recording WHERE deleted_at IS NULL";

async fn archived(engine: EngineKind) -> (Ground, RecordingId) {
    let made = tempfile::tempdir().unwrap();
    let ground = Ground::new(engine, "").await;
    let payload = ground.record("cam.flv", &make(made.path(), "a.flv", &[]));
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    let id = serde_json::from_value(done.result["recordingId"].clone()).unwrap();
    (ground, id)
}

async fn project(ground: &Ground) -> ProjectId {
    let row = ground.db.first(Query::new("SELECT id FROM project")).await.unwrap();
    row.unwrap().get(0).unwrap()
}

/// Fault 26: what was deleted keeps its row.
async fn a_deleted_recording_has_no_object_and_keeps_its_row(engine: EngineKind) {
    let (ground, id) = archived(engine).await;
    let payload = json!({ "recordingId": id });
    // Cut between the deletion of the object and the mark.
    for at in 1..=2 {
        assert!(ground.attempt_json(DELETE, &payload, Cut::DiesAt(at)).await.is_none());
        assert_eq!(ground.number(LIVE).await, 1);
    }
    ground.run_json(DELETE, &payload).await.unwrap();
    assert!(ground.files("store").is_empty());
    assert_eq!(ground.number(LIVE).await, 0);
    assert_eq!(ground.number("SELECT count(*) FROM recording").await, 1);
    let deleted_at = ground.number("SELECT deleted_at FROM recording").await;
    let done = ground.run_json(DELETE, &payload).await.unwrap();
    assert_eq!(done.result, json!({ "skipped": "already_deleted" }));
    assert_eq!(ground.number("SELECT deleted_at FROM recording").await, deleted_at);

    let unknown = json!({ "recordingId": RecordingId::from_bytes([5; 16]) });
    let error = ground.run_json(DELETE, &unknown).await.unwrap_err();
    assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
}

/// Fault 26: rows of deleted recordings stay as they are, and so do the months they count in.
async fn objects_without_a_row_are_adopted_once_and_rows_without_an_object_reported(
    engine: EngineKind,
) {
    let (ground, id) = archived(engine).await;
    let folder = ground.folder().join("store/cines/key1");
    std::fs::write(folder.join("cam.7.mp4"), "old object").unwrap();
    std::fs::write(folder.join("nobody.mp4"), "whose?").unwrap();
    std::fs::write(folder.join("cam.young.mp4"), "an upload that goes on").unwrap();
    // The clock of the test stands still; files get times around it.
    let now = crate::harness::now().as_seconds();
    for (name, hours) in [("cam.7.mp4", 25), ("nobody.mp4", 25), ("cam.young.mp4", 1)] {
        let at = std::time::UNIX_EPOCH
            + std::time::Duration::from_secs(u64::try_from(now - hours * 3_600).unwrap());
        std::fs::File::open(folder.join(name)).unwrap().set_modified(at).unwrap();
    }
    let all = ground.run_json(RECONCILE, &json!({})).await.unwrap();
    let asked: Vec<ReconcileRecordings> = all.follow_ups_of();
    assert_eq!(
        asked,
        [ReconcileRecordings { project_id: Some(project(&ground).await), after: None }]
    );
    let payload = json!({ "projectId": project(&ground).await });
    for adopted in [1, 0] {
        let done = ground.run_json(RECONCILE, &payload).await.unwrap();
        assert_eq!(done.result["adopted"], adopted);
        assert_eq!(done.result["unknownKeys"], json!(["cines/key1/nobody.mp4"]));
        assert_eq!(done.result["missing"], 0);
    }
    let sizes = "SELECT CAST(sum(size_bytes) AS BIGINT) FROM recording WHERE name = 'cam.7.mp4'
      AND catalogued_at IS NOT NULL";
    assert_eq!(ground.number(sizes).await, 10);

    std::fs::remove_file(folder.join("cam.mp4")).unwrap();
    let done = ground.run_json(RECONCILE, &payload).await.unwrap();
    assert_eq!(done.result["missingKeys"], json!(["cines/key1/cam.mp4"]));
    assert_eq!(ground.number(LIVE).await, 2);

    // A deleted recording is neither missing nor adopted, whatever lies in its place, and counts in
    // the months before its deletion.
    let month = crate::harness::now().month();
    let account = ground.db.first(Query::new("SELECT id FROM account")).await.unwrap().unwrap();
    let account: AccountId = account.get(0).unwrap();
    let stored = async || recordings::stored_bytes(&ground.db, account, month).await.unwrap();
    let bytes = stored().await;
    assert!(bytes > 10, "{bytes}");
    // By then the upload that goes on is none.
    std::fs::remove_file(folder.join("cam.young.mp4")).unwrap();
    ground.clock.set(month.end());
    ground.run_json(DELETE, &json!({ "recordingId": id })).await.unwrap();
    std::fs::copy(folder.join("cam.7.mp4"), folder.join("cam.mp4")).unwrap();
    let before = ground.number("SELECT deleted_at FROM recording WHERE name = 'cam.mp4'").await;
    let done = ground.run_json(RECONCILE, &payload).await.unwrap();
    assert_eq!((&done.result["missing"], &done.result["adopted"]), (&json!(0), &json!(0)));
    let after = ground.number("SELECT deleted_at FROM recording WHERE name = 'cam.mp4'").await;
    assert_eq!((after, stored().await), (before, bytes));
}

/// What a person has asked to be deleted is not reported while that goes on.
async fn a_recording_whose_deletion_is_under_way_is_not_missing(engine: EngineKind) {
    let (ground, id) = archived(engine).await;
    let payload = json!({ "projectId": project(&ground).await });
    let mut at = 1;
    while ground.files("store").contains(&"cines/key1/cam.mp4".to_owned()) {
        let cut = Cut::DiesAt(at);
        assert!(ground.attempt_json(DELETE, &json!({ "recordingId": id }), cut).await.is_none());
        at += 1;
    }
    assert_eq!(ground.number(LIVE).await, 1, "its row is not marked yet");
    let done = ground.run_json(RECONCILE, &payload).await.unwrap();
    assert_eq!(done.result["missing"], 0);
    ground.run_json(DELETE, &json!({ "recordingId": id })).await.unwrap();
    assert_eq!(ground.number(LIVE).await, 0);
}

async fn a_store_that_is_not_there_is_no_report_of_missing_objects(engine: EngineKind) {
    let (ground, _) = archived(engine).await;
    std::fs::remove_dir_all(ground.folder().join("store")).unwrap();
    let payload = json!({ "projectId": project(&ground).await });
    let error = ground.run_json(RECONCILE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
}

testkit::on_each_engine!(
    a_deleted_recording_has_no_object_and_keeps_its_row,
    objects_without_a_row_are_adopted_once_and_rows_without_an_object_reported,
    a_recording_whose_deletion_is_under_way_is_not_missing,
    a_store_that_is_not_there_is_no_report_of_missing_objects,
);
