//! Error reports: Bugsink, which speaks Sentry's protocol and keeps events in a SQLite file.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::server::Server;
use crate::{http, programs};

const START_WITHIN: Duration = Duration::from_mins(1);
const READ_WITHIN: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(100);
const PROJECT_ID: u32 = 1;
const READ_EVENTS: &str = "
import json, sqlite3
rows = sqlite3.connect('db.sqlite3', timeout=10).execute(
    'SELECT data FROM events_event ORDER BY project_digest_order, digested_at')
print(json.dumps([json.loads(row[0]) for row in rows]))
";

/// A private server for Sentry's protocol (Bugsink); ends when dropped.
#[derive(Debug)]
pub struct SentryServer {
    server: Server,
    python: PathBuf,
    address: SocketAddr,
    dsn: String,
}

impl SentryServer {
    /// Starts a server with one empty project (about a second).
    ///
    /// # Errors
    /// When the program is not installed (says how to) or does not start (shows its log).
    pub async fn start() -> Result<Self> {
        let program = programs::find("sentry", "gunicorn")?;
        let python = programs::find("sentry", "python")?;
        let template = programs::prepared("sentry", "template")?;
        let folder = TempDir::with_prefix("testkit-sentry-")?;
        for file in fs::read_dir(template)? {
            let file = file?;
            fs::copy(file.path(), folder.path().join(file.file_name()))?;
        }
        let key = fs::read_to_string(folder.path().join("project_key"))
            .context("the project's key is missing: run ci/services sentry")?;
        let arguments = [
            "--bind=127.0.0.1:0",
            "--workers=1",
            "--threads=4",
            "--no-control-socket",
            "bugsink.wsgi",
        ]
        .map(str::to_owned);
        let configuration = folder.path().to_owned();
        let environment = [
            ("PYTHONPATH", configuration.as_path()),
            ("DJANGO_SETTINGS_MODULE", "bugsink_conf".as_ref()),
        ];
        let server = Server::start("Bugsink", &program, &arguments, &environment, folder)?;

        let mut found = None;
        let up = async || {
            found = listening_port(&server.log());
            let Some(port) = found else { return false };
            let ready = http::request(local(port), "GET", "/health/ready").await;
            matches!(ready, Ok((200, _)))
        };
        server.wait_until(START_WITHIN, up).await?;
        let address = local(found.expect("a server that answers has a port"));
        let dsn = format!("http://{}@{address}/{PROJECT_ID}", key.trim());
        Ok(Self { server, python, address, dsn })
    }

    /// The address to give a Sentry client.
    pub fn dsn(&self) -> &str {
        &self.dsn
    }

    /// The server's address and port, for a [`Proxy`](crate::Proxy).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same project as [`SentryServer::dsn`], reached through another address.
    pub fn dsn_through(&self, proxy: SocketAddr) -> String {
        self.dsn.replace(&self.address.to_string(), &proxy.to_string())
    }

    /// Reads every event the server has stored, oldest first, as the client sent them.
    ///
    /// Also works while the server is paused and after it was killed.
    ///
    /// # Errors
    /// When the server's database cannot be read.
    pub async fn events(&self) -> Result<Vec<Value>> {
        let output = Command::new(&self.python)
            .args(["-c", READ_EVENTS])
            .current_dir(self.server.folder())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(READ_WITHIN, output).await??;
        ensure!(
            output.status.success(),
            "cannot read the events: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Waits until the server has stored at least `count` events and returns all of them.
    ///
    /// # Errors
    /// When there are fewer after `within`; shows what did arrive.
    pub async fn wait_for_events(&self, count: usize, within: Duration) -> Result<Vec<Value>> {
        let started = Instant::now();
        loop {
            let events = self.events().await?;
            if events.len() >= count {
                return Ok(events);
            }
            ensure!(
                started.elapsed() < within,
                "{} of {count} events after {within:?}: {events:?}\n{}",
                events.len(),
                self.log()
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Ends the server at once (SIGKILL): connections to it are refused from now on.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Stops the server from running (SIGSTOP): connections are taken, nothing answers.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets a paused server go on (SIGCONT).
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Everything the server has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// Finds the port in the line that gunicorn prints once it listens.
fn listening_port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("Listening at: http://127.0.0.1:")?;
    rest.split_once(' ')?.0.parse().ok()
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn send_event(server: &SentryServer, id: char, message: &str) {
        let id = id.to_string().repeat(32);
        let body = format!(
            "{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n\
             {{\"event_id\":\"{id}\",\"message\":\"{message}\",\"level\":\"error\",\
             \"timestamp\":1790000000,\"platform\":\"native\"}}\n"
        );
        let key = server.dsn.split(['/', '@']).nth(2).unwrap();
        let request = format!(
            "POST /api/1/envelope/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             X-Sentry-Auth: Sentry sentry_key={key}, sentry_version=7\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn keeps_events_in_order_and_each_server_its_own() {
        let (one, two) = tokio::try_join!(SentryServer::start(), SentryServer::start()).unwrap();
        assert!(one.events().await.unwrap().is_empty());
        send_event(&one, 'a', "first").await;
        send_event(&one, 'b', "second").await;
        send_event(&two, 'c', "elsewhere").await;
        let events = one.wait_for_events(2, READ_WITHIN).await.unwrap();
        let messages: Vec<_> = events.iter().map(|event| &event["message"]).collect();
        assert_eq!(messages, ["first", "second"]);
        one.kill();
        assert_eq!(one.events().await.unwrap().len(), 2);
        assert!(one.wait_for_events(3, Duration::ZERO).await.is_err());
        assert_eq!(two.events().await.unwrap()[0]["message"], "elsewhere");
        let proxied = one.dsn_through(([127, 0, 0, 1], 9).into());
        assert!(proxied.ends_with("@127.0.0.1:9/1"), "{proxied}");
    }

    #[test]
    fn finds_the_port_only_in_a_whole_line() {
        let check = |log, expected| assert_eq!(listening_port(log), expected, "{log}");
        check("[INFO] Listening at: http://127.0.0.1:42985 (13202)", Some(42985));
        check("[INFO] Listening at: http://127.0.0.1:429", None);
        check("", None);
    }
}
