//! What archiving costs beside what ffmpeg and the upload take alone.
//!
//! `cargo bench -p jobs --features s3 --bench archive_recording [-- MIB]` makes an FLV of 200 MiB
//! (or as many as given) and archives it to a local S3 server in turns with ffmpeg's own remux and
//! picture and the upload of what they made. Prints the fastest round of both, the share that is
//! on top, and the largest resident size of this process. The server of the tests holds 2.5 GB: a
//! larger file needs one with more volumes (`-volume.max`).

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use database::{EngineKind, Query};
use objects::{Credentials, ObjectStore};
use serde_json::json;
use testkit::S3Server;
use values::Secret;

#[path = "../tests/it/archival/ground.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the tests use more of it, and may panic")]
mod ground;
#[path = "../tests/it/harness.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the tests use more of it, and may panic")]
mod harness;

use ground::{ARCHIVE, Ground};

const MIB: u64 = 1 << 20;
const DEFAULT_MIB: u64 = 200;
const ROUNDS: u32 = 5;
/// The piece that the recording repeats: noise, which is as large as it is long.
const PIECE: [&str; 16] = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=1280x720:rate=30:duration=4",
    "-f",
    "lavfi",
    "-i",
    "sine=duration=4",
    "-vf",
    "noise=alls=100:allf=t",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-c:a",
    "aac",
];

type Done<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Done {
    let mib = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(DEFAULT_MIB);
    let server = S3Server::start().await?;
    server.create_bucket("recordings").await?;
    let location = format!("s3://recordings/all?endpoint={}", server.endpoint());
    let mut ground = Ground::storing_in(EngineKind::Sqlite, Some(&location), "").await;
    let keys = json!({
        "accessKeyId": server.access_key_id(), "secretAccessKey": server.secret_access_key()
    });
    ground.configure("objectStorage", &keys);
    let recording = make_recording(ground.folder(), mib * MIB)?;
    say(&format!("{} MB of FLV", fs::metadata(&recording)?.len() / 1_000_000))?;
    let credentials = Credentials {
        access_key_id: server.access_key_id().to_owned(),
        secret_access_key: Secret::new(server.secret_access_key().to_owned()),
        session_token: None,
    };
    let store = ObjectStore::open(&location.parse()?, Some(&credentials)).await?;

    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        // The job removes what it has archived, and knows a file again.
        let file = ground.recorded(&format!("cam.{round}.flv"));
        fs::copy(&recording, &file)?;
        ground.db.execute(Query::new("DELETE FROM recording")).await?;

        // What was written before is no part of either.
        rustix::fs::sync();
        let start = Instant::now();
        let made = by_hand(&recording, ground.folder())?;
        store.put_file(&format!("by-hand/{round}.mp4"), &made, |_| ()).await?;
        theirs = theirs.min(start.elapsed());
        fs::remove_file(made)?;

        rustix::fs::sync();
        let start = Instant::now();
        let done = ground.run_json(ARCHIVE, &ground::of_file(&file)).await;
        ours = ours.min(start.elapsed());
        let done = done.map_err(|error| error.chain())?;
        assert_eq!(done.result["state"], "archived", "a wrong answer is not worth measuring");
    }
    let on_top = ours.as_secs_f64() / theirs.as_secs_f64() - 1.0;
    say(&format!("archival/archive_recording: {:.2} s", ours.as_secs_f64()))?;
    say(&format!("ffmpeg and upload by hand:  {:.2} s", theirs.as_secs_f64()))?;
    say(&format!("on top                      {:.1} %", on_top * 100.0))?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    say(peak.unwrap_or("the largest resident size is not known on this system"))
}

/// Makes an FLV of about so many bytes.
fn make_recording(folder: &Path, bytes: u64) -> Done<PathBuf> {
    let (piece, whole) = (folder.join("piece.mp4"), folder.join("whole.flv"));
    ffmpeg(&PIECE, &piece)?;
    let again = (bytes / fs::metadata(&piece)?.len()).to_string();
    let piece = piece.to_str().ok_or("a path that is no text")?;
    ffmpeg(&["-stream_loop", &again, "-i", piece, "-c", "copy"], &whole)?;
    Ok(whole)
}

/// Makes the MP4 and the picture as the job does; returns the MP4.
fn by_hand(recording: &Path, folder: &Path) -> Done<PathBuf> {
    let (mp4, jpg) = (folder.join("by-hand.mp4"), folder.join("by-hand.jpg"));
    let from = recording.to_str().ok_or("a path that is no text")?;
    ffmpeg(&["-i", from, "-c", "copy", "-movflags", "+faststart"], &mp4)?;
    let from = mp4.to_str().ok_or("a path that is no text")?;
    ffmpeg(&["-ss", "10", "-i", from, "-frames:v", "1", "-vf", "scale=640:-2"], &jpg)?;
    Ok(mp4)
}

fn ffmpeg(arguments: &[&str], into: &Path) -> Done {
    let into: &OsStr = into.as_ref();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments).arg(into);
    if command.status()?.success() { Ok(()) } else { Err("ffmpeg failed".into()) }
}

fn say(line: &str) -> Done {
    Ok(writeln!(io::stdout(), "{line}")?)
}
