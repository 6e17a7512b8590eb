//! A media host: nginx with its RTMP module, which records what is published to it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::ports::KeptPort;
use crate::programs;
use crate::server::Server;

const START_WITHIN: Duration = Duration::from_secs(30);
const CONFIGURATION: &str = "nginx.conf";
/// Where Debian puts the program and its module.
const PROGRAM: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// A private RTMP server that records all streams as FLV; ends when dropped.
#[derive(Debug)]
pub struct RtmpServer {
    server: Server,
    port: KeptPort,
}

impl RtmpServer {
    /// Starts a server that records into `folder` and tells `on_record_done`, an address, of each
    /// file that is complete.
    ///
    /// # Errors
    /// When the program is not installed (says how to) or does not start (shows its log).
    pub async fn start(folder: &Path, on_record_done: &str) -> Result<Self> {
        let program =
            if fs::exists(MODULE)? { PROGRAM.into() } else { programs::find("rtmp", MODULE)? };
        let own = TempDir::with_prefix("testkit-rtmp-")?;
        let port = KeptPort::choose().context("no free port")?;
        let configuration = configuration(port.address, folder, on_record_done);
        fs::write(own.path().join(CONFIGURATION), configuration)?;
        let prefix = format!("{}/", own.path().display());
        let arguments = ["-p", &prefix, "-c", CONFIGURATION, "-e", "stderr"].map(str::to_owned);
        let server = Server::start("nginx", &program, &arguments, &[], own)?;
        let started = Self { server, port };
        let address = started.port.address;
        let listens = async || TcpStream::connect(address).await.is_ok();
        started.server.wait_until(START_WITHIN, listens).await?;
        Ok(started)
    }

    /// The address to publish a stream to: `rtmp://127.0.0.1:PORT/live/NAME`.
    pub fn url(&self, stream: &str) -> String {
        format!("rtmp://{}/live/{stream}", self.port.address)
    }

    /// Everything the server has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

fn configuration(own: SocketAddr, folder: &Path, on_record_done: &str) -> String {
    // As one user, so that root's folders can be written to.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off;\nmaster_process off;\n{user}\nload_module {MODULE};\npid nginx.pid;\n\
         error_log stderr notice;\nevents {{ worker_connections 64; }}\n\
         rtmp {{ server {{ listen {own}; notify_method post;\n\
           application live {{ live on; record all; record_path '{}';\n\
             record_suffix .%Y%m%dT%H%M%S.flv; on_record_done '{on_record_done}'; }} }} }}\n",
        folder.display()
    )
}
