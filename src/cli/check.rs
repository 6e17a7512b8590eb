//! `main-worker check`: whether everything a worker needs is there, and what to do if not.

mod sources;

use std::path::{Path, PathBuf};

use anyhow::Result;
use database::Db;
use manifest::Manifest;
use serde::Serialize;
use values::Clock;

use super::{Exit, Invocation, exit};
use crate::app::{App, read_manifest};
use crate::clock::SystemClock;
use crate::configuration::{self, Sections};
use crate::home::{DEFAULT_FOLDER, Home};
use crate::keys::read_keys;
use crate::writable;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker check
  main-worker check --manifest worker.toml     (the file alone, as a build does it)")]
pub(super) struct Arguments {
    /// Check this worker.toml and nothing else
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    ok: bool,
    /// What was found, or what is wrong and what to do.
    detail: String,
}

/// The lines so far.
#[derive(Debug, Default)]
struct Findings {
    lines: Vec<Line>,
}

impl Findings {
    /// Notes how a step ended; hands on what it found.
    fn add<T>(&mut self, what: &str, found: Result<(T, String)>) -> Option<T> {
        let (value, ok, detail) = match found {
            Ok((value, detail)) => (Some(value), true, detail),
            Err(error) => (None, false, exit::describe(&error)),
        };
        self.lines.push(Line { what: what.to_owned(), ok, detail });
        value
    }
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    let mut findings = Findings::default();
    if let Some(path) = arguments.manifest {
        let mut only = invocation.clone();
        only.settings.manifest = Some(path);
        only.program.manifest = None;
        findings.add("manifest", manifest(&only));
    } else {
        everything(invocation, &mut findings).await;
    }
    let ok = findings.lines.iter().all(|line| line.ok);
    let output = invocation.output;
    if output.is_json() {
        output.json(&serde_json::json!({ "ok": ok, "checks": findings.lines }));
    } else {
        for Line { what, ok, detail } in &findings.lines {
            let word = if *ok { "ok" } else { "FAILED" };
            let mut lines = detail.lines().map(super::output::printable);
            let first = lines.next().unwrap_or_default();
            output.line(&format!("{word:<7} {what:<22} {first}"));
            for more in lines {
                output.line(&format!("{:<30} {more}", ""));
            }
        }
    }
    Ok(if ok { Exit::Completed } else { Exit::Settings })
}

async fn everything(invocation: &Invocation, findings: &mut Findings) {
    let Some(manifest) = findings.add("manifest", manifest(invocation)) else {
        // Nothing else means anything under rules that cannot be read.
        return;
    };
    let folder = invocation.settings.home.as_deref().unwrap_or(Path::new(DEFAULT_FOLDER));
    let sections = findings.add("configuration", sections(invocation, &manifest));
    if let Some(home) = findings.add("keys", keys(folder, &manifest))
        && findings.add("database", database(&home).await).is_some()
    {
        let opened = invocation.open().await.map(|app| {
            let count = app.registry.names().count();
            let detail = format!("{count} handlers, release {}", app.release);
            (app, detail)
        });
        if let Some(app) = findings.add("registry", opened) {
            findings.add("task store", store(&app).await);
        }
    }
    if let Some(sections) = sections {
        for (name, found) in sources::reach(&manifest, &sections).await {
            findings.add(&format!("log source {name}"), found);
        }
    }
}

fn manifest(invocation: &Invocation) -> Result<(Manifest, String)> {
    let (manifest, origin) = read_manifest(&invocation.settings, &invocation.program)?;
    let Manifest { worker: _, sources, jobs, schedules } = &manifest;
    let (sources, jobs, schedules) = (sources.len(), jobs.len(), schedules.len());
    let detail = format!("{origin}: {sources} sources, {jobs} jobs, {schedules} schedules");
    Ok((manifest, detail))
}

fn sections(invocation: &Invocation, manifest: &Manifest) -> Result<(Sections, String)> {
    let file = invocation.settings.configuration_file.clone();
    let file = file.or_else(|| manifest.worker.configuration_file.as_ref().map(PathBuf::from));
    let sections = configuration::read(file.as_deref(), &invocation.settings.sections)?;
    configuration::check(&sections, &invocation.program.contract)?;
    let mut missing = Vec::new();
    for job in invocation.program.contract.jobs() {
        let needed =
            job.sections.iter().filter(|s| s.required && s.origin == contract::Origin::Worker);
        for section in needed.filter(|section| !sections.contains_key(section.name)) {
            let (job, name) = (&job.job, section.name);
            missing.push(format!(
                "`{job}` needs the section `{name}`; set MAIN_WORKER_SECTION_{name}"
            ));
        }
    }
    anyhow::ensure!(missing.is_empty(), missing.join("\n"));
    let names: Vec<&str> = sections.keys().map(String::as_str).collect();
    let detail = if names.is_empty() {
        "no section, and no job needs one".to_owned()
    } else {
        format!("sections: {}", names.join(", "))
    };
    Ok((sections, detail))
}

fn keys(folder: &Path, manifest: &Manifest) -> Result<(Home, String)> {
    let now = SystemClock.now();
    let home = Home::open(folder, now)?;
    let keys = read_keys(&home, manifest)?;
    let mut missing = Vec::new();
    for source in manifest.schedules.values().map(|schedule| &schedule.source) {
        let told = format!(
            "schedules ask as `{source}`, whose key is not here; make one: main-worker keys make --source {source}"
        );
        if keys.file.signing_key(source, now).is_none() && !missing.contains(&told) {
            missing.push(told);
        }
    }
    if keys.file.newest_sealing_public().is_none() {
        missing.push(
            "there is no key to seal to; make one: main-worker keys rotate --sealing".to_owned(),
        );
    }
    anyhow::ensure!(missing.is_empty(), missing.join("\n"));
    let view = keys.file.public_view();
    let (proof, sealing) = (view.proof.len(), view.sealing.len());
    let shown = home.keys_path().display().to_string();
    Ok((home, format!("{shown}: {proof} prove sources, {sealing} open configuration")))
}

async fn database(home: &Home) -> Result<((), String)> {
    let path = home.database_path();
    writable::check(home.folder())?;
    let db = Db::open_sqlite(&path).await?;
    db.check().await?;
    let engine = db.engine().await?;
    db.close().await;
    Ok(((), format!("{engine}, {}", path.display())))
}

async fn store(app: &App) -> Result<((), String)> {
    app.store.check().await?;
    let depths = app.store.depths().await?;
    let waiting: u64 = depths.iter().map(|depth| depth.count).sum();
    let paused = app.store.paused().await?;
    let paused = match paused.as_slice() {
        [] => String::new(),
        names => format!("; paused: {}", names.join(", ")),
    };
    Ok(((), format!("{waiting} tasks wait or run{paused}")))
}
