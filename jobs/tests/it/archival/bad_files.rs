//! Files that must be put aside or refused, and programs that fail.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use database::{EngineKind, Query};
use job::JobError;
use serde_json::json;
use testkit::Cut;

use super::ground::{ARCHIVE, Ground, make, of_file};

async fn broken_files_are_put_aside_with_a_reason(engine: EngineKind) {
    let ground = Ground::new(engine, "").await;
    // A playlist would have the file beside it read in its name.
    std::fs::write(ground.recorded("secret.ts"), "secret").unwrap();
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n";
    let long = format!("cam.{}.flv", "é".repeat(120));
    let cases: [(&str, &[u8], &str); 5] = [
        ("cam.1.flv", b"", "the file is empty"),
        ("cam.2.flv", b"this is no video at all", "Invalid data"),
        ("cam.3\n-i\u{1f3a5}.mp4", b"\0\0\0\x20ftypisom", ""),
        ("cam.m3u8", playlist.as_bytes(), ""),
        (&long, b"FLV\x01\x05", ""),
    ];
    for (name, body, reason) in cases {
        let path = ground.recorded(name);
        std::fs::write(&path, body).unwrap();
        let done = ground.run_json(ARCHIVE, &of_file(&path)).await.unwrap();
        assert_eq!(done.result["state"], "quarantined", "{name}: {:?}", done.result);
        let told = done.result["reason"].as_str().unwrap();
        assert!(told.contains(reason) && !told.is_empty(), "{name}: {told}");
        assert!(!path.exists() && done.follow_ups.is_empty());
    }
    // Each has its file and its reason.
    let aside = ground.files("recordings/quarantine");
    assert_eq!(aside.len(), 10, "{aside:?}");
    assert_eq!(aside.iter().filter(|name| name.ends_with(".reason.txt")).count(), 5);
    assert!(ground.files("store").is_empty() && ground.files("work").is_empty());
    assert_eq!(ground.number("SELECT count(*) FROM recording").await, 0);
}

/// Fault 25: names that a shell would take apart.
async fn hostile_names_are_names(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let ground = Ground::new(engine, "").await;
    let long = format!("cam.{}.flv", "x".repeat(247));
    let names = [
        ("cam.$(touch owned).flv", "cam.$(touch owned).mp4"),
        ("cam.;rm -rf *;.flv", "cam.;rm -rf *;.mp4"),
        ("cam.-y -i 'x'.flv", "cam.-y -i 'x'.mp4"),
        ("cam.a\nb\tc.flv", "cam.a_b_c.mp4"),
        ("cam.🎥%20é.flv", "cam.🎥%20é.mp4"),
        ("cam.%d.concat:x|y.flv", "cam.%d.concat:x|y.mp4"),
        (&long, &format!("cam.{}.mp4", "x".repeat(196))),
    ];
    for (number, (name, stored)) in names.into_iter().enumerate() {
        // The same bytes would be the same recording.
        let (own, title) = (format!("{number}.flv"), format!("title={number}"));
        let file = make(made.path(), &own, &["-metadata", &title]);
        let payload = ground.record(name, &file);
        let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
        assert_eq!(done.result["state"], "archived", "{name}: {:?}", done.result);
        assert!(ground.folder().join("store/cines/key1").join(stored).exists(), "{name}");
    }
    assert!(ground.files("recordings").is_empty() && ground.files("work").is_empty());
}

async fn putting_aside_cut_at_every_step_ends_the_same(engine: EngineKind) {
    let undisturbed = {
        let ground = Ground::new(engine, "").await;
        std::fs::write(ground.recorded("cam.flv"), "no video").unwrap();
        ground.run_json(ARCHIVE, &of_file(&ground.recorded("cam.flv"))).await.unwrap();
        ground.everything().await
    };
    let ground = Ground::new(engine, "").await;
    let payload = of_file(&ground.recorded("cam.flv"));
    std::fs::write(ground.recorded("cam.flv"), "no video").unwrap();
    let mut at = 1;
    while ground.attempt_json(ARCHIVE, &payload, Cut::DiesAt(at)).await.is_none() {
        at += 1;
    }
    assert!(at > 2);
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "quarantined");
    assert_eq!(ground.everything().await, undisturbed);
}

