//! `archival/archive_recording`: from a recorder's file to a stored MP4, once whatever happens.

use contract::archival::AnnounceRecording;
use database::{EngineKind, Query};
use job::JobError;
use serde_json::json;
use testkit::Cut;

use super::ground::{ARCHIVE, DELETE, Ground, make, of_file, probed};

const FLV: &str = "cam.20261031T220000.flv";
const KEY: &str = "cines/key1/cam.20261031T220000";

async fn a_recording_of_each_kind_becomes_an_mp4_with_its_index_in_front(engine: EngineKind) {
    let ground = Ground::new(engine, "").await;
    let made = tempfile::tempdir().unwrap();
    for (number, name) in ["a.flv", "b.mp4", "c.ts"].into_iter().enumerate() {
        let file = make(made.path(), name, &[]);
        let recorded = format!("cam.{number}.{}", name.rsplit('.').next().unwrap());
        let payload = ground.record(&recorded, &file);
        let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
        assert_eq!(done.result["state"], "archived");
        assert_eq!(done.follow_ups_of::<AnnounceRecording>().len(), 1);

        let stored = ground.folder().join(format!("store/cines/key1/cam.{number}.mp4"));
        let bytes = std::fs::read(&stored).unwrap();
        let place = |word: &[u8]| bytes.windows(4).position(|found| found == word).unwrap();
        assert!(place(b"moov") < place(b"mdat"), "the index of {name} is not in front");
        let said = probed(&stored);
        let kinds: Vec<_> =
            said["streams"].as_array().unwrap().iter().map(|s| &s["codec_name"]).collect();
        assert_eq!(kinds, ["h264", "aac"]);
        let seconds: f64 = said["format"]["duration"].as_str().unwrap().parse().unwrap();
        assert!((1.9..2.2).contains(&seconds), "{seconds}");

        let poster = ground.folder().join(format!("store/cines/key1/cam.{number}.jpg"));
        assert_eq!(probed(&poster)["streams"][0]["width"], 640);
        let sql = "SELECT size_bytes, duration_ms FROM recording WHERE object_key = $1";
        let key = format!("cines/key1/cam.{number}.mp4");
        let row = ground.db.first(Query::new(sql).bind(key)).await.unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), i64::try_from(bytes.len()).unwrap());
        assert!((1_900..2_200).contains(&row.get::<i64>(1).unwrap()));
    }
    assert!(ground.files("recordings").is_empty() && ground.files("work").is_empty());
}

/// Fault 25: retried at any step, there is one entry and nothing is lost.
async fn an_attempt_cut_at_every_step_and_repeated_leaves_what_an_undisturbed_one_leaves(
    engine: EngineKind,
) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let undisturbed = {
        let ground = Ground::new(engine, "").await;
        ground.run_json(ARCHIVE, &ground.record(FLV, &file)).await.unwrap();
        ground.everything().await
    };
    assert!(undisturbed.contains(&format!("{KEY}.mp4")), "{undisturbed}");
    for cut in [Cut::DiesAt as fn(usize) -> Cut, Cut::CancelledAt] {
        let ground = Ground::new(engine, "").await;
        let payload = ground.record(FLV, &file);
        let mut steps = 0;
        for at in 1.. {
            match ground.attempt_json(ARCHIVE, &payload, cut(at)).await {
                None | Some(Err(JobError::Cancelled)) => steps = at,
                Some(Ok(_)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
            // The file stays until its recording is catalogued.
            let catalogued = "SELECT count(*) FROM recording WHERE catalogued_at IS NOT NULL";
            let is_catalogued = ground.number(catalogued).await == 1;
            assert!(is_catalogued || ground.recorded(FLV).exists());
        }
        assert!(steps >= 2, "{steps} steps are too few to be cut between");
        // All is done, and the process dies before it settles; then the same task twice.
        for _ in 0..2 {
            let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
            assert_eq!(done.result["state"], "archived");
        }
        assert_eq!(ground.everything().await, undisturbed);
    }
}

async fn each_step_cut_on_its_own_is_mended_by_one_repeat(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, "").await;
    ground.run_json(ARCHIVE, &ground.record(FLV, &file)).await.unwrap();
    let undisturbed = ground.everything().await;
    for at in 1..40 {
        let ground = Ground::new(engine, "").await;
        let payload = ground.record(FLV, &file);
        let cut = ground.attempt_json(ARCHIVE, &payload, Cut::DiesAt(at)).await;
        ground.run_json(ARCHIVE, &payload).await.unwrap();
        assert_eq!(ground.everything().await, undisturbed, "cut at {at}");
        if cut.is_some() {
            assert!(at > 7, "{at} steps are too few");
            return;
        }
    }
    panic!("the steps do not end");
}

