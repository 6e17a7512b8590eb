//! Object storage: SeaweedFS, which keeps objects on disk and checks signatures.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::server::Server;
use crate::{http, ports, programs};

const ACCESS_KEY_ID: &str = "testkit";
const SECRET_ACCESS_KEY: &str = "testkit-secret-access-key";
const START_WITHIN: Duration = Duration::from_mins(1);
/// Another process may take a port between our asking for it and the server's taking it.
const START_ATTEMPTS: usize = 3;

/// A private S3 server (SeaweedFS) that checks signatures; ends when dropped.
#[derive(Debug)]
pub struct S3Server {
    server: Server,
    ports: Ports,
    endpoint: String,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    master: [u16; 2],
    volume: [u16; 2],
    filer: [u16; 2],
    s3: [u16; 2],
}

impl S3Server {
    /// Starts a server and waits until it can store an object (3 to 4 seconds).
    ///
    /// # Errors
    /// When the program is not installed (says how to) or does not start (shows its log).
    pub async fn start() -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_once().await {
                Ok(server) => return Ok(server),
                Err(error) if attempt == START_ATTEMPTS || !is_clash(&error) => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    async fn start_once() -> Result<Self> {
        let program = programs::find("s3", "weed")?;
        let folder = TempDir::with_prefix("testkit-s3-")?;
        fs::create_dir(folder.path().join("data"))?;
        let identities = serde_json::json!({ "identities": [{
            "name": "testkit",
            "credentials": [{ "accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        fs::write(folder.path().join("identities.json"), identities.to_string())?;
        let ports = Ports::choose()?;
        let arguments = ports.arguments(folder.path());
        let server = Server::start("SeaweedFS", &program, &arguments, &[], folder)?;
        let endpoint = format!("http://{}", local(ports.s3[0]));
        let started = Self { server, ports, endpoint };
        started.server.wait_until(START_WITHIN, async || started.stores_objects().await).await?;
        Ok(started)
    }

    /// The address to give an S3 client as its endpoint: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The endpoint's address and port, for a [`Proxy`](crate::Proxy).
    pub fn address(&self) -> SocketAddr {
        local(self.ports.s3[0])
    }

    /// The one key id the server knows.
    pub fn access_key_id(&self) -> &'static str {
        ACCESS_KEY_ID
    }

    /// The secret that belongs to [`S3Server::access_key_id`].
    pub fn secret_access_key(&self) -> &'static str {
        SECRET_ACCESS_KEY
    }

    /// Makes an empty bucket.
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        // The server's own file interface needs no signature.
        let path = format!("/buckets/{name}/");
        let (status, body) = http::request(local(self.ports.filer[0]), "POST", &path).await?;
        ensure!(status == 201, "cannot create bucket `{name}`: {status} {body}");
        Ok(())
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

    /// Asks each of the parts an upload needs: the S3 door (a refusal shows that it checks
    /// signatures), the filer, and the master for a volume with room.
    async fn stores_objects(&self) -> bool {
        let Ports { master, volume: _, filer, s3 } = self.ports;
        is_status(s3[0], "/", 403).await
            && is_status(filer[0], "/", 200).await
            && is_status(master[0], "/dir/assign", 200).await
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.server.kill();
        let Ports { master, volume, filer, s3 } = self.ports;
        for (part, port) in [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)] {
            // The server puts these where no option can move them; some may not exist yet.
            let socket = format!("/tmp/seaweedfs-{part}-grpc-{}.sock", port[1]);
            fs::remove_file(socket).ok();
        }
    }
}

impl Ports {
    fn choose() -> Result<Self> {
        let ports: [u16; 8] = ports::free_ports().context("no free port")?;
        let pair = |first: usize| [ports[first], ports[first + 1]];
        Ok(Self { master: pair(0), volume: pair(2), filer: pair(4), s3: pair(6) })
    }

    fn arguments(self, folder: &Path) -> Vec<String> {
        let Self { master, volume, filer, s3 } = self;
        let mut arguments: Vec<String> = [
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-dir=data",
            "-filer",
            "-s3",
            "-s3.config=identities.json",
            // Two more doors that would take fixed ports.
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=40",
            "-master.volumeSizeLimitMB=64",
            "-master.electionTimeout=1s",
            "-master.telemetry=false",
        ]
        .map(str::to_owned)
        .into();
        for (part, port) in [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)] {
            arguments.push(format!("-{part}.port={}", port[0]));
            arguments.push(format!("-{part}.port.grpc={}", port[1]));
        }
        for part in ["filer", "s3"] {
            let socket = folder.join(part).with_extension("sock");
            arguments.push(format!("-{part}.localSocket={}", socket.display()));
        }
        arguments
    }
}

async fn is_status(port: u16, path: &str, expected: u16) -> bool {
    matches!(http::request(local(port), "GET", path).await, Ok((status, _)) if status == expected)
}

fn is_clash(error: &anyhow::Error) -> bool {
    error.to_string().contains("address already in use")
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refuses_the_unsigned_and_connections_once_it_is_killed() {
        let server = S3Server::start().await.unwrap();
        server.create_bucket("edge-logs").await.unwrap();
        let (status, body) = http::request(server.address(), "GET", "/edge-logs").await.unwrap();
        assert_eq!(status, 403, "{body}");
        assert!(!server.log().is_empty());

        server.pause();
        let paused = http::request(server.address(), "GET", "/").await.unwrap_err();
        assert!(paused.to_string().contains("no answer"), "{paused}");
        server.resume();
        assert!(is_status(server.ports.s3[0], "/", 403).await);

        let folder = server.server.folder().to_owned();
        server.kill();
        assert!(http::request(server.address(), "GET", "/").await.is_err());
        drop(server);
        assert!(!folder.exists());
    }
}
