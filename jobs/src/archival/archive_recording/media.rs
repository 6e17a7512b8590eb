//! What a recorded file holds, and the MP4 and the picture that are made of it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use job::{Context, JobError};
use serde::Deserialize;

use super::child::{self, ChildError, Limits};
use crate::archival::settings::Settings;

/// The only formats that are read: playlists, for one, would have other files read in their name.
const FORMATS: &str = "flv,live_flv,mov,mp4,mpegts";
/// Bytes of a description at the most.
const DESCRIPTION_BYTES_MAX: usize = 1024 * 1024;
/// An MP4 holds what its source holds, and an index.
const GROWTH_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Where the picture is taken: at a tenth of the recording, but within so many seconds.
const POSTER_SECONDS_MAX: u64 = 10;
/// What a slow disk reads and writes a second. Nothing is heard of ffmpeg while it moves the index.
const SLOW_DISK_BYTES: u64 = 16 * 1024 * 1024;

/// What a recorded file holds.
#[derive(Debug, Clone)]
pub(super) struct Description {
    /// How long it plays; recorders that were cut off leave no figure.
    pub(super) duration_ms: u64,
    /// Its video, then its audio, each in the order of the file.
    pub(super) streams: Vec<Track>,
}

/// What of a file plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) is_video: bool,
    pub(super) codec: String,
    /// Packets that the file's index names; only some kinds of files have one.
    pub(super) indexed: Option<u64>,
    /// Packets that were read, if they were counted.
    pub(super) read: Option<u64>,
}

#[derive(Deserialize)]
struct Probed {
    #[serde(default)]
    streams: Vec<ProbedStream>,
    #[serde(default)]
    format: ProbedFormat,
}

#[derive(Deserialize)]
struct ProbedStream {
    codec_type: Option<String>,
    #[serde(default)]
    codec_name: String,
    nb_frames: Option<String>,
    nb_read_packets: Option<String>,
}

impl ProbedStream {
    /// What plays; `None` for anything else.
    fn track(self) -> Option<Track> {
        let is_video = match self.codec_type.as_deref() {
            Some("video") => true,
            Some("audio") => false,
            Some(_) | None => return None,
        };
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let (indexed, read) = (number(self.nb_frames), number(self.nb_read_packets));
        Some(Track { is_video, codec: self.codec_name, indexed, read })
    }
}

#[derive(Default, Deserialize)]
struct ProbedFormat {
    duration: Option<String>,
}

fn limits(settings: &Settings, size_bytes: u64) -> Limits {
    let silence = settings.program_silence + Duration::from_secs(size_bytes / SLOW_DISK_BYTES);
    Limits { time: settings.program_timeout, silence }
}

/// Names a file for a program, so that nothing of its name is taken for an option or an address.
fn named(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

fn words<const COUNT: usize>(words: [&str; COUNT]) -> impl Iterator<Item = OsString> {
    words.into_iter().map(OsString::from)
}

/// Looks at a file; `Refused` when it is no recording.
pub(super) async fn probe(settings: &Settings, file: &Path) -> Result<Description, ChildError> {
    describe(settings, (file, 0), &[]).await
}

/// Looks at a file and reads all of it to count its packets.
pub(super) async fn count(
    settings: &Settings,
    file: (&Path, u64),
) -> Result<Description, ChildError> {
    describe(settings, file, &["-count_packets"]).await
}

async fn describe(
    settings: &Settings,
    (file, bytes_read): (&Path, u64),
    further: &[&str],
) -> Result<Description, ChildError> {
    let mut arguments: Vec<OsString> = words([
        "-v",
        "error",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        FORMATS,
        "-show_entries",
        "format=duration:stream=codec_type,codec_name,nb_frames,nb_read_packets",
        "-of",
        "json",
    ])
    .chain(further.iter().map(OsString::from))
    .collect();
    arguments.push(named(file));
    let mut printed = Vec::new();
    let ran = child::run(&settings.ffprobe, &arguments, limits(settings, bytes_read), |piece| {
        printed.extend_from_slice(piece);
        printed.truncate(DESCRIPTION_BYTES_MAX);
        Ok(())
    });
    ran.await?;
    let refused = |reason: &str| ChildError::Refused {
        program: "ffprobe".to_owned(),
        reason: reason.to_owned(),
    };
    let probed: Probed =
        serde_json::from_slice(&printed).map_err(|_| refused("it cannot be described"))?;
    let streams = probed.streams.into_iter().filter_map(ProbedStream::track);
    let mut streams: Vec<Track> = streams.collect();
    if streams.is_empty() {
        return Err(refused("it holds neither video nor audio"));
    }
    streams.sort_by_key(|track| !track.is_video);
    let seconds = probed.format.duration.and_then(|text| text.parse::<f64>().ok());
    Ok(Description { duration_ms: seconds.map_or(0, millis), streams })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0).clamp(0.0, 1e15) as u64
}

