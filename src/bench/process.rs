//! What a process of this program costs: to start and end, and to wait for work.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::{Scratch, micros, percentile};

/// Runs before the measured ones.
const WARM_UP: u32 = 3;
/// How long an idle worker is left alone before it is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long a worker may take to end.
const END: Duration = Duration::from_secs(30);
/// Pause between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(5);
/// The kernel counts time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// The file of the running program, even if another one has taken its place meanwhile.
const OWN_FILE: &str = "/proc/self/exe";
/// The smallest job there is.
const ENVELOPE: &str = r#"{"configuration":{},"jobName":"monitoring/report_environment","source":"operator","jobPayload":{}}"#;

/// From exec to exit of `run`, microseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartReport {
    /// Processes measured.
    pub runs: u32,
    /// Half of them took no longer.
    pub median_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
}

/// What an idle worker takes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdleReport {
    /// Time measured.
    pub seconds: u64,
    /// Resident memory, thousands of bytes.
    pub rss_kb: u64,
    /// Part of one core, percent.
    pub cpu_percent: f64,
}

/// Measures `runs` processes that run monitoring/report_environment and end.
pub fn start(scratch: &Scratch, runs: u32) -> Result<StartReport> {
    let mut times = Vec::new();
    for number in 0..WARM_UP + runs {
        let began = Instant::now();
        let mut child = program(scratch, &["run"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        child.stdin.take().context("a pipe was asked for")?.write_all(ENVELOPE.as_bytes())?;
        let status = child.wait()?;
        let time = began.elapsed();
        ensure!(status.success(), "`run` ended with {status}");
        if number >= WARM_UP {
            times.push(micros(time));
        }
    }
    times.sort_unstable();
    Ok(StartReport { runs, median_us: percentile(&times, 50), p99_us: percentile(&times, 99) })
}

/// Measures a worker with the company's jobs and schedules that has nothing to do.
pub fn idle(scratch: &Scratch, seconds: u64) -> Result<IdleReport> {
    let mut child = quiet(program(scratch, &["work"])).spawn()?;
    std::thread::sleep(SETTLE);
    let before = cpu_ticks(child.id())?;
    std::thread::sleep(Duration::from_secs(seconds));
    let after = cpu_ticks(child.id())?;
    let rss_kb = resident_kb(child.id())?;
    terminate(&child);
    ensure!(ended(&mut child, END), "the worker did not end within {END:?} of SIGTERM");
    let ticks = u32::try_from(after - before).unwrap_or(u32::MAX);
    let seconds_f64 = Duration::from_secs(seconds.max(1)).as_secs_f64();
    let cpu_percent = f64::from(ticks) / TICKS_PER_SECOND / seconds_f64 * 100.0;
    Ok(IdleReport { seconds, rss_kb, cpu_percent })
}

/// This very program with arguments, in the scratch.
pub(super) fn program(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut command = Command::new(OWN_FILE);
    command.arg0("main-worker").args(arguments);
    scratch.surround(&mut command);
    command
}

/// Without any input or output.
pub(super) fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Sends SIGTERM.
pub(super) fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // One that has ended already needs no signal.
        kill_process(pid, Signal::TERM).ok();
    }
}

/// Waits until the process has ended; kills it after `patience` and returns `false`.
pub(super) fn ended(child: &mut Child, patience: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < patience {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    child.kill().ok();
    child.wait().ok();
    false
}

/// Hundredths of a second that a process has computed.
fn cpu_ticks(pid: u32) -> Result<u64> {
    let text = read(&format!("/proc/{pid}/stat"))?;
    // Fields are counted behind the name, which may hold spaces.
    let fields: Vec<&str> =
        text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    ticks(11).zip(ticks(12)).map(|(user, system)| user + system).context("/proc is not as expected")
}

fn resident_kb(pid: u32) -> Result<u64> {
    let text = read(&format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("/proc is not as expected")? * 1_024 / 1_000)
}

pub(super) fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(path)).with_context(|| format!("cannot read {path}"))
}
