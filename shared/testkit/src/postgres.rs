//! The database server: PostgreSQL, crashed, stopped, paused and set back at will.

mod cluster;
mod databases;
mod disk;
mod processes;
mod shared;
pub(crate) mod sql;

use std::env::temp_dir;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::account::Account;
use crate::ports::KeptPort;
use crate::server::Server;

pub use cluster::Snapshot;
pub use databases::{TestDatabase, postgres_template};
use disk::SmallDisk;
pub use shared::{SharedPostgres, shared_postgres};

const POLL_EVERY: Duration = Duration::from_millis(20);
const START_WITHIN: Duration = Duration::from_mins(1);
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How long a dropped server may take to tidy up before it is killed.
const QUIT_WITHIN: Duration = Duration::from_secs(5);
const QUIT_POLL_EVERY: Duration = Duration::from_millis(2);

/// What a server does to keep what it was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Never waits for a disk, and lives in memory where there is plenty: what is committed survives a crash of the server, though not one
    /// of the machine. For all tests, also of crashes.
    Fast,
    /// As in production. For measuring speed.
    Durable,
}

impl Profile {
    /// Makes a folder for a server's data.
    fn folder(self) -> Result<TempDir> {
        let memory = if self == Self::Fast { disk::memory() } else { None };
        let parent = memory.unwrap_or_else(temp_dir);
        Ok(TempDir::with_prefix_in("testkit-postgres-", parent)?)
    }

    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Fast => &[("fsync", "off")],
            Self::Durable => &[],
        }
    }
}

/// How a server is to be started: a profile, further settings, a small disk.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    profile: Profile,
    settings: Vec<(String, String)>,
    disk_mib: Option<u32>,
}

impl PostgresOptions {
    /// Adds a setting of postgresql.conf, such as `max_connections`; a later one wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps the server's data on a disk of its own of that many MiB (an empty server takes 40).
    /// Only root can make one.
    #[must_use]
    pub fn small_disk(mut self, mib: u32) -> Self {
        self.disk_mib = Some(mib);
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// When the program is not installed (says how to), the disk cannot be made, or the server
    /// does not start (shows its log).
    pub async fn start(self) -> Result<PostgresServer> {
        let account = Account::unprivileged()?;
        let folder = self.profile.folder()?;
        account.own(folder.path())?;
        let data = folder.path().join("data");
        let disk = match self.disk_mib {
            Some(mib) => Some(SmallDisk::mount(&data, mib, account)?),
            None => None,
        };
        cluster::create(&data, account)?;
        let port = KeptPort::choose().context("no free port")?;
        let server = PostgresServer {
            process: Mutex::new(None),
            profile: self.profile,
            arguments: arguments(self.profile, port.address, &self.settings),
            databases: AtomicU32::new(0),
            account,
            port,
            disk,
            folder: Arc::new(folder),
        };
        server.start_again().await?;
        Ok(server)
    }
}

/// The server's command line; it reads `data` below the folder it is started in.
fn arguments(profile: Profile, address: SocketAddr, settings: &[(String, String)]) -> Vec<String> {
    let port = address.port().to_string();
    let always = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port),
        ("unix_socket_directories", ""),
        // In the data folder, so that a killed server leaves nothing behind elsewhere.
        ("dynamic_shared_memory_type", "mmap"),
    ];
    let given = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = always.into_iter().chain(profile.settings().iter().copied()).chain(given);
    let mut arguments = vec!["-D".to_owned(), "data".to_owned()];
    for (name, value) in all {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    arguments
}

/// A private PostgreSQL server with the superuser `postgres` and no password; ends when dropped.
///
/// It keeps its port and its data while it is down: [`PostgresServer::start_again`] brings it back.
#[derive(Debug)]
pub struct PostgresServer {
    process: Mutex<Option<Arc<Server>>>,
    profile: Profile,
    arguments: Vec<String>,
    databases: AtomicU32,
    account: Account,
    port: KeptPort,
    // These two last and in this order: the disk is unmounted before its folder is removed.
    disk: Option<SmallDisk>,
    folder: Arc<TempDir>,
}

