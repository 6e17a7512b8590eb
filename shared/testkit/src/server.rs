//! A server's process: one group, one log file, one end.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::account::Account;

/// How long the threads of a process may take to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
const POLL_EVERY: Duration = Duration::from_millis(20);
const LOG_BYTES_SHOWN: usize = 8_000;

/// A child process with its group, its folder and its log; killed and removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Mutex<Child>,
    group: Pid,
    // Last, so that the folder goes after the process.
    folder: Arc<TempDir>,
}

impl Server {
    /// Starts `program` in `folder` with `arguments` and an environment of its own.
    ///
    /// `setpriv` ends the process when the thread that started it ends, so all servers are
    /// started by one thread that lives as long as the test's process.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &Path)],
        folder: TempDir,
    ) -> Result<Self> {
        let account = Account::current();
        Self::start_as(account, name, program, arguments, environment, Arc::new(folder))
    }

    /// As [`Server::start`], under another account and in a folder that outlives the process.
    ///
    /// What it prints is added to what an earlier process in that folder has printed.
    pub(crate) fn start_as(
        account: Account,
        name: &'static str,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &Path)],
        folder: Arc<TempDir>,
    ) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log_path(folder.path()))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .args(account.setpriv_arguments())
            .arg("--")
            .arg(program)
            .args(arguments)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = spawn_from_lasting_thread(command).context("cannot run `setpriv`")?;
        let group = Pid::from_child(&child);
        Ok(Self { name, child: Mutex::new(child), group, folder })
    }

    /// Waits until `check` says yes; gives up when the process ends or `within` has passed.
    pub(crate) async fn wait_until<F>(&self, within: Duration, mut check: F) -> Result<()>
    where
        F: AsyncFnMut() -> bool,
    {
        let started = Instant::now();
        loop {
            if check().await {
                return Ok(());
            }
            if let Some(status) = self.child().try_wait()? {
                bail!("{} ended with {status} at its start:\n{}", self.name, self.log_tail());
            }
            if started.elapsed() > within {
                bail!("{} did not answer within {within:?}:\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// The server's own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything the server has printed.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(log_path(self.folder())).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Ends the whole process group at once (SIGKILL) and waits for it.
    pub(crate) fn kill(&self) {
        let mut child = self.child();
        // A process that was waited for has given its number back: it may be another's by now.
        if let Ok(None) = child.try_wait() {
            self.signal(Signal::KILL);
            child.wait().expect("a child that was not waited for can be waited for");
        }
    }

    /// Stops the process group from running (SIGSTOP): connections stay, nothing answers.
    ///
    /// Returns once every thread has stopped: the signal alone lets one answer once more.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let started = Instant::now();
        while self.pid().is_some_and(runs) && started.elapsed() < STOPPED_WITHIN {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets a paused process group go on (SIGCONT).
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The number of the process, unless it has ended.
    pub(crate) fn pid(&self) -> Option<Pid> {
        matches!(self.child().try_wait(), Ok(None)).then_some(self.group)
    }

    /// Sends a signal to the process itself and waits until it has ended.
    pub(crate) async fn stop(&self, signal: Signal, within: Duration) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        kill_process(pid, signal)?;
        let started = Instant::now();
        while self.pid().is_some() {
            if started.elapsed() > within {
                bail!("{} did not stop within {within:?}:\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        match kill_process_group(self.group, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => (),
            Err(error) => panic!("cannot send {signal:?} to {}: {error}", self.name),
        }
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_BYTES_SHOWN));
        log[start..].to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

type Request = (Command, Sender<io::Result<Child>>);

fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                answer.send(command.spawn()).expect("whoever asked waits for the answer");
            }
        });
        Mutex::new(sender)
    });
    let (answer, answered) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .expect("the thread never ends");
    answered.recv().expect("the thread answers every request")
}

/// Whether a thread of the process runs or may run, as proc(5) says.
fn runs(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid()));
    threads.into_iter().flatten().flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The name before it may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['T', 'Z', 'X']))
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::test_kill_process_group;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Server {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let folder = TempDir::new().unwrap();
        Server::start("a shell", "/bin/sh".as_ref(), &arguments, &[], folder).unwrap()
    }

    #[tokio::test]
    async fn ends_the_whole_group_and_removes_the_folder() {
        let server = shell("sleep 1000 & echo started; wait");
        server.wait_until(WITHIN, async || server.log() == "started\n").await.unwrap();
        let (group, folder) = (server.group, server.folder().to_owned());
        assert!(test_kill_process_group(group).is_ok() && folder.exists());
        drop(server);
        assert!(!folder.exists());
        // The shell's child is nobody's to wait for here: the system takes a moment.
        let started = Instant::now();
        while test_kill_process_group(group).is_ok() {
            assert!(started.elapsed() < WITHIN);
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    #[tokio::test]
    async fn stands_still_while_paused() {
        let server = shell("while :; do echo tick; sleep 0.01; done");
        server.wait_until(WITHIN, async || server.log().contains("tick")).await.unwrap();
        server.pause();
        tokio::time::sleep(POLL_EVERY * 5).await;
        let paused = server.log();
        tokio::time::sleep(POLL_EVERY * 5).await;
        assert_eq!(server.log(), paused);
        server.resume();
        server.wait_until(WITHIN, async || server.log() != paused).await.unwrap();
        server.pause();
        server.kill();
        server.kill();
    }

    #[tokio::test]
    async fn shows_the_log_of_a_server_that_does_not_come_up() {
        let ended = shell("echo the disk is full >&2; exit 3");
        let error = ended.wait_until(WITHIN, async || false).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("disk is full"), "{error}");

        let silent = shell("echo thinking; sleep 1000");
        let soon = Duration::from_millis(300);
        let error = silent.wait_until(soon, async || false).await.unwrap_err().to_string();
        assert!(error.contains("within 300ms") && error.contains("thinking"), "{error}");
    }
}