async fn two_attempts_at_once_store_one_recording(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, "").await;
    let payload = ground.record(FLV, &file);
    let (one, two) =
        tokio::join!(ground.run_json(ARCHIVE, &payload), ground.run_json(ARCHIVE, &payload));
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(ground.number("SELECT count(*) FROM recording").await, 1);
    let expected = [format!("{KEY}.jpg"), format!("{KEY}.mp4")];
    assert_eq!(ground.files("store"), expected);
    assert!(ground.files("recordings").is_empty() && ground.files("work").is_empty());
}

/// What an attempt does whose lease was lost is left alone until its process has ended.
async fn an_attempt_that_finds_another_at_work_touches_nothing(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, "").await;
    std::fs::copy(&file, ground.folder().join("incoming/x.flv")).unwrap();
    let object = json!({ "object": "x.flv", "streamName": "cam" });
    for payload in [ground.record(FLV, &file), object] {
        forget_tasks(&ground).await;
        let lock = format!("work/.main-worker-{}.lock", values::TaskId::from_bytes([9; 16]));
        let lock = ground.folder().join(lock);
        let other = std::fs::File::create(&lock).unwrap();
        other.lock().unwrap();
        let before = ground.everything().await;
        let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
        assert!(error.chain().contains("another attempt is at work"), "{error}");
        assert_eq!(ground.everything().await, before);
        // The process dies, and leaves the file.
        drop(other);
        let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
        assert_eq!(done.result["state"], "archived");
        assert!(ground.files("recordings").is_empty() && ground.files("work").is_empty());
    }
}

async fn the_same_file_handed_over_again_is_one_recording_and_another_gets_a_suffix(
    engine: EngineKind,
) {
    let made = tempfile::tempdir().unwrap();
    let ground = Ground::new(engine, "").await;
    let (first, second) = (
        make(made.path(), "a.flv", &[]),
        make(made.path(), "b.flv", &["-metadata", "title=another"]),
    );
    ground.run_json(ARCHIVE, &ground.record("cam.flv", &first)).await.unwrap();
    forget_tasks(&ground).await;
    // The media host did not notice that it was taken, and hands it over again.
    ground.run_json(ARCHIVE, &ground.record("cam.flv", &first)).await.unwrap();
    assert_eq!(ground.number("SELECT count(*) FROM recording").await, 1);
    assert!(ground.files("recordings").is_empty());
    forget_tasks(&ground).await;
    // The recorder uses the name again for the next recording.
    ground.run_json(ARCHIVE, &ground.record("cam.flv", &second)).await.unwrap();
    let names = ["cam-2.jpg", "cam-2.mp4", "cam.jpg", "cam.mp4"];
    assert_eq!(ground.files("store/cines/key1"), names);

    // What the customer deleted does not come back.
    let id = ground.db.first(Query::new("SELECT id FROM recording WHERE name = 'cam.mp4'"));
    let id: values::RecordingId = id.await.unwrap().unwrap().get(0).unwrap();
    ground.run_json(DELETE, &json!({ "recordingId": id })).await.unwrap();
    forget_tasks(&ground).await;
    ground.run_json(ARCHIVE, &ground.record("cam.flv", &first)).await.unwrap();
    assert_eq!(ground.files("store/cines/key1"), names[..2]);
    assert!(ground.files("recordings").is_empty());
}

/// A backup of the file brings back what is missing in the store, and counts as it did.
async fn the_same_file_brings_back_an_object_that_is_missing(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, "").await;
    ground.run_json(ARCHIVE, &ground.record(FLV, &file)).await.unwrap();
    let undisturbed = ground.everything().await;
    let counted = "SELECT catalogued_at FROM recording";
    let since = ground.number(counted).await;
    let mp4 = ground.folder().join(format!("store/{KEY}.mp4"));
    let bytes = std::fs::read(&mp4).unwrap();
    for is_new_task in [true, false] {
        if is_new_task {
            forget_tasks(&ground).await;
        } else {
            // An attempt ended between the catalogue and the end of its task.
            let update = "UPDATE archive SET state = 'working'";
            ground.db.execute(Query::new(update)).await.unwrap();
        }
        std::fs::remove_file(&mp4).unwrap();
        let done = ground.run_json(ARCHIVE, &ground.record(FLV, &file)).await.unwrap();
        assert_eq!(done.result["state"], "archived");
        assert_eq!(std::fs::read(&mp4).unwrap(), bytes);
        assert_eq!(ground.everything().await, undisturbed);
        assert_eq!(ground.number(counted).await, since);
    }
    // Somebody put something else in its place: the file stays until a person has looked.
    std::fs::write(&mp4, "cut off").unwrap();
    forget_tasks(&ground).await;
    let payload = ground.record(FLV, &file);
    let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
    assert!(error.chain().contains("7 bytes in the store"), "{error}");
    assert!(ground.recorded(FLV).exists());
    std::fs::remove_file(&mp4).unwrap();
    ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(ground.everything().await, undisturbed);
}

