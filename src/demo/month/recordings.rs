//! Small real recordings, as a media server leaves them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use values::Timestamp;

use crate::demo::DemoFolder;

/// Recordings of a month.
const RECORDINGS: usize = 6;

/// Makes recordings of some streams, and the folder they are to be archived in; none if there is no
/// ffmpeg.
pub fn record(
    folder: &mut DemoFolder,
    streams: &[String],
    at: Timestamp,
) -> Result<Option<Vec<PathBuf>>> {
    if !is_there("ffmpeg") || !is_there("ffprobe") {
        return Ok(None);
    }
    let store = folder.path().join(super::RECORDINGS);
    std::fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    let mut files = Vec::new();
    for (number, stream) in streams.iter().enumerate().take(RECORDINGS) {
        let time = at.to_chrono().format("%Y%m%dT%H%M%S");
        let name = Path::new("media").join(format!("{stream}.{time}.flv"));
        drop(folder.create(&name)?);
        let path = folder.path().join(&name);
        make(&path, number).with_context(|| format!("cannot make {}", path.display()))?;
        files.push(path);
    }
    Ok(Some(files))
}

/// Two seconds of a test picture and a tone.
fn make(path: &Path, number: usize) -> Result<()> {
    let tone = format!("sine=frequency={}:duration=2", 330 + 55 * number);
    let picture = "testsrc2=duration=2:size=320x180:rate=15";
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", picture])
        .args(["-f", "lavfi", "-i", &tone, "-c:v", "libx264", "-preset", "ultrafast"])
        .args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", "-f", "flv"])
        .arg(path)
        .stdin(Stdio::null())
        .output()?;
    if !made.status.success() {
        bail!("ffmpeg: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(())
}

/// Whether a program is installed.
fn is_there(program: &str) -> bool {
    let mut asked = Command::new(program);
    asked.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}
