//! Changes to the key file: a new key, one withdrawn.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use envelope::{Algorithm, KeyFileError};
use manifest::Manifest;
use serde_json::json;
use tasks::{TaskFilter, TaskState, TaskSummary};
use values::{Clock, Secret, Source};

use super::{Make, Opened, Rotate};
use crate::app::read_manifest;
use crate::cli::{Exit, Invocation, exit};
use crate::clock::SystemClock;
use crate::home::{Home, key_id};
use crate::storage::Location;

/// Waiting tasks of a withdrawn key that are counted; beyond that it says "or more".
const MAX_TOUCHED: u32 = 10_000;
/// Waiting tasks that are listed.
const LISTED: usize = 20;
/// Numbers tried for a new id; a key file holds fewer keys.
const MAX_NUMBER: u32 = 10_000;

/// An id for a new key, with the name of the file that hands it over.
struct NewId {
    id: String,
    file_name: String,
}

impl NewId {
    fn chosen(id: String) -> Self {
        Self { file_name: id.clone(), id }
    }

    /// The first number of the name that no key has, whatever the random part.
    fn free(name: &str, taken: &[&str]) -> Self {
        let is_free = |file_name: &String| {
            let longer = format!("{file_name}-");
            !taken.iter().any(|id| id == file_name || id.starts_with(&longer))
        };
        let mut numbers = 1..MAX_NUMBER;
        let number = numbers.find(|number| is_free(&format!("{name}-{number}")));
        let number = number.unwrap_or(MAX_NUMBER);
        Self { id: key_id(name, number), file_name: format!("{name}-{number}") }
    }
}

pub(super) async fn init(invocation: &Invocation, force: bool) -> Result<Exit> {
    let location = invocation.location()?;
    let database = match &location {
        Location::File(path) => Some(path.as_path()),
        Location::Server(_) => None,
    };
    let folder = invocation.settings.home_folder();
    let has_keys = Home::at(folder).keys_path().exists();
    if location.is_server() && !has_keys && !force && has_tasks(&location).await? {
        let error = anyhow!(
            "tasks in {} were proven with the keys of another host; copy its keys.json into {}, or, \
             if those keys are lost, add --force to make new ones, under which none of these tasks \
             can be proven",
            location.shown(),
            folder.display()
        );
        return Err(error.context(Exit::Settings));
    }
    let home = Home::init_keys(folder, database, force, SystemClock.now())
        .map_err(|error| error.context(Exit::Settings))?;
    let is_there = database.is_some_and(Path::exists);
    let waiting = if is_there { waiting(invocation, None).await? } else { vec![] };
    let output = invocation.output;
    let path = home.keys_path().display().to_string();
    if output.is_json() {
        let ids: Vec<_> = waiting.iter().map(|task| task.task_id).collect();
        output.json(&json!({ "file": path, "waitingTasks": ids }));
        return Ok(Exit::Completed);
    }
    output.line(&format!(
        "new keys are in {path}; `main-worker keys show` prints their public parts"
    ));
    if location.is_server() {
        output.line(
            "give every other host of this database the same file (mode 0600), in a folder that \
             MAIN_WORKER_HOME names",
        );
    }
    if !waiting.is_empty() {
        output.line(&format!(
            "{}{} waiting tasks were proven with, or sealed to, keys that this file does not have: \
             they are held and, unless their keys come back within `hold_limit`, end among the dead \
             letters; enqueue them again",
            waiting.len(),
            or_more(&waiting)
        ));
        list(invocation, &waiting);
    }
    Ok(Exit::Completed)
}

async fn has_tasks(location: &Location) -> Result<bool> {
    location.has_tasks().await.map_err(|error| {
        let error = error.context(
            "whether tasks were proven with the keys of another host is not known; mend this first, \
             or add --force to make keys all the same",
        );
        exit::of_opening(true, error)
    })
}

pub(super) fn make(invocation: &Invocation, mut opened: Opened, make: Make) -> Result<Exit> {
    let algorithm = if make.ed25519 { Algorithm::Ed25519 } else { Algorithm::Mac };
    let NewId { id, file_name } = proof_id(invocation, &opened, &make.source, make.id)?;
    opened.file.add_proof_key(&make.source, algorithm, &id, opened.now).map_err(refused)?;
    let handed = handed_over(&opened, &id)?;
    if make.print_secret {
        opened.home.write_keys(&opened.file)?;
        invocation.output.line(handed.expose());
        return Ok(Exit::Completed);
    }
    let path = store(&opened, &file_name, make.out, &handed)?;
    told(invocation, "made", &id, Some(&path));
    Ok(Exit::Completed)
}