/// Fault 25: no shell reads a path, and none leads out of the recorders' folders.
async fn requests_that_lead_elsewhere_are_refused_and_touch_nothing(engine: EngineKind) {
    let ground = Ground::new(engine, "").await;
    let secret = ground.folder().join("cam.flv");
    std::fs::write(&secret, "outside").unwrap();
    std::os::unix::fs::symlink(&secret, ground.recorded("cam.link.flv")).unwrap();
    std::fs::create_dir(ground.recorded("cam.folder")).unwrap();
    let long = ground.recorded(&"x".repeat(300));
    for (payload, told) in [
        (of_file(&secret), "none of the folders"),
        (of_file(&ground.recorded("../cam.flv")), "none of the folders"),
        (of_file(&ground.recorded("cam.link.flv")), "none of the folders"),
        (of_file(&ground.recorded("cam.folder")), "is not a file"),
        (of_file(&long), "never archived"),
        (json!({ "object": "../cam.flv" }), "cannot be the key"),
        (json!({ "object": "a\nb.flv" }), "cannot be the key"),
    ] {
        let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
        assert!(error.chain().contains(told), "{payload}: {error}");
    }
    assert_eq!(std::fs::read(&secret).unwrap(), b"outside");
}

async fn a_file_of_no_stream_is_a_dead_letter_and_stays(engine: EngineKind) {
    let ground = Ground::new(engine, "").await;
    std::fs::write(ground.recorded("nobody.flv"), "x").unwrap();
    let error = ground.run_json(ARCHIVE, &of_file(&ground.recorded("nobody.flv"))).await;
    let error = error.unwrap_err();
    assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
    assert!(error.chain().contains("no stream is known"), "{error}");
    assert!(ground.recorded("nobody.flv").exists());
}

/// Fault 25: a program that hangs is ended, and what it left is in nobody's way.
async fn a_program_that_hangs_crashes_or_has_no_disk_is_tried_again(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    for (script, told) in [
        ("sleep 60", "without a sign of life"),
        ("kill -KILL $$", "ended by signal 9"),
        // The real program under a limit on what it may write.
        ("ulimit -f 16; exec ffmpeg \"$@\"", ""),
        ("echo 'out.mp4: No space left on device' >&2; exit 228", "No space left on device"),
    ] {
        let program = made.path().join("failing");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let lines = format!("ffmpeg = '{}'\nprogram_silence = \"4s\"", program.display());
        let ground = Ground::new(engine, &lines).await;
        let payload = ground.record("cam.flv", &file);
        let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{script}: {error:?}");
        assert!(error.chain().contains(told), "{script}: {error}");
        assert!(ground.recorded("cam.flv").exists());
        // Mended, it goes on where it was.
        std::fs::write(&program, "#!/bin/sh\nexec ffmpeg \"$@\"\n").unwrap();
        let mended =
            tokio::time::timeout(Duration::from_mins(1), ground.run_json(ARCHIVE, &payload));
        assert_eq!(mended.await.unwrap().unwrap().result["state"], "archived");
        assert!(ground.files("work").is_empty(), "{:?}", ground.files("work"));
    }
}

/// Puts a program in ffmpeg's place; `$1` and so on are its arguments, `$out` the file it makes.
fn script(folder: &Path, lines: &str) -> String {
    let program = folder.join("in-its-place");
    let text = format!("#!/bin/sh\nfor out; do :; done\nout=${{out#file:}}\n{lines}\n");
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("ffmpeg = '{}'", program.display())
}

