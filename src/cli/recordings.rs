//! `main-worker recordings`: what is in the catalogue, and who is told of it.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Subcommand;
use models::recordings::{self, Recording, Webhook};
use models::{Project, projects};
use serde_json::json;
use values::{ProjectId, RecordingId};

use super::output::printable;
use super::{Exit, Invocation};
use crate::app::App;

/// Characters of an address, and of a secret, at the most.
const CHARS_MAX: usize = 2_000;
/// Characters of a secret at the least.
const SECRET_CHARS_MIN: usize = 16;

/// Arguments of `recordings`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker recordings list --project 18b191b6
  main-worker recordings webhook 18b191b6 --url https://customer.example/recordings
  main-worker recordings webhook 18b191b6 --remove")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Recordings,
}

#[derive(Debug, Subcommand)]
enum Recordings {
    /// List recordings of the catalogue, newest first, with the ids that other commands need
    List {
        /// Only those of this project: its id or its public key
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
        /// Also those that were deleted, and those whose archival is under way
        #[arg(long)]
        all: bool,
        /// Recordings at the most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Only those made before this one: the last of a page gives the next page
        #[arg(long, value_name = "RECORDING")]
        before: Option<RecordingId>,
    },
    /// Show, set or remove the address that is told of a project's recordings
    Webhook(WebhookArguments),
}

#[derive(Debug, clap::Args)]
struct WebhookArguments {
    /// The project: its id or its public key
    project: String,
    /// Tell this address, https://...
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the secret that signs what is sent, `-` for stdin; one is made and shown when absent
    #[arg(long, value_name = "FILE", requires = "url")]
    secret_file: Option<PathBuf>,
    /// Tell nobody any more
    #[arg(long, conflicts_with = "url")]
    remove: bool,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    match arguments.command {
        Recordings::List { project, all, limit, before } => {
            let app = invocation.open().await?;
            let project = match project {
                Some(name) => Some(find(&app, &name).await?.id),
                None => None,
            };
            let found = recordings::newest(&app.db, project, all, before, limit).await?;
            list(invocation, &found, limit);
            Ok(Exit::Completed)
        }
        Recordings::Webhook(arguments) => webhook(invocation, arguments).await,
    }
}

/// Finds the project of an id or a public key.
async fn find(app: &App, name: &str) -> Result<Project> {
    let found = match name.parse::<ProjectId>() {
        Ok(id) => projects::get(&app.db, id).await?,
        Err(_) => projects::find_by_public_keys(&app.db, &[name.to_owned()]).await?.pop(),
    };
    found.ok_or_else(|| {
        let shown = printable(name);
        anyhow!("there is no project `{shown}`; `main-worker export project` lists all")
            .context(Exit::Usage)
    })
}

fn list(invocation: &Invocation, found: &[Recording], limit: u32) {
    let output = invocation.output;
    if output.is_json() {
        let recording = |recording: &Recording| {
            json!({
                "recordingId": recording.id, "projectId": recording.project_id,
                "streamId": recording.stream_id, "name": recording.name,
                "key": recording.object_key, "posterKey": recording.poster_key,
                "sizeBytes": recording.size_bytes, "durationMs": recording.duration_ms,
                "recordedAt": recording.recorded_at, "cataloguedAt": recording.catalogued_at,
                "deletedAt": recording.deleted_at,
            })
        };
        output.json(&found.iter().map(recording).collect::<Vec<_>>());
    } else if found.is_empty() {
        output.line("no such recording");
    } else {
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        let head = ["RECORDING", "KEY", "BYTES", "SECONDS", "RECORDED", "STATE"];
        output.table(&head, &rows);
        if let Some(last) = found.last().filter(|_| found.len() == limit as usize) {
            output.note(&format!("there may be more: --before {}", last.id));
        }
    }
}

fn row(recording: &Recording) -> Vec<String> {
    let state = match (recording.deleted_at, recording.catalogued_at) {
        (Some(at), _) => format!("deleted {at}"),
        (None, Some(_)) => "archived".to_owned(),
        (None, None) => "under way".to_owned(),
    };
    let text = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |it| it.to_string());
    vec![
        recording.id.to_string(),
        recording.object_key.clone(),
        text(recording.size_bytes),
        text(recording.duration_ms.map(|millis| millis / 1_000)),
        recording.recorded_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        state,
    ]
}

async fn webhook(invocation: &Invocation, arguments: WebhookArguments) -> Result<Exit> {
    let WebhookArguments { project, url, secret_file, remove } = arguments;
    let wanted = url.map(|url| wanted(url, secret_file.as_deref())).transpose();
    let wanted = wanted.map_err(|error| error.context(Exit::Usage))?;
    let app = invocation.open().await?;
    let project = find(&app, &project).await?.id;
    let is_change = remove || wanted.is_some();
    if is_change {
        let mut transaction = app.db.begin().await?;
        let mut tx = transaction.tx();
        match &wanted {
            Some((webhook, _)) => {
                recordings::set_webhook(&mut tx, project, webhook, app.clock.now()).await?;
            }
            None => recordings::remove_webhook(&mut tx, project).await?,
        }
        transaction.commit().await?;
    }
    let url = recordings::webhook(&app.db, project).await?.map(|webhook| webhook.url);
    // Shown once, when it is made: whoever checks the signatures needs it.
    let made = wanted.filter(|(_, is_made)| *is_made).map(|(webhook, _)| webhook.secret);
    let output = invocation.output;
    if output.is_json() {
        output.json(&json!({ "projectId": project, "url": url, "secret": made }));
        return Ok(Exit::Completed);
    }
    output.line(&match &url {
        Some(url) => format!("{project}: recordings are announced to {}", printable(url)),
        None => format!("{project}: recordings are announced to nobody"),
    });
    if let Some(secret) = made {
        output.line(&format!("secret of its signatures, shown this once: {secret}"));
    }
    Ok(Exit::Completed)
}

/// The webhook that is asked for, and whether its secret was made here.
fn wanted(url: String, secret_file: Option<&Path>) -> Result<(Webhook, bool)> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_address = host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?']))
        && url.chars().all(|letter| letter.is_ascii_graphic())
        && url.len() <= CHARS_MAX;
    ensure!(is_address, "`{}` is no address; write https://HOST/PATH", printable(&url));
    let Some(file) = secret_file else {
        let secret = values::hex(&tasks::random_bytes::<32>());
        return Ok((Webhook { url, secret }, true));
    };
    let shown = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(CHARS_MAX as u64 + 2).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(file).with_context(|| format!("cannot read {shown}"))?;
        file.take(CHARS_MAX as u64 + 2).read_to_string(&mut text)
    };
    read.with_context(|| format!("cannot read {shown}"))?;
    let secret = text.trim_end_matches(['\r', '\n']).to_owned();
    if !(SECRET_CHARS_MIN..=CHARS_MAX).contains(&secret.len()) {
        bail!("a secret has {SECRET_CHARS_MIN} to {CHARS_MAX} bytes, this one {}", secret.len());
    }
    Ok((Webhook { url, secret }, false))
}