pub(super) fn add(
    invocation: &Invocation,
    mut opened: Opened,
    source: &Source,
    public: &str,
    id: String,
) -> Result<Exit> {
    let NewId { id, file_name: _ } = proof_id(invocation, &opened, source, Some(id))?;
    opened.file.add_public_key(source, public, &id, opened.now).map_err(refused)?;
    opened.home.write_keys(&opened.file)?;
    told(invocation, "added", &id, None);
    Ok(Exit::Completed)
}

pub(super) fn rotate(invocation: &Invocation, mut opened: Opened, rotate: Rotate) -> Result<Exit> {
    let Some(source) = rotate.source else {
        let keys = opened.file.public_view().sealing;
        let taken: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let id = rotate.id.unwrap_or_else(|| NewId::free("sealing", &taken).id);
        opened.file.rotate_sealing(&id, opened.now).map_err(refused)?;
        opened.home.write_keys(&opened.file)?;
        told(invocation, "made", &id, None);
        return Ok(Exit::Completed);
    };
    let NewId { id, file_name } = proof_id(invocation, &opened, &source, rotate.id)?;
    opened.file.rotate(&source, &id, opened.now, rotate.overlap).map_err(refused)?;
    let handed = handed_over(&opened, &id)?;
    let path = store(&opened, &file_name, rotate.out, &handed)?;
    told(invocation, "made", &id, Some(&path));
    if !invocation.output.is_json() {
        let overlap = rotate.overlap;
        invocation.output.note(&format!(
            "older keys of `{source}` are taken for {overlap} more; running workers know the new one within a second"
        ));
    }
    Ok(Exit::Completed)
}

pub(super) async fn revoke(invocation: &Invocation, mut opened: Opened, id: &str) -> Result<Exit> {
    let manifest = read_manifest(&invocation.settings, &invocation.program);
    let in_manifest = manifest.is_ok_and(|(manifest, _)| is_in(&manifest, id));
    if in_manifest {
        let error = anyhow!("the key `{id}` is in worker.toml; remove its row there");
        return Err(error.context(Exit::Settings));
    }
    if opened.file.public_view().sealing.iter().any(|key| key.id == id) {
        let error = anyhow!(
            "`{id}` seals configuration and proves nobody; `main-worker keys rotate --sealing` makes another, and this one goes on opening what waits"
        );
        return Err(error.context(Exit::Usage));
    }
    opened.file.revoke(id, opened.now).map_err(refused)?;
    opened.home.write_keys(&opened.file)?;
    drop(opened);
    let touched = waiting(invocation, Some(id)).await?;
    tell_touched(invocation, id, &touched);
    Ok(Exit::Completed)
}

/// The tasks that wait or run, all or those proven with one key.
async fn waiting(invocation: &Invocation, key_id: Option<&str>) -> Result<Vec<TaskSummary>> {
    let app = invocation.open().await?;
    let filter = TaskFilter {
        states: vec![TaskState::Scheduled, TaskState::Available, TaskState::Running],
        key_id: key_id.map(str::to_owned),
        limit: MAX_TOUCHED,
        ..TaskFilter::default()
    };
    app.store.search(filter).await.map_err(exit::of_store)
}

fn or_more(tasks: &[TaskSummary]) -> &'static str {
    if tasks.len() == MAX_TOUCHED as usize { " or more" } else { "" }
}

fn tell_touched(invocation: &Invocation, id: &str, touched: &[TaskSummary]) {
    let output = invocation.output;
    let more = or_more(touched);
    if output.is_json() {
        let ids: Vec<_> = touched.iter().map(|task| task.task_id).collect();
        output.json(&json!({ "id": id, "revoked": true, "touchedTasks": ids }));
        return;
    }
    output.line(&format!("key `{id}` is withdrawn; running workers know within a second"));
    if touched.is_empty() {
        output.line("no waiting task was proven with it");
        return;
    }
    output.line(&format!(
        "{}{more} waiting tasks were proven with it: they will be refused with bad_proof and end \
         among the dead letters; enqueue them again with another key",
        touched.len()
    ));
    list(invocation, touched);
}

