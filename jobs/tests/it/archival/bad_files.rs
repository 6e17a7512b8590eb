//! Files that must be put aside or refused, and programs that fail.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use database::EngineKind;
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

testkit::on_each_engine!(
    broken_files_are_put_aside_with_a_reason,
    hostile_names_are_names,
    putting_aside_cut_at_every_step_ends_the_same,
    requests_that_lead_elsewhere_are_refused_and_touch_nothing,
    a_file_of_no_stream_is_a_dead_letter_and_stays,
    a_program_that_hangs_crashes_or_has_no_disk_is_tried_again,
);
