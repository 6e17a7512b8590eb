//! `main-worker check`: whether everything a worker needs is there, and what to do if not.

mod against;
mod archival;
mod conservation;
mod gateway;
mod mail;
mod needs;
mod server;
mod sources;

use std::path::{Path, PathBuf};

use anyhow::Result;
use manifest::Manifest;
use serde::Serialize;
use values::Clock;

use super::{Exit, Invocation, exit};
use crate::app::{App, read_manifest};
use crate::clock::SystemClock;
use crate::configuration::{self, Sections};
use crate::keys::{Keys, read_keys};
use crate::storage::{self, Access, Location};
use crate::writable;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker check
  main-worker check --manifest worker.toml     (the file alone, as a build does it)
  main-worker check --conservation             (has any task vanished?)
  main-worker check --payments                 (does the payment gateway take charges?)
  main-worker check --against                  (before a deploy: would all that waits run?)")]
pub(super) struct Arguments {
    /// Check this worker.toml and nothing else
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Compare what was counted as tasks came and went with the tasks that are there
    #[arg(long, conflicts_with = "manifest")]
    conservation: bool,
    /// Try the payment gateway out: with a test key by charging its test cards, with a live key by
    /// reading only
    #[arg(long, conflicts_with_all = ["manifest", "conservation"])]
    payments: bool,
    /// Make dead letters of tasks whose row vanished, and start counting anew
    #[arg(long, requires = "conservation")]
    reconcile: bool,
    /// Name every task that waits in this database, else the configured one, and that this release
    /// would hold or reject
    #[arg(long, value_name = "URL|PATH", num_args = 0..=1, conflicts_with = "manifest")]
    #[expect(clippy::option_option, reason = "the value may be left out of the option")]
    against: Option<Option<String>>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    ok: bool,
    /// What was found, or what is wrong and what to do.
    detail: String,
    /// Whether what is wrong may pass by itself.
    #[serde(skip)]
    may_pass: bool,
}

/// The lines so far.
#[derive(Debug, Default)]
struct Findings {
    lines: Vec<Line>,
}

impl Findings {
    /// Notes how a step ended; hands on what it found.
    fn add<T>(&mut self, what: &str, found: Result<(T, String)>) -> Option<T> {
        let (value, detail, may_pass) = match found {
            Ok((value, detail)) => (Some(value), detail, false),
            Err(error) => {
                let may_pass = error.downcast_ref() == Some(&Exit::TryAgain);
                (None, exit::describe(&error), may_pass)
            }
        };
        self.lines.push(Line { what: what.to_owned(), ok: value.is_some(), detail, may_pass });
        value
    }

    /// 75 where time may mend all that is wrong.
    fn exit(&self) -> Exit {
        let wrong: Vec<_> = self.lines.iter().filter(|line| !line.ok).collect();
        if wrong.is_empty() {
            Exit::Completed
        } else if wrong.iter().all(|line| line.may_pass) {
            Exit::TryAgain
        } else {
            Exit::Settings
        }
    }
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    if let Some(other) = &arguments.against {
        return against::execute(invocation, other.as_deref()).await;
    }
    if arguments.payments {
        return gateway::execute(invocation).await;
    }
    if arguments.conservation {
        return conservation::execute(invocation, arguments.reconcile).await;
    }
    let mut findings = Findings::default();
    if let Some(path) = arguments.manifest {
        let mut only = invocation.clone();
        only.settings.manifest = Some(path);
        only.program.manifest = None;
        findings.add("manifest", manifest(&only));
    } else {
        everything(invocation, &mut findings).await;
    }
    let exit = findings.exit();
    let output = invocation.output;
    if output.is_json() {
        let ok = exit == Exit::Completed;
        output.json(&serde_json::json!({ "ok": ok, "checks": findings.lines }));
    } else {
        for Line { what, ok, detail, may_pass: _ } in &findings.lines {
            let word = if *ok { "ok" } else { "FAILED" };
            let mut lines = detail.lines().map(super::output::printable);
            let first = lines.next().unwrap_or_default();
            output.line(&format!("{word:<7} {what:<22} {first}"));
            for more in lines {
                output.line(&format!("{:<30} {more}", ""));
            }
        }
    }
    Ok(exit)
}

async fn everything(invocation: &Invocation, findings: &mut Findings) {
    findings.add("environment", Ok(((), needs::environment(&invocation.settings))));
    let Some(manifest) = findings.add("manifest", manifest(invocation)) else {
        // Nothing else means anything under rules that cannot be read.
        return;
    };
    let sections = findings.add("configuration", sections(invocation, &manifest));
    // A place that cannot be read is told once, as the database.
    let location = Location::of(&invocation.settings);
    let keys = location.as_ref().ok();
    let keys = keys.and_then(|at| findings.add("keys", keys_of(invocation, &manifest, at)));
    let database = match location {
        Ok(location) => {
            let is_server = location.is_server();
            database(location).await.map_err(|error| exit::of_opening(is_server, error))
        }
        Err(error) => Err(error),
    };
    if findings.add("database", database).is_some() && keys.is_some() {
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
        let settings = &invocation.settings;
        for (what, found) in needs::billing(settings, &manifest, &sections) {
            findings.add(what, found);
        }
        let doors = keys.and_then(|keys| needs::doors(settings, &manifest, &sections, &keys));
        if let Some(found) = doors {
            findings.add("doors", found);
        }
        if let Some(found) = mail::reach(&manifest, &sections).await {
            findings.add("mail server", found);
        }
        for (what, found) in archival::reach(invocation, &manifest, &sections).await {
            findings.add(what, found);
        }
        for (name, found) in sources::reach(&manifest, &sections).await {
            findings.add(&format!("log source {name}"), found);
        }
    }
}

fn manifest(invocation: &Invocation) -> Result<(Manifest, String)> {
    let (manifest, origin) = read_manifest(&invocation.settings, &invocation.program)?;
    let Manifest { worker: _, sources, jobs, schedules, watch: _, lines: _ } = &manifest;
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

fn keys_of(
    invocation: &Invocation,
    manifest: &Manifest,
    location: &Location,
) -> Result<(Keys, String)> {
    let now = SystemClock.now();
    let home = location.home(invocation.settings.home_folder(), now)?;
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
    Ok((keys, format!("{shown}: {proof} prove sources, {sealing} open configuration")))
}

async fn database(location: Location) -> Result<((), String)> {
    if let Location::File(path) = &location {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        writable::check(folder.unwrap_or(Path::new(".")))?;
    }
    let db = location.connect(Access::Work).await?;
    db.check().await?;
    server::takes_writes(&db).await?;
    server::hears(&db).await?;
    let mut detail = format!("{}, {}", storage::describe(&db).await?, location.shown());
    for weakness in storage::weaknesses(&db).await? {
        detail = format!("{detail}\nwarning: {weakness}");
    }
    for name in location.ignored() {
        detail = format!("{detail}\nwarning: {name} in the URL has no effect");
    }
    db.close().await;
    Ok(((), detail))
}

async fn store(app: &App) -> Result<((), String)> {
    app.store.check().await.map_err(exit::of_store)?;
    server::has_rights(&app.db).await?;
    let depths = app.store.depths().await.map_err(exit::of_store)?;
    let waiting: u64 = depths.iter().map(|depth| depth.count).sum();
    let paused = app.store.paused().await.map_err(exit::of_store)?;
    let paused = match paused.as_slice() {
        [] => String::new(),
        names => format!("; paused: {}", names.join(", ")),
    };
    Ok(((), format!("{waiting} tasks wait or run{paused}")))
}