fn list(invocation: &Invocation, touched: &[TaskSummary]) {
    let output = invocation.output;
    let rows: Vec<Vec<String>> = touched
        .iter()
        .take(LISTED)
        .map(|t| {
            vec![t.task_id.to_string(), t.job_name.clone(), t.source.clone(), t.state.to_string()]
        })
        .collect();
    output.table(&["TASK", "JOB", "SOURCE", "STATE"], &rows);
    if touched.len() > LISTED {
        output.line(&format!("and {} more", touched.len() - LISTED));
    }
}

fn refused(error: KeyFileError) -> anyhow::Error {
    anyhow::Error::from(error).context(Exit::Usage)
}

/// Reads worker.toml; a key for a source that it does not know would prove nothing.
fn manifest_with(invocation: &Invocation, source: &Source) -> Result<Manifest> {
    let (manifest, origin) = read_manifest(&invocation.settings, &invocation.program)
        .map_err(|error| error.context(Exit::Settings))?;
    if manifest.sources.contains_key(source) {
        return Ok(manifest);
    }
    let names = manifest.sources.keys().map(Source::as_str);
    let hint = values::did_you_mean(source.as_str(), names).map_or_else(
        || format!("add a table [sources.{source}]"),
        |near| format!("did you mean `{near}`?"),
    );
    Err(anyhow!("{origin} has no source `{source}`; {hint}").context(Exit::Usage))
}

fn is_in(manifest: &Manifest, id: &str) -> bool {
    manifest.sources.values().any(|rules| rules.keys.iter().any(|row| row.id == id))
}

/// The id that was chosen, or one with the first number of the source that no key has.
///
/// An id that worker.toml has too would keep every worker from starting.
fn proof_id(
    invocation: &Invocation,
    opened: &Opened,
    source: &Source,
    chosen: Option<String>,
) -> Result<NewId> {
    let manifest = manifest_with(invocation, source)?;
    match chosen {
        Some(id) if is_in(&manifest, &id) => {
            let error = anyhow!("worker.toml has a key with the id `{id}`; choose another id");
            Err(error.context(Exit::Usage))
        }
        Some(id) => Ok(NewId::chosen(id)),
        None => {
            let keys = opened.file.public_view().proof;
            let rows = manifest.sources.values().flat_map(|rules| &rules.keys);
            let rows = rows.map(|row| row.id.as_str());
            let taken: Vec<&str> = keys.iter().map(|key| key.id.as_str()).chain(rows).collect();
            Ok(NewId::free(source.as_str(), &taken))
        }
    }
}

/// What the source needs to prove itself, and to seal configuration to the worker.
fn handed_over(opened: &Opened, id: &str) -> Result<Secret<String>> {
    let view = opened.file.public_view();
    let key = view.proof.iter().find(|key| key.id == id).context("the new key is in the file")?;
    let secret = opened.file.secret_text(id).context("the new key has a secret")?;
    let sealing = opened.file.newest_sealing_public().map(|key| key.to_string());
    let value = json!({
        "id": key.id, "source": key.source, "algorithm": key.algorithm, "secret": secret.expose(),
        "public": key.public, "sealing": sealing,
    });
    Ok(Secret::new(serde_json::to_string_pretty(&value)?))
}

/// Writes the source's file first, so that no key is taken that nobody was given.
fn store(
    opened: &Opened,
    file_name: &str,
    out: Option<PathBuf>,
    handed: &Secret<String>,
) -> Result<PathBuf> {
    let path = if let Some(path) = out {
        path
    } else {
        let folder = opened.home.folder().join("keys");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        folder.join(format!("{file_name}.json"))
    };
    write_private(&path, handed).map_err(|error| error.context(Exit::Usage))?;
    opened.home.write_keys(&opened.file).inspect_err(|_| {
        fs::remove_file(&path).ok();
    })?;
    Ok(path)
}

fn write_private(path: &Path, text: &Secret<String>) -> Result<()> {
    let shown = path.display();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {shown}; name a file that does not exist yet"))?;
    writeln!(file, "{}", text.expose()).with_context(|| format!("cannot write {shown}"))?;
    file.sync_all().with_context(|| format!("cannot write {shown}"))
}

fn told(invocation: &Invocation, verb: &str, id: &str, path: Option<&Path>) {
    let output = invocation.output;
    let path = path.map(|path| path.display().to_string());
    if output.is_json() {
        output.json(&json!({ "id": id, "file": path }));
        return;
    }
    output.line(&format!("key `{id}` {verb}; `main-worker keys show` lists the keys"));
    if let Some(path) = path {
        output.line(&format!("the source's secret is in {path} (readable by you alone)"));
    }
}