/// ffmpeg ends well when it cannot write the end of a file, which is then no recording.
async fn an_mp4_that_is_not_whole_is_never_stored(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, &script(made.path(), "")).await;
    let payload = ground.record("cam.flv", &file);
    for (lines, told) in [
        ("ffmpeg \"$@\"; truncate -s 65536 \"$out\"", "ends within a box"),
        ("ffmpeg \"$@\"; truncate -s -1 \"$out\"", "ends within a box"),
        ("ffmpeg \"$@\"; : > \"$out\"", "no index"),
        (
            "ffmpeg \"$@\"; ffmpeg -v error -i \"$out\" -c copy -f mp4 \"$out.2\"; mv \"$out.2\" \"$out\"",
            "no index in front",
        ),
        (
            "ffmpeg \"$@\"; echo \"Error writing trailer of $out: No space left on device\" >&2",
            "No space left",
        ),
        ("exec ffmpeg -t 0.5 \"$@\"", "packets of aac"),
        ("exec ffmpeg -an \"$@\"", "the stream aac is not in the MP4"),
        ("exec ffmpeg -vn \"$@\"", "the stream h264 is not in the MP4"),
    ] {
        script(made.path(), lines);
        let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{lines}: {error:?}");
        assert!(error.chain().contains(told), "{lines}: {error}");
        assert!(ground.recorded("cam.flv").exists());
        assert!(ground.files("store").is_empty() && ground.files("work").is_empty());
        assert_eq!(ground.number("SELECT count(*) FROM recording").await, 0);
    }
    script(made.path(), "exec ffmpeg \"$@\"");
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
}

/// Figures of recorders are estimates: what can be read of a file is archived.
async fn recordings_whose_figures_are_wrong_are_archived(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let ground = Ground::new(engine, "").await;
    let (flv, ts) = (make(made.path(), "a.flv", &[]), make(made.path(), "a.ts", &[]));
    let late = make(made.path(), "late.ts", &["-output_ts_offset", "3600"]);
    let late_flv = make(made.path(), "late.flv", &["-output_ts_offset", "3600"]);
    let late_mp4 = make(made.path(), "late.mp4", &["-output_ts_offset", "3600"]);
    // The recorder was cut off; the publisher began anew, with other times.
    let cut = std::fs::read(&flv).unwrap();
    std::fs::write(made.path().join("cut.flv"), &cut[..cut.len() / 2]).unwrap();
    let jump = [std::fs::read(&ts).unwrap(), std::fs::read(&late).unwrap()].concat();
    std::fs::write(made.path().join("jump.ts"), jump).unwrap();
    for (file, millis) in [
        (made.path().join("cut.flv"), 700..1_500),
        (made.path().join("jump.ts"), 3_900..4_300),
        (late, 1_900..2_200),
        (late_flv, 1_900..2_200),
        (late_mp4, 1_900..2_200),
    ] {
        let name = format!("cam.{}", file.file_name().unwrap().to_str().unwrap());
        let done = ground.run_json(ARCHIVE, &ground.record(&name, &file)).await.unwrap();
        assert_eq!(done.result["state"], "archived", "{name}: {:?}", done.result);
        ground.db.execute(Query::new("DELETE FROM archive")).await.unwrap();
        let sql = "SELECT duration_ms FROM recording WHERE id = $1";
        let id: values::RecordingId =
            serde_json::from_value(done.result["recordingId"].clone()).unwrap();
        let row = ground.db.first(Query::new(sql).bind(id)).await.unwrap().unwrap();
        assert!(millis.contains(&row.get::<i64>(0).unwrap()), "{name}");
    }
    // Its index names what was never copied here; more of it may come.
    let whole = make(made.path(), "front.mp4", &["-movflags", "+faststart"]);
    let whole = std::fs::read(whole).unwrap();
    std::fs::write(ground.recorded("cam.part.mp4"), &whole[..whole.len() / 3]).unwrap();
    let payload = of_file(&ground.recorded("cam.part.mp4"));
    let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
    assert!(error.chain().contains("not complete itself"), "{error}");
    std::fs::write(ground.recorded("cam.part.mp4"), whole).unwrap();
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
}

