//! Whether an MP4 that was made is whole, before anything relies on it.
//!
//! ffmpeg has ended well and left half a file when a disk was full. So the file's boxes are walked,
//! what it holds is compared with what its source holds, and it is made durable while it is stored.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use job::JobError;
use tokio::task::spawn_blocking;

use super::child::ChildError;
use super::media::{self, Description, Track};
use super::source::broken;
use crate::archival::settings::Settings;

/// How much shorter an MP4 may be than its source says to be without both being read.
const SHORTER_MS_MAX: u64 = 1_000;
/// Packets of a video that may come before its first key frame, which an MP4 begins with: ten
/// seconds of sixty pictures.
const LEADING_PACKETS_MAX: u64 = 600;
/// Boxes of a finished MP4 at the most; ffmpeg writes four.
const BOXES_MAX: usize = 64;

/// Sees that an MP4 is whole and holds what its source holds; returns what it holds.
///
/// # Errors
/// Retryable whatever is wrong: the source is not to blame, and stays.
pub(super) async fn verify(
    settings: &Settings,
    (source, source_bytes): (&Path, u64),
    held: &Description,
    mp4: &Path,
) -> Result<Description, JobError> {
    let path = mp4.to_owned();
    let size = match spawn_blocking(move || walk(path)).await.map_err(io::Error::other).flatten() {
        Ok(Ok(size)) => size,
        Ok(Err(problem)) => return Err(unfinished(problem)),
        Err(error) => return Err(broken(mp4, error)),
    };
    let made = media::probe(settings, mp4).await.map_err(of_made)?;
    if is_alike(held, &made) {
        return Ok(made);
    }
    // Durations are estimates where a file has no index, and some recorders announce streams that
    // never come: what can be read decides.
    let had = media::count(settings, (source, source_bytes)).await.map_err(of_made)?;
    let has = media::count(settings, (mp4, size)).await.map_err(of_made)?;
    match missing(&had, &has) {
        Some(problem) => Err(unfinished(&problem)),
        None => Ok(made),
    }
}

fn unfinished(problem: &str) -> JobError {
    JobError::retryable(format!("ffmpeg made no whole MP4 of the file, which stays: {problem}"))
}

/// What a program says of the MP4 is not the source's fault.
fn of_made(error: ChildError) -> JobError {
    match error {
        ChildError::Refused { program: _, reason } => unfinished(&reason),
        error => error.into(),
    }
}

/// Waits until a file is on disk.
///
/// # Errors
/// Retryable: what was written of it cannot be relied on.
pub(super) async fn settle(mp4: &Path) -> Result<(), JobError> {
    let path = mp4.to_owned();
    let synced = spawn_blocking(move || File::open(path)?.sync_all());
    synced.await.map_err(io::Error::other).flatten().map_err(|error| broken(mp4, error))
}

/// Walks the boxes of a file; returns its length, or what is wrong with it.
fn walk(path: PathBuf) -> io::Result<Result<u64, &'static str>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let (mut at, mut has_index, mut has_media) = (0, false, false);
    for _ in 0..BOXES_MAX {
        if at == len {
            break;
        }
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        let head_len = usize::try_from(len - at).unwrap_or(usize::MAX).min(head.len());
        if head_len < 8 {
            return Ok(Err("the MP4 ends within a box"));
        }
        file.read_exact(&mut head[..head_len])?;
        let short = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let size = match short {
            1 if head_len == 16 => {
                u64::from_be_bytes(*head.last_chunk().expect("it is 16 bytes long"))
            }
            short => u64::from(short),
        };
        at = match at.checked_add(size) {
            Some(end) if size >= 8 && end <= len => end,
            Some(_) | None => return Ok(Err("the MP4 ends within a box")),
        };
        has_index |= head[4..8] == *b"moov" && !has_media;
        has_media |= head[4..8] == *b"mdat";
    }
    Ok(match (at == len, has_index, has_media) {
        (true, true, true) => Ok(len),
        (false, _, _) => Err("the MP4 has more boxes than an MP4 has"),
        (true, false, _) => Err("the MP4 has no index in front"),
        (true, true, false) => Err("the MP4 holds no media"),
    })
}

/// Whether an MP4 plays less long than its source says to.
fn is_short(source: &Description, mp4: &Description) -> bool {
    mp4.duration_ms.saturating_add(SHORTER_MS_MAX) < source.duration_ms
}

/// Whether two files hold the same at first sight.
fn is_alike(source: &Description, mp4: &Description) -> bool {
    let kinds = |tracks: &[Track]| -> Vec<(bool, String)> {
        tracks.iter().map(|track| (track.is_video, track.codec.clone())).collect()
    };
    source.duration_ms > 0
        && !is_short(source, mp4)
        && kinds(&source.streams) == kinds(&mp4.streams)
}

/// Compares what was read of both, packet by packet; tells what the MP4 lacks.
fn missing(source: &Description, mp4: &Description) -> Option<String> {
    let number = |packets: Option<u64>| packets.unwrap_or(0);
    let is_short = is_short(source, mp4);
    let mut found = mp4.streams.iter().filter(|track| number(track.read) > 0);
    for had in source.streams.iter().filter(|track| number(track.read) > 0) {
        let (codec, read) = (&had.codec, number(had.read));
        if let Some(indexed) = had.indexed.filter(|indexed| is_short && *indexed > read) {
            return Some(format!(
                "it is not complete itself: {read} of the {indexed} packets of {codec} that its \
                 index names can be read"
            ));
        }
        let is_same = |track: &&Track| track.is_video == had.is_video && track.codec == *codec;
        let Some(has) = found.next().filter(is_same) else {
            return Some(format!("the stream {codec} is not in the MP4"));
        };
        let leading = if had.is_video { LEADING_PACKETS_MAX } else { 0 };
        if number(has.read) < read.saturating_sub(leading).max(1) {
            let has = number(has.read);
            return Some(format!("the MP4 has {has} of {read} packets of {codec}"));
        }
    }
    None
}