/// Has the next task begin as one that knows nothing of the others.
async fn forget_tasks(ground: &Ground) {
    ground.db.execute(Query::new("DELETE FROM archive")).await.unwrap();
}

/// Fault 28: no name is matched by its beginning.
async fn names_lead_to_streams_the_exact_one_first(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, "").await;
    for name in ["cam_1234.flv", "cam_9999.flv", "camera.1.flv"] {
        forget_tasks(&ground).await;
        ground.run_json(ARCHIVE, &ground.record(name, &file)).await.unwrap();
    }
    let sql = "SELECT s.name || ' ' || r.name FROM recording r JOIN stream s ON s.id = r.stream_id
      ORDER BY 1";
    let rows = ground.db.all(Query::new(sql)).await.unwrap();
    let rows: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(rows, ["cam cam_9999.mp4", "cam_1234 cam_1234.mp4", "camera camera.1.mp4"]);
}

async fn keep_or_delete_is_decided_once(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, "").await;
    let dropped = ground.record("off.flv", &file);
    let done = ground.run_json(ARCHIVE, &dropped).await.unwrap();
    assert_eq!(done.result["state"], "dropped");
    assert!(ground.files("recordings").is_empty() && ground.files("store").is_empty());

    // Switched off between two attempts, it is still kept.
    let kept = ground.record("cam.flv", &file);
    let mut at = 2;
    while ground.attempt_json(ARCHIVE, &kept, Cut::DiesAt(at)).await.is_some() {
        at += 1;
    }
    ground.set_recorded(&["cam"], false).await;
    let done = ground.run_json(ARCHIVE, &kept).await.unwrap();
    assert_eq!(done.result["state"], "archived");
}

async fn an_object_of_the_shared_store_is_archived_and_removed(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, "").await;
    std::fs::create_dir(ground.folder().join("incoming/m1")).unwrap();
    std::fs::copy(&file, ground.folder().join("incoming/m1/x.flv")).unwrap();
    let payload = json!({ "object": "m1/x.flv", "streamName": "cam" });
    let cut = ground.attempt_json(ARCHIVE, &payload, Cut::DiesAt(5)).await;
    assert!(cut.is_none());
    ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(ground.files("store/cines/key1"), ["x.jpg", "x.mp4"]);
    assert!(ground.files("incoming").is_empty() && ground.files("work").is_empty());
    // A second task about it finds that all is done.
    let update = "UPDATE archive SET task_id = $1";
    ground.db.execute(Query::new(update).bind(vec![7_u8; 16])).await.unwrap();
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result, json!({ "skipped": "already_archived" }));
}

async fn a_file_that_is_nowhere_is_for_a_person(engine: EngineKind) {
    let ground = Ground::new(engine, "").await;
    let error = ground.run_json(ARCHIVE, &of_file(&ground.recorded("cam.flv"))).await.unwrap_err();
    assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
    assert!(error.chain().contains("never archived"), "{error}");
}

testkit::on_each_engine!(
    a_recording_of_each_kind_becomes_an_mp4_with_its_index_in_front,
    an_attempt_cut_at_every_step_and_repeated_leaves_what_an_undisturbed_one_leaves,
    each_step_cut_on_its_own_is_mended_by_one_repeat,
    two_attempts_at_once_store_one_recording,
    an_attempt_that_finds_another_at_work_touches_nothing,
    the_same_file_handed_over_again_is_one_recording_and_another_gets_a_suffix,
    the_same_file_brings_back_an_object_that_is_missing,
    names_lead_to_streams_the_exact_one_first,
    keep_or_delete_is_decided_once,
    an_object_of_the_shared_store_is_archived_and_removed,
    a_file_that_is_nowhere_is_for_a_person,
);