/// A machine that is broken is mended; its recordings are neither put aside nor given up.
async fn what_the_machine_cannot_do_is_tried_again(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let faults = [
        "Read-only file system",
        "Permission denied",
        "No such file or directory",
        "Input/output error",
        "Too many open files",
        "Disk quota exceeded",
        "Cannot allocate memory",
    ];
    let ground = Ground::new(engine, &script(made.path(), "")).await;
    let payload = ground.record("cam.flv", &file);
    let fails = async |why: &str| {
        let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{why}: {error:?}");
        assert!(error.chain().contains(why), "{why}: {}", error.chain());
    };
    for fault in faults {
        script(made.path(), &format!("echo \"$out: {fault}\" >&2; exit 1"));
        fails(fault).await;
    }
    std::fs::remove_file(made.path().join("in-its-place")).unwrap();
    fails("cannot be started").await;
    script(made.path(), "exec ffmpeg \"$@\"");
    for folder in ["work", "recordings", "store"] {
        let (place, away) = (ground.folder().join(folder), ground.folder().join("unmounted"));
        std::fs::rename(&place, &away).unwrap();
        fails(folder).await;
        std::fs::rename(&away, &place).unwrap();
    }
    // The MP4 is stored, and there is no room for its picture.
    let full = "case \"$*\" in *mjpeg*) echo \"$out: No space left on device\" >&2;; esac";
    script(made.path(), &format!("{full}; exec ffmpeg \"$@\""));
    fails("No space left on device").await;
    script(made.path(), "exec ffmpeg \"$@\"");
    assert_eq!(ground.files("recordings"), ["cam.flv"]);
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
    assert_eq!(ground.files("store"), ["cines/key1/cam.jpg", "cines/key1/cam.mp4"]);
}

/// A store that is away for hours costs one MP4, not one for each attempt.
async fn an_mp4_that_could_not_be_stored_is_not_made_again(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let times = made.path().join("times");
    let count = format!("case \"$*\" in *faststart*) echo >>'{}';; esac", times.display());
    let ffmpeg = script(made.path(), &format!("{count}; exec ffmpeg \"$@\""));
    let ground = Ground::new(engine, &ffmpeg).await;
    let payload = ground.record("cam.flv", &file);
    let (place, away) = (ground.folder().join("store"), ground.folder().join("unmounted"));
    std::fs::rename(&place, &away).unwrap();
    for _ in 0..3 {
        ground.run_json(ARCHIVE, &payload).await.unwrap_err();
    }
    std::fs::rename(&away, &place).unwrap();
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
    assert_eq!(std::fs::read_to_string(times).unwrap(), "\n", "made once");
}

/// What a recorder writes while an older file of that name is archived is the next recording.
async fn a_file_or_object_that_was_written_meanwhile_stays(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    // The same bytes would be the same recording.
    let title = |name: &str| make(made.path(), name, &["-metadata", &format!("title={name}")]);
    let ground = Ground::new(engine, &script(made.path(), "")).await;
    let object = ground.folder().join("incoming/cam.7.flv");
    std::fs::copy(title("c.flv"), &object).unwrap();
    for (place, payload, next) in [
        (ground.recorded("cam.flv"), ground.record("cam.flv", &title("a.flv")), title("b.flv")),
        (object, json!({ "object": "cam.7.flv" }), title("d.flv")),
    ] {
        ground.db.execute(Query::new("DELETE FROM archive")).await.unwrap();
        // While the picture is taken, the MP4 is in the store.
        let (from, to) = (next.display(), place.display());
        let meanwhile = format!("case \"$*\" in *mjpeg*) cp '{from}' '{to}';; esac");
        script(made.path(), &format!("{meanwhile}; exec ffmpeg \"$@\""));
        let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
        assert_eq!(done.result["state"], "archived");
        assert_eq!(std::fs::read(&place).unwrap(), std::fs::read(&next).unwrap());
        script(made.path(), "exec ffmpeg \"$@\"");
        ground.db.execute(Query::new("DELETE FROM archive")).await.unwrap();
        let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
        assert_eq!(done.result["state"], "archived");
        assert!(!place.exists());
    }
    assert_eq!(ground.number("SELECT count(*) FROM recording").await, 4);
    assert!(ground.files("work").is_empty(), "{:?}", ground.files("work"));
}

