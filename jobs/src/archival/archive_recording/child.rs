//! Programs as children: with an argument vector, limits, and an end in any case.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use values::{Classify, Retry};

/// Bytes read from a child at a time.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of a child's complaints that are kept: the last ones.
const COMPLAINT_BYTES: usize = 4 * 1024;
/// What a program says when the machine, not the file, is at fault: the texts of two C libraries.
/// "Operation not permitted" is none of them, as ffmpeg says so of files that it does not understand.
const MACHINE_FAULTS: [&str; 18] = [
    "No space left on device",
    "Disk quota exceeded",
    "Quota exceeded",
    "File too large",
    "Cannot allocate memory",
    "Out of memory",
    "Too many open files",
    "No file descriptors available",
    "Permission denied",
    "Read-only file system",
    "No such file or directory",
    "Input/output error",
    "I/O error",
    "Stale file handle",
    "No such device",
    "Device or resource busy",
    "Transport endpoint is not connected",
    "Resource temporarily unavailable",
];

/// What a child may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From start to end.
    pub(super) time: Duration,
    /// Between two signs of life.
    pub(super) silence: Duration,
}

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    /// It could not be started.
    #[error("`{program}` cannot be started; install it or name it in worker.toml")]
    Start {
        program: String,
        #[source]
        cause: io::Error,
    },
    /// What it wrote could not be read.
    #[error("`{program}` cannot be listened to")]
    Listen {
        program: String,
        #[source]
        cause: io::Error,
    },
    /// It ran longer than it may.
    #[error("`{program}` was ended after {limit:?}; raise `program_timeout` if it needs longer")]
    Overtime { program: String, limit: Duration },
    /// It hung.
    #[error("`{program}` was ended after {limit:?} without a sign of life")]
    Silent { program: String, limit: Duration },
    /// It writes more than it may.
    #[error("`{program}` made more than {max_bytes} bytes")]
    TooMuch { program: String, max_bytes: u64 },
    /// It crashed, or somebody ended it.
    #[error("`{program}` was ended by signal {signal}")]
    Killed { program: String, signal: i32 },
    /// The machine could not do what it asked for.
    #[error("`{program}` failed on this machine: {reason}")]
    Machine { program: String, reason: String },
    /// It refused the file.
    #[error("`{program}` refuses the file: {reason}")]
    Refused { program: String, reason: String },
}

impl ChildError {
    /// Whether the machine, not the program or the file, is at fault.
    pub(super) fn is_of_machine(&self) -> bool {
        matches!(self, Self::Start { .. } | Self::Machine { .. })
    }
}

impl Classify for ChildError {
    fn retry(&self) -> Retry {
        match self {
            Self::TooMuch { .. } | Self::Refused { .. } => Retry::Never,
            // A program is away while its package is renewed.
            Self::Start { .. }
            | Self::Listen { .. }
            | Self::Overtime { .. }
            | Self::Silent { .. }
            | Self::Killed { .. }
            | Self::Machine { .. } => Retry::Backoff,
        }
    }
}

/// Runs a program to its end; `hear` is given what it prints, and may end it with an error.
///
/// The program leads a process group of its own, which is killed when the limits are passed and
/// when this is dropped.
pub(super) async fn run(
    program: &Path,
    arguments: &[OsString],
    limits: Limits,
    mut hear: impl FnMut(&[u8]) -> Result<(), ChildError>,
) -> Result<(), ChildError> {
    let name = name_of(program);
    let mut child = start(program, arguments).map_err(|cause| {
        let program = program.display().to_string();
        ChildError::Start { program, cause }
    })?;
    let group = Group::of(&child);
    let heard = tokio::time::timeout(limits.time, async {
        let complaint = listen(&mut child, &name, limits.silence, &mut hear).await?;
        let status = child.wait().await;
        Ok((
            complaint,
            status.map_err(|cause| ChildError::Listen { program: name.clone(), cause })?,
        ))
    });
    let (complaint, status) = match heard.await {
        Err(_) => return Err(ChildError::Overtime { program: name, limit: limits.time }),
        Ok(ended) => ended?,
    };
    group.leave();
    judge(name, status, &complaint)
}

