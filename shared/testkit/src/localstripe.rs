//! Payments: localstripe, somebody else's idea of what Stripe answers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::server::Server;
use crate::{http, programs};

const START_WITHIN: Duration = Duration::from_secs(30);

/// A private localstripe; ends when dropped.
///
/// It keeps customers, cards, payments and refunds, and sends signed webhooks. It ignores
/// idempotency keys and takes any secret key, so that it shows only that requests are understood.
#[derive(Debug)]
pub struct LocalStripe {
    _server: Server,
    address: SocketAddr,
}

impl LocalStripe {
    /// Starts a server without data (about a second).
    ///
    /// # Errors
    /// When the program is not installed (says how to) or does not start (shows its log).
    pub async fn start() -> Result<Self> {
        let python = programs::find("localstripe", "python")?;
        let program = programs::prepared("localstripe", "server.py")?;
        let folder = TempDir::with_prefix("testkit-localstripe-")?;
        let port = folder.path().join("port");
        let arguments = [program.to_string_lossy().into_owned()];
        let server = Server::start("localstripe", &python, &arguments, &[], folder)?;
        let address = || {
            let port = fs::read_to_string(&port).ok()?.parse().ok()?;
            Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        };
        let up = async || match address() {
            // It wants a key for everything, and says so.
            Some(address) => matches!(http::request(address, "GET", "/").await, Ok((401, _))),
            None => false,
        };
        server.wait_until(START_WITHIN, up).await?;
        let address = address().context("localstripe has written no port")?;
        Ok(Self { _server: server, address })
    }

    /// The address to give a client instead of Stripe's: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}