/// Makes an MP4 of a file: nothing is encoded anew, the index is put in front.
pub(super) async fn remux(
    cx: &Context,
    settings: &Settings,
    (file, size_bytes): (&Path, u64),
    into: &Path,
) -> Result<(), ChildError> {
    let mut arguments: Vec<OsString> = words([
        "-nostdin",
        "-hide_banner",
        "-loglevel",
        "error",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        FORMATS,
        "-i",
    ])
    .collect();
    arguments.push(named(file));
    arguments.extend(words([
        "-map",
        "0:v?",
        "-map",
        "0:a?",
        "-c",
        "copy",
        "-movflags",
        "+faststart",
        // The same file whichever release of ffmpeg makes it: it may be in the store already.
        "-fflags",
        "+bitexact",
        "-f",
        "mp4",
        "-progress",
        "pipe:1",
        "-y",
    ]));
    arguments.push(named(into));
    let max_bytes = size_bytes.saturating_add(GROWTH_BYTES_MAX);
    child::run(&settings.ffmpeg, &arguments, limits(settings, size_bytes), |piece| {
        let Some(written) = last_number(piece, "total_size=") else { return Ok(()) };
        if written > max_bytes {
            let program = "ffmpeg".to_owned();
            return Err(ChildError::TooMuch { program, max_bytes });
        }
        cx.progress(fraction(written, size_bytes), format!("{written} of {size_bytes} bytes"));
        Ok(())
    })
    .await
}

/// Takes a picture of an MP4; a recording without video has none.
pub(super) async fn poster(
    settings: &Settings,
    mp4: &Path,
    duration_ms: u64,
    into: &Path,
) -> Result<(), ChildError> {
    let at_ms = (duration_ms / 10).min(POSTER_SECONDS_MAX * 1_000);
    let at = format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000);
    let mut arguments: Vec<OsString> = words([
        "-nostdin",
        "-hide_banner",
        "-loglevel",
        "error",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        FORMATS,
        "-ss",
        &at,
        "-i",
    ])
    .collect();
    arguments.push(named(mp4));
    arguments.extend(words([
        "-map",
        "0:v:0",
        "-frames:v",
        "1",
        "-vf",
        "scale=640:-2",
        "-q:v",
        "4",
        "-f",
        "mjpeg",
        "-y",
    ]));
    arguments.push(named(into));
    child::run(&settings.ffmpeg, &arguments, limits(settings, 0), |_| Ok(())).await
}

/// The last number behind `name` in a report of progress.
fn last_number(report: &[u8], name: &str) -> Option<u64> {
    let text = std::str::from_utf8(report).ok()?;
    let mut values = text.lines().rev().filter_map(|line| line.strip_prefix(name));
    values.find_map(|value| value.trim().parse().ok())
}

#[expect(clippy::cast_precision_loss, reason = "a bar on a screen needs no 53 bits")]
pub(super) fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Hashes a file on a thread of its own, until it ends or the attempt is cancelled.
pub(super) async fn sha256(cx: &Context, file: &Path) -> Result<Vec<u8>, JobError> {
    let (file, token) = (file.to_owned(), cx.cancellation().child_token());
    let _stop_when_dropped = token.clone().drop_guard();
    let hashing = tokio::task::spawn_blocking(move || hash(&file, &token));
    match hashing.await {
        Ok(Ok(Some(hash))) => Ok(hash),
        Ok(Ok(None)) => Err(JobError::Cancelled),
        Ok(Err(error)) => Err(JobError::Retryable { after: None, cause: Box::new(error) }),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(JobError::Cancelled),
        },
    }
}

fn hash(
    file: &Path,
    token: &tokio_util::sync::CancellationToken,
) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::Read;

    let mut file = std::fs::File::open(file)?;
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut piece = vec![0; 256 * 1024];
    loop {
        if token.is_cancelled() {
            return Ok(None);
        }
        match file.read(&mut piece)? {
            0 => return Ok(Some(context.finish().as_ref().to_vec())),
            len => context.update(&piece[..len]),
        }
    }
}