fn start(program: &Path, arguments: &[OsString]) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        // Its complaints are read here.
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Hears a child until it prints nothing more; returns the end of its complaints.
async fn listen(
    child: &mut Child,
    name: &str,
    silence: Duration,
    hear: &mut impl FnMut(&[u8]) -> Result<(), ChildError>,
) -> Result<Vec<u8>, ChildError> {
    let mut output = child.stdout.take().expect("it is piped");
    let mut errors = child.stderr.take().expect("it is piped");
    let (mut printed, mut complained) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let (mut complaint, mut open) = (Vec::new(), [true; 2]);
    while open != [false; 2] {
        let event = tokio::time::timeout(silence, async {
            tokio::select! {
                read = read(&mut output, &mut printed), if open[0] => (0, read),
                read = read(&mut errors, &mut complained), if open[1] => (1, read),
            }
        });
        let Ok((which, read)) = event.await else {
            return Err(ChildError::Silent { program: name.to_owned(), limit: silence });
        };
        match read.map_err(|cause| ChildError::Listen { program: name.to_owned(), cause })? {
            0 => open[which] = false,
            len if which == 0 => hear(&printed[..len])?,
            len => {
                complaint.extend_from_slice(&complained[..len]);
                let excess = complaint.len().saturating_sub(COMPLAINT_BYTES);
                complaint.drain(..excess);
            }
        }
    }
    Ok(complaint)
}

async fn read(from: &mut (impl AsyncRead + Unpin), into: &mut [u8]) -> io::Result<usize> {
    from.read(into).await
}

fn judge(program: String, status: ExitStatus, complaint: &[u8]) -> Result<(), ChildError> {
    let complaint = String::from_utf8_lossy(complaint);
    if status.success() {
        // ffmpeg ends well although it could not write the end of a file, or not read on.
        let ends = |fault: &&&str| complaint.lines().any(|line| line.trim_end().ends_with(**fault));
        return match MACHINE_FAULTS.iter().find(ends) {
            Some(fault) => Err(ChildError::Machine { program, reason: (*fault).to_owned() }),
            None => Ok(()),
        };
    }
    let fault = MACHINE_FAULTS.iter().find(|fault| complaint.contains(**fault));
    match (status.signal(), fault) {
        (_, Some(fault)) => Err(ChildError::Machine { program, reason: (*fault).to_owned() }),
        (Some(signal), None) => Err(ChildError::Killed { program, signal }),
        (None, None) => {
            let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
            // The program names the file first, which may be any text.
            let said = last.and_then(|line| line.rsplit(": ").next()).unwrap_or("no reason given");
            let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
            let reason = said.chars().map(plain).take(200).collect();
            Err(ChildError::Refused { program, reason })
        }
    }
}

fn name_of(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// The process group of a child; killed with its value unless the child is over.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Says that the child was waited for, so that its number may be another's by now.
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It is over already, which is what was wanted.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { time: Duration::from_secs(20), silence: Duration::from_secs(10) };

    async fn shell(script: &str, limits: Limits) -> Result<(), ChildError> {
        let arguments = ["-c".into(), script.into()];
        run(Path::new("/bin/sh"), &arguments, limits, |_| Ok(())).await
    }

    #[tokio::test]
    async fn tells_a_bad_file_from_a_bad_machine() {
        shell("exit 0", LIMITS).await.unwrap();
        for (script, expected, retry) in [
            ("echo 'x: Invalid data' >&2; exit 1", "`sh` refuses the file: Invalid data", false),
            ("exit 3", "no reason given", false),
            ("echo 'av: No space left on device' >&2; exit 228", "No space left on device", true),
            ("echo 'x.mp4: Read-only file system' >&2; exit 1", "Read-only file system", true),
            ("echo 'trailer of x: No space left on device' >&2", "No space left on device", true),
            ("kill -SEGV $$", "ended by signal 11", true),
        ] {
            let error = shell(script, LIMITS).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.retry() == Retry::Backoff, retry, "{error}");
        }
        let error = run(Path::new("/no/such"), &[], LIMITS, |_| Ok(())).await.unwrap_err();
        assert_eq!(error.to_string().split(';').next(), Some("`/no/such` cannot be started"));
        assert_eq!(error.retry(), Retry::Backoff);
    }

    #[tokio::test]
    async fn ends_what_hangs_and_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let alive = folder.path().join("alive");
        let script = format!(
            "(while sleep 0.05; do echo . >> '{0}'; done) & while sleep 0.05; do :; done",
            alive.display()
        );
        let short = Limits { silence: Duration::from_millis(400), ..LIMITS };
        let error = shell(&script, short).await.unwrap_err();
        assert!(matches!(error, ChildError::Silent { .. }), "{error}");
        let short = Limits { time: Duration::from_millis(400), ..LIMITS };
        let error = shell(&script, short).await.unwrap_err();
        assert!(matches!(error, ChildError::Overtime { .. }), "{error}");
        let cancelled = tokio::time::timeout(Duration::from_millis(400), shell(&script, LIMITS));
        assert!(cancelled.await.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let written = std::fs::metadata(&alive).unwrap().len();
        assert!(written > 0);
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(std::fs::metadata(&alive).unwrap().len(), written);
    }
}