/// The file is removed last, and only if store and catalogue agree.
async fn what_store_and_catalogue_do_not_agree_on_keeps_the_file(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let file = make(made.path(), "a.flv", &[]);
    let ground = Ground::new(engine, &script(made.path(), "")).await;
    let payload = ground.record("cam.flv", &file);
    let object = ground.folder().join("store/cines/key1/cam.mp4");
    // While the picture is taken, the MP4 is in the store.
    for (harm, told) in [("rm", "not in the store"), ("truncate -s 9", "9 bytes in the store")] {
        let harm = format!("case \"$*\" in *mjpeg*) {harm} '{}';; esac", object.display());
        script(made.path(), &format!("{harm}; exec ffmpeg \"$@\""));
        let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
        assert!(error.chain().contains(told), "{error}");
        assert!(ground.recorded("cam.flv").exists());
    }
    std::fs::remove_file(&object).unwrap();
    script(made.path(), "exec ffmpeg \"$@\"");
    if engine == EngineKind::Sqlite {
        let sql = "CREATE TRIGGER deaf BEFORE UPDATE ON recording BEGIN SELECT RAISE(IGNORE); END";
        ground.db.execute(Query::new("UPDATE recording SET catalogued_at = NULL")).await.unwrap();
        ground.db.execute(Query::new(sql)).await.unwrap();
        let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
        assert!(matches!(error, JobError::Retryable { .. }), "{error:?}");
        assert!(ground.recorded("cam.flv").exists());
        ground.db.execute(Query::new("DROP TRIGGER deaf")).await.unwrap();
    }
    let done = ground.run_json(ARCHIVE, &payload).await.unwrap();
    assert_eq!(done.result["state"], "archived");
    assert!(object.exists() && !ground.recorded("cam.flv").exists());
}

/// An MP4 of the store is not a recorder's file, even if a folder of the recorders holds the store.
async fn the_store_is_no_folder_to_take_files_from(engine: EngineKind) {
    let made = tempfile::tempdir().unwrap();
    let ground = Ground::new(engine, "").await;
    let store = ground.recorded("store");
    std::os::unix::fs::symlink(ground.folder().join("store"), &store).unwrap();
    std::fs::create_dir_all(store.join("cines")).unwrap();
    std::fs::copy(make(made.path(), "a.mp4", &[]), store.join("cines/cam.mp4")).unwrap();
    let payload = of_file(&store.join("cines/cam.mp4"));
    let error = ground.run_json(ARCHIVE, &payload).await.unwrap_err();
    assert!(matches!(error, JobError::Permanent(_)), "{error:?}");
    assert!(error.chain().contains("in the store of recordings itself"), "{error}");
    assert_eq!(ground.files("store"), ["cines/cam.mp4"]);
}

testkit::on_each_engine!(
    an_mp4_that_is_not_whole_is_never_stored,
    recordings_whose_figures_are_wrong_are_archived,
    what_the_machine_cannot_do_is_tried_again,
    an_mp4_that_could_not_be_stored_is_not_made_again,
    a_file_or_object_that_was_written_meanwhile_stays,
    what_store_and_catalogue_do_not_agree_on_keeps_the_file,
    the_store_is_no_folder_to_take_files_from,
    broken_files_are_put_aside_with_a_reason,
    hostile_names_are_names,
    putting_aside_cut_at_every_step_ends_the_same,
    requests_that_lead_elsewhere_are_refused_and_touch_nothing,
    a_file_of_no_stream_is_a_dead_letter_and_stays,
    a_program_that_hangs_crashes_or_has_no_disk_is_tried_again,
);