impl PostgresServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// As [`PostgresOptions::start`].
    pub async fn start(profile: Profile) -> Result<Self> {
        Self::options(profile).start().await
    }

    /// Says how a server is to be started; [`PostgresOptions::start`] starts it.
    pub fn options(profile: Profile) -> PostgresOptions {
        PostgresOptions { profile, settings: Vec::new(), disk_mib: None }
    }

    /// The address of a database of this server: `postgres://postgres@127.0.0.1:PORT/NAME`.
    pub fn url(&self, database: &str) -> String {
        sql::url(self.address(), database)
    }

    /// The same database, reached through a [`Proxy`](crate::Proxy).
    pub fn url_through(&self, proxy: SocketAddr, database: &str) -> String {
        sql::url(proxy, database)
    }

    /// The server's address and port, for a [`Proxy`](crate::Proxy).
    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Makes an empty database, which lives as long as the server, and returns its address.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn fresh_database(&self) -> Result<String> {
        let name = format!("fresh_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        sql::run(&self.url("postgres"), format!("CREATE DATABASE {name}")).await?;
        Ok(self.url(&name))
    }

    /// Starts a server that was killed or stopped, with its data, on the port it had.
    ///
    /// # Errors
    /// When it is running, or does not answer in time (shows its log).
    pub async fn start_again(&self) -> Result<()> {
        if self.pid().is_some() {
            bail!("PostgreSQL is running: kill or stop it first");
        }
        let program = cluster::program("postgres")?;
        let folder = Arc::clone(&self.folder);
        let server =
            Server::start_as(self.account, "PostgreSQL", &program, &self.arguments, &[], folder)?;
        let server = Arc::new(server);
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&server));
        let url = self.url("postgres");
        server.wait_until(START_WITHIN, async || sql::answers(&url).await).await
    }

    /// Stops the server in order and starts it again.
    ///
    /// # Errors
    /// As [`PostgresServer::stop_fast`] and [`PostgresServer::start_again`].
    pub async fn restart(&self) -> Result<()> {
        self.stop_fast().await?;
        self.start_again().await
    }

    /// Stops the server in order (SIGINT): transactions are rolled back, sessions are told.
    ///
    /// # Errors
    /// When it has not ended within half a minute, as when it is paused.
    pub async fn stop_fast(&self) -> Result<()> {
        match self.process() {
            Some(process) => process.stop(Signal::INT, STOP_WITHIN).await,
            None => Ok(()),
        }
    }

    /// Crashes the server: ends all its processes at once (SIGKILL).
    ///
    /// Connections break and are refused from now on.
    pub fn kill(&self) {
        if let (Some(process), Some(pid)) = (self.process(), self.pid()) {
            processes::stop(pid, Signal::KILL);
            process.kill();
        }
    }

    /// Stops all its processes from running (SIGSTOP): connections stay and are taken, nothing
    /// answers.
    pub fn pause(&self) {
        if let Some(pid) = self.pid() {
            processes::stop(pid, Signal::STOP);
        }
    }

    /// Lets a paused server go on (SIGCONT).
    pub fn resume(&self) {
        if let Some(pid) = self.pid() {
            processes::resume(pid);
        }
    }

    /// Copies the server's data as a crash at this moment would leave them.
    ///
    /// Its processes stand still meanwhile (some 0.1 s for a small database).
    ///
    /// # Errors
    /// When the files cannot be copied.
    pub fn copy_data(&self) -> Result<Snapshot> {
        let folder = self.profile.folder()?;
        self.pause();
        let snapshot = Snapshot::take(&self.folder.path().join("data"), folder);
        self.resume();
        snapshot
    }

    /// Starts a server that is down with the data of a snapshot, on the port it had: what a
    /// standby that lags behind looks like once it has taken over.
    ///
    /// # Errors
    /// When it is running, the files cannot be copied, or it does not answer in time.
    pub async fn start_from(&self, snapshot: &Snapshot) -> Result<()> {
        if self.pid().is_some() {
            bail!("PostgreSQL is running: kill or stop it first");
        }
        snapshot.put_back(&self.folder.path().join("data"))?;
        self.start_again().await
    }

    /// Gives a server with a small disk more room, or less.
    ///
    /// # Errors
    /// When it has no disk of its own, or more than `mib` MiB are in use.
    pub fn resize_disk(&self, mib: u32) -> Result<()> {
        let disk = self.disk.as_ref().context("this server has no small disk")?;
        disk.resize(mib)
    }

    /// Whether it runs: a server ends by itself if it finds no room for its journal.
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// The command that writes a backup of one of its databases to standard output.
    ///
    /// # Errors
    /// When `pg_dump` is not installed (says how to).
    pub fn dump(&self, url: &str) -> Result<Command> {
        let mut command = Command::new(cluster::program("pg_dump")?);
        command.arg(url);
        Ok(command)
    }

    /// Everything the server has printed since it was first started.
    pub fn log(&self) -> String {
        self.process().map(|process| process.log()).unwrap_or_default()
    }

    fn process(&self) -> Option<Arc<Server>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pid(&self) -> Option<Pid> {
        self.process()?.pid()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let Some(pid) = self.pid() else { return };
        // A server that quits by itself gives its semaphores and shared memory back.
        self.resume();
        let asked = kill_process(pid, Signal::QUIT).is_ok();
        let started = Instant::now();
        while asked && self.pid().is_some() && started.elapsed() < QUIT_WITHIN {
            std::thread::sleep(QUIT_POLL_EVERY);
        }
        self.kill();
    }
}

#[cfg(test)]
mod tests;
