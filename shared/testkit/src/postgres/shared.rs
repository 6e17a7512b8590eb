//! One fast server for all tests that do not break it, and a database for each test.

use std::env::temp_dir;
use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::sync::Mutex;

use super::{POLL_EVERY, PostgresServer, Profile, START_WITHIN, arguments, cluster, sql};
use crate::account::Account;
use crate::ports::KeptPort;
use crate::programs;

/// Tests hold pools, and there are as many at a time as processors.
const CONNECTIONS_MAX: &str = "300";
/// What nextest calls the run in the environment of its tests.
const RUN_ID: &str = "NEXTEST_RUN_ID";
/// Runs a server in its folder `$3` until the process `$1` has ended, then removes that and `$2`.
const KEEPER: &str = r#"
run=$1 folder=$2 own=$3; shift 3
"$@" &
tail --pid="$run" --sleep-interval=0.2 -f /dev/null
kill -QUIT $!; wait; rm -rf "$own" "$folder""#;

/// The server that tests share, so none kills or pauses it; it never waits for the disk.
///
/// Under nextest all tests of a run share one, which the first to ask for it starts and which ends
/// with the run. Elsewhere the tests of one process share one, as long as any of them holds it.
#[derive(Debug, Clone)]
pub struct SharedPostgres {
    address: SocketAddr,
    // Only ever dropped, never asked.
    _own: Option<Arc<PostgresServer>>,
}

/// Finds the shared server, or starts it.
///
/// # Errors
/// When the program is not installed (says how to) or does not start (shows its log).
pub async fn shared_postgres() -> Result<SharedPostgres> {
    static OF_THE_PROCESS: Mutex<Weak<PostgresServer>> = Mutex::const_new(Weak::new());
    if let Some(run) = programs::variable(RUN_ID) {
        let run = run.into_string().ok().context("the run's id is not text")?;
        return Ok(SharedPostgres { address: of_the_run(&run, parent_id()).await?, _own: None });
    }
    let mut known = OF_THE_PROCESS.lock().await;
    let server = if let Some(server) = known.upgrade() {
        server
    } else {
        let options = PostgresServer::options(Profile::Fast);
        Arc::new(options.set("max_connections", CONNECTIONS_MAX).start().await?)
    };
    *known = Arc::downgrade(&server);
    Ok(SharedPostgres { address: server.address(), _own: Some(server) })
}

impl SharedPostgres {
    /// The address of a database: `postgres://postgres@127.0.0.1:PORT/NAME`.
    pub fn url(&self, database: &str) -> String {
        sql::url(self.address, database)
    }

    /// The server's address and port, for a [`Proxy`](crate::Proxy).
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Finds the server of a test run by the folder it lies in; the first test makes both.
async fn of_the_run(run: &str, until_end_of: u32) -> Result<SocketAddr> {
    let folder = folder_of(run);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join("address");
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    // Whoever starts the server holds the lock until it answers.
    let lock = move || file.lock().map(|()| file);
    file = tokio::task::spawn_blocking(lock).await??;
    let mut address = String::new();
    file.read_to_string(&mut address)?;
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    let address = start_for_run(&folder, until_end_of).await?;
    file.write_all(address.to_string().as_bytes())?;
    Ok(address)
}

fn folder_of(run: &str) -> PathBuf {
    temp_dir().join(format!("testkit-postgres-{run}"))
}

/// Starts a server that outlives the test's process and ends with the run.
async fn start_for_run(folder: &Path, until_end_of: u32) -> Result<SocketAddr> {
    let account = Account::unprivileged()?;
    let program = cluster::program("postgres")?;
    let own = Profile::Fast.folder()?.keep();
    account.own(&own)?;
    cluster::create(&own.join("data"), account)?;
    let port = KeptPort::choose().context("no free port")?;
    let settings = [("max_connections".to_owned(), CONNECTIONS_MAX.to_owned())];
    let log = own.join("server.log");
    let output = File::create(&log)?;
    // The keeper is nobody's child soon; a group of its own keeps a terminal's Ctrl-C from it.
    Command::new("sh")
        .args(["-c", KEEPER, "keeper", &until_end_of.to_string()])
        .arg(folder)
        .arg(&own)
        .args(["setpriv", "--pdeathsig", "KILL"])
        .args(account.setpriv_arguments())
        .arg("--")
        .arg(program)
        .args(arguments(Profile::Fast, port.address, &settings))
        .current_dir(own)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    let started = Instant::now();
    while !sql::answers(&sql::url(port.address, "postgres")).await {
        ensure!(
            started.elapsed() < START_WITHIN,
            "PostgreSQL did not answer within {START_WITHIN:?}:\n{}",
            fs::read_to_string(&log).unwrap_or_default()
        );
        tokio::time::sleep(POLL_EVERY).await;
    }
    Ok(port.address)
}

#[cfg(test)]
mod tests {
    use std::process;
    use std::time::Duration;

    use tokio::net::TcpStream;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn is_started_once_in_a_run_and_ends_with_it() {
        let mut run = Command::new("sleep").arg("1000").spawn().unwrap();
        let id = format!("of-test-{}", process::id());
        let (one, two) =
            tokio::try_join!(of_the_run(&id, run.id()), of_the_run(&id, run.id())).unwrap();
        assert_eq!(one, two);
        assert!(sql::answers(&sql::url(one, "postgres")).await);

        run.kill().unwrap();
        run.wait().unwrap();
        let started = Instant::now();
        while folder_of(&id).exists() {
            assert!(started.elapsed() < WITHIN, "the server outlives the run");
            tokio::time::sleep(POLL_EVERY).await;
        }
        assert!(TcpStream::connect(one).await.is_err());
    }
}
