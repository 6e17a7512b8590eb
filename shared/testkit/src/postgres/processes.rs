//! The server's processes. Each makes itself a group of its own, so they are found by parent.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const OBEY_WITHIN: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(1);

/// Stops the parent, so that it starts no more children, then sends `signal` to all of them and
/// waits until they stand still or are gone.
pub(super) fn stop(parent: Pid, signal: Signal) {
    send(parent, Signal::STOP);
    wait_until_still(&[parent]);
    let children = children(parent);
    for child in &children {
        send(*child, signal);
    }
    wait_until_still(&children);
}

/// Lets a parent and its children go on.
pub(super) fn resume(parent: Pid) {
    for child in children(parent) {
        send(child, Signal::CONT);
    }
    send(parent, Signal::CONT);
}

/// Waits until each process stands still or is gone.
fn wait_until_still(processes: &[Pid]) {
    let started = Instant::now();
    while processes.iter().any(|process| stat(*process).is_some_and(|stat| stat.runs())) {
        assert!(started.elapsed() < OBEY_WITHIN, "processes go on after a signal: {processes:?}");
        std::thread::sleep(POLL_EVERY);
    }
}

fn send(process: Pid, signal: Signal) {
    match kill_process(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => (),
        Err(error) => panic!("cannot send {signal:?} to {process:?}: {error}"),
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let all = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    let all = all.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    all.filter(|process| stat(*process).is_some_and(|stat| stat.parent == Some(parent))).collect()
}

/// What /proc tells of a process.
struct Stat {
    state: char,
    parent: Option<Pid>,
}

impl Stat {
    /// Whether it does anything: not stopped, and not dead and waited for by its parent.
    fn runs(&self) -> bool {
        !matches!(self.state, 'T' | 't' | 'Z' | 'X')
    }
}

fn stat(process: Pid) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // The name before it may hold anything, also brackets and blanks.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, parent: Pid::from_raw(fields.next()?.parse().ok()?) })
}
