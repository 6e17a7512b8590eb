//! `main-worker keys`: makes, shows, rotates and withdraws keys.

mod change;

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use envelope::{KeyFile, ProofKeyView, SealingKeyView};
use manifest::Manifest;
use serde_json::json;
use values::{Clock, Source, Span, Timestamp};

use super::{Exit, Invocation};
use crate::app::read_manifest;
use crate::clock::SystemClock;
use crate::home::Home;

/// Arguments of `keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker keys show
  main-worker keys make --source api --ed25519 --out api.json    (hand api.json to the API)
  main-worker keys add --source media_host --public ed25519:... --id host-1
  main-worker keys rotate --source scheduler --overlap 7d
  main-worker keys revoke api-1-k7f3")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Keys,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Show every key without its secret, with the lines for worker.toml
    Show,
    /// Make the first keys, or new ones in place of a key file that is lost
    Init {
        /// Make them beside a database, whose waiting tasks can then not be proven
        #[arg(long)]
        force: bool,
    },
    /// Make a key with which a source proves itself
    Make(Make),
    /// Add the public part of a key that only its source holds
    Add {
        /// The source it proves
        #[arg(long, value_name = "SOURCE")]
        source: Source,
        /// The public part, ed25519:BASE64URL
        #[arg(long, value_name = "KEY")]
        public: String,
        /// Id of the key
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Replace the keys of a source, or the one that configuration is sealed to
    Rotate(Rotate),
    /// Withdraw a key at once, and count the waiting tasks this touches
    Revoke {
        /// Id of the key
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct Make {
    /// The source that is to prove itself
    #[arg(long, value_name = "SOURCE")]
    source: Source,
    /// Make an Ed25519 key, whose checking half cannot prove; a MAC key otherwise
    #[arg(long)]
    ed25519: bool,
    /// Id of the key; SOURCE, a number and four random characters when absent
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// File for the source, with the secret; keys/SOURCE-NUMBER.json, or keys/ID.json for a
    /// chosen id, in the home folder when absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the secret on stdout instead of writing a file
    #[arg(long, conflicts_with = "out")]
    print_secret: bool,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// The source whose keys are replaced
    #[arg(
        long,
        value_name = "SOURCE",
        required_unless_present = "sealing",
        conflicts_with = "sealing"
    )]
    source: Option<Source>,
    /// Replace the key that configuration is sealed to; the old one goes on opening
    #[arg(long)]
    sealing: bool,
    /// How long the old keys are still taken
    #[arg(long, value_name = "SPAN", default_value = "7d", conflicts_with = "sealing", value_parser = super::bounds::wait)]
    overlap: Span,
    /// Id of the new key; the next free number and four random characters when absent
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// File for the source, with the secret; as `make` names it when absent
    #[arg(long, value_name = "FILE", conflicts_with = "sealing")]
    out: Option<PathBuf>,
}

/// The key file, read and locked against other `keys` commands.
struct Opened {
    home: Home,
    file: KeyFile,
    now: Timestamp,
    _lock: File,
}

impl Opened {
    /// Opens the home folder; makes it, with its first keys, if it is missing.
    fn new(invocation: &Invocation) -> Result<Self> {
        let now = SystemClock.now();
        let home = invocation.location()?.home(invocation.settings.home_folder(), now)?;
        let path = home.folder().join("keys.lock");
        let lock =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        let file = home.read_keys()?;
        Ok(Self { home, file, now, _lock: lock })
    }
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    let opened = || Opened::new(invocation).map_err(|error| error.context(Exit::Settings));
    match arguments.command {
        Keys::Show => show(invocation, &opened()?.file),
        Keys::Init { force } => change::init(invocation, force).await,
        Keys::Make(make) => change::make(invocation, opened()?, make),
        Keys::Add { source, public, id } => {
            change::add(invocation, opened()?, &source, &public, id)
        }
        Keys::Rotate(rotate) => change::rotate(invocation, opened()?, rotate),
        Keys::Revoke { id } => change::revoke(invocation, opened()?, &id).await,
    }
}

/// What a key may be used for now.
fn proof_state(key: &ProofKeyView, now: Timestamp) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at < now => format!("expired {at}"),
        (None, Some(at)) => format!("taken until {at}"),
        (None, None) => "in use".to_owned(),
    }
}

fn sealing_state(key: &SealingKeyView) -> String {
    key.retired_at.map_or_else(|| "in use".to_owned(), |at| format!("opens only, retired {at}"))
}

fn show(invocation: &Invocation, file: &KeyFile) -> Result<Exit> {
    let (manifest, origin) = read_manifest(&invocation.settings, &invocation.program)
        .map_err(|error| error.context(Exit::Settings))?;
    let view = file.public_view();
    let output = invocation.output;
    if output.is_json() {
        output.json(&json!({
            "proof": view.proof, "sealing": view.sealing, "manifest": manifest_keys(&manifest),
        }));
        return Ok(Exit::Completed);
    }
    let now = SystemClock.now();
    let mut rows = Vec::new();
    for key in &view.proof {
        let public = key.public.clone().unwrap_or_else(|| "-".to_owned());
        let (id, source) = (key.id.clone(), key.source.to_string());
        rows.push(vec![id, source, key.algorithm.to_string(), proof_state(key, now), public]);
    }
    for (source, rules) in &manifest.sources {
        for row in &rules.keys {
            let state = match row.expires_at {
                Some(at) if at < now => format!("expired {at}"),
                Some(at) => format!("taken until {at}"),
                None => "in use".to_owned(),
            };
            let state = format!("{state}, in {origin}");
            let (id, source) = (row.id.clone(), source.to_string());
            rows.push(vec![id, source, "ed25519".to_owned(), state, row.public_key_text()]);
        }
    }
    output.table(&["KEY", "SOURCE", "ALGORITHM", "STATE", "PUBLIC PART"], &rows);
    output.line("\nconfiguration is sealed to");
    for key in &view.sealing {
        output.line(&format!("  {}  {}", key.public, sealing_state(key)));
    }
    let publics = view.proof.iter().filter(|key| key.revoked_at.is_none());
    for key in publics.filter(|key| key.public.is_some()) {
        output.line(&format!("\nfor [sources.{}] in another worker.toml", key.source));
        output.line(&format!("  keys = [{}]", manifest_row(key)));
    }
    Ok(Exit::Completed)
}

/// A key as a row of `keys` in worker.toml.
fn manifest_row(key: &ProofKeyView) -> String {
    let expires = key.expires_at.map_or_else(String::new, |at| format!(", expires_at = \"{at}\""));
    let public = key.public.as_deref().unwrap_or_default();
    format!("{{ id = \"{}\", public_key = \"{public}\"{expires} }}", key.id)
}

fn manifest_keys(manifest: &Manifest) -> Vec<serde_json::Value> {
    let mut keys = Vec::new();
    for (source, rules) in &manifest.sources {
        for row in &rules.keys {
            let public = row.public_key_text();
            keys.push(json!({
                "id": row.id, "source": source, "public": public, "expiresAt": row.expires_at,
            }));
        }
    }
    keys
}
