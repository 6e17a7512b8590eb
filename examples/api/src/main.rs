//! Serves the example: `cargo run -p api`, with the address as its only argument if 127.0.0.1:8080
//! is taken. The crate's documentation says what to do before and how to ask.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use api::{Api, Place};
use tokio::net::TcpListener;
use values::Secret;

/// Where the API listens unless told otherwise.
const ADDRESS: &str = "127.0.0.1:8080";
/// The folder that `main-worker` made; its database is used unless `DATABASE_URL` names a server.
const HOME: &str = ".main-worker";
/// What `main-worker keys make --source api` wrote for the API, and for nobody else.
const KEY_FILE: &str = ".main-worker/keys/api-1.json";
/// The rules, the same file that the worker reads.
const MANIFEST: &str = "worker.toml";

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| ADDRESS.to_owned());
    let manifest = std::fs::read_to_string(MANIFEST).with_context(|| {
        format!("cannot read {MANIFEST}; start the API where the worker starts")
    })?;
    let url = server_url();
    let place = url.as_ref().map_or(Place::Folder(Path::new(HOME)), Place::Server);
    let api = Api::open(place, Path::new(KEY_FILE), &manifest).await?;
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    api::serve(listener, api).await
}

/// What the worker is told too.
#[expect(clippy::disallowed_methods, reason = "the settings of the worker are none of the API's")]
fn server_url() -> Option<Secret<String>> {
    std::env::var("DATABASE_URL").ok().map(Secret::new)
}
