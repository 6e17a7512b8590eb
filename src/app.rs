//! The program put together: manifest, keys, database, store, registry and reporting.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admission::{Rejection, Rules};
use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::digest::{SHA256, digest};
use contract::Contract;
use database::Db;
use job::{AlertSink, Facts, Registry, RegistryBuilder, Services};
use manifest::Manifest;
use reporting::{Event, MetricNames, Metrics, Scrubber, Sentry};
use scheduling::{Producer, ProducerParts};
use tasks::TaskStore;
use values::{Clock, JobName, Source, Timestamp, hex};

use crate::clock::SystemClock;
use crate::configuration::{self, Sections};
use crate::home::Home;
use crate::keys::{KeyStore, Keys, read_keys};
use crate::settings::{MANIFEST, Settings};
use crate::storage::{self, Access, Location, Storage};

/// The manifest that is compiled in, for the embedded default.
pub const BUILT_IN_MANIFEST: &str = include_str!("../worker.toml");
/// Where a manifest is looked for when none is named.
const MANIFEST_FILE: &str = "worker.toml";
/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Adds jobs to a registry.
pub type Register = fn(&mut RegistryBuilder<'_>);

/// Which jobs the program runs, and under which rules.
#[derive(Debug, Clone)]
pub struct Program {
    /// The jobs that may be asked for.
    pub contract: Arc<Contract>,
    /// Their handlers.
    pub register: Register,
    /// The manifest, when no file is named; else worker.toml or the built-in one.
    pub manifest: Option<&'static str>,
}

impl Program {
    /// The jobs of the company.
    pub fn main() -> Self {
        Self {
            contract: Arc::new(contract::contract().clone()),
            register: jobs::register,
            manifest: None,
        }
    }
}

/// Where things are told.
#[derive(Debug, Clone)]
pub struct Reporter {
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// Panics, permanent failures and rejections.
    pub sentry: Sentry,
    /// Keeps secrets out of everything.
    pub scrubber: Scrubber,
}

impl Reporter {
    /// Counts a rejection, and reports it if it is the first of its code, source and job.
    pub fn rejected(&self, rejection: &Rejection, first: bool) {
        self.metrics.rejected(rejection.code.as_str());
        if first {
            self.sentry.report(&Event::Rejection {
                code: rejection.code.as_str(),
                job_name: Some(&rejection.job_name),
                source: Some(&rejection.source),
                task_id: None,
                message: &rejection.message,
            });
        }
    }

    /// Takes what a job wants a person to hear of.
    pub fn alerts_of(&self, job: &JobName) -> AlertSink {
        let (sentry, job) = (self.sentry.clone(), job.clone());
        Arc::new(move |code, message| {
            tracing::error!(code, reason = message, "a person is needed");
            sentry.report(&Event::Alert { code, job_name: Some(&job), message });
        })
    }
}

/// The program, ready to work.
#[derive(Clone)]
pub struct App {
    /// What the environment says.
    pub settings: Arc<Settings>,
    /// The rules.
    pub manifest: Arc<Manifest>,
    /// Where the manifest came from, for messages.
    pub manifest_origin: String,
    /// The jobs that may be asked for.
    pub contract: Arc<Contract>,
    /// Where tasks and domain rows are.
    pub location: Location,
    /// Folder of the keys, and of the embedded database.
    pub home: Home,
    /// The keys.
    pub keys: KeyStore,
    /// The worker's own configuration.
    pub sections: Arc<Sections>,
    /// Names of these sections.
    pub section_names: Arc<BTreeSet<String>>,
    /// The domain database.
    pub db: Db,
    /// The task store.
    pub store: Arc<dyn TaskStore>,
    /// The handlers.
    pub registry: Arc<Registry>,
    /// Fingerprint of registry and manifest.
    pub release: String,
    /// This machine's name.
    pub host: String,
    /// Where things are told.
    pub reporter: Reporter,
    /// The clock of the task store.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("release", &self.release).finish_non_exhaustive()
    }
}

/// Reads and checks the manifest: the named file, worker.toml, or the built-in one.
///
/// # Errors
/// Everything that is wrong in it, or does not fit the jobs of the program.
pub fn read_manifest(settings: &Settings, program: &Program) -> Result<(Manifest, String)> {
    let names = program.contract.names();
    // A file in the current folder is the company's; other programs use it only when it is named.
    let found = settings.manifest.clone().or_else(|| {
        let nearby = Some(PathBuf::from(MANIFEST_FILE)).filter(|path| path.exists());
        nearby.filter(|_| program.manifest.is_none())
    });
    if found.is_none() && program.manifest.is_none() && Location::of(settings)?.is_server() {
        bail!(
            "there is no {MANIFEST_FILE} in this folder, and the built-in one is only for the \
             embedded database; name yours with {}",
            MANIFEST.name
        );
    }
    let (text, origin) = match found {
        None => (program.manifest.unwrap_or(BUILT_IN_MANIFEST).to_owned(), "built-in".to_owned()),
        Some(path) => {
            let shown = path.display().to_string();
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
            let text = String::from_utf8(bytes).map_err(|error| {
                anyhow!("{shown} is not UTF-8 (byte {})", error.utf8_error().valid_up_to())
            })?;
            (text, shown)
        }
    };
    let manifest = Manifest::parse(&text, &names).map_err(|problems| {
        anyhow!("{origin} has {} problem(s)\n{}", problems.0.len(), problems.of_file(&origin))
    })?;
    let mut checker = RegistryBuilder::checker(&manifest, &origin);
    (program.register)(&mut checker);
    checker
        .check(&program.contract)
        .map_err(|problems| anyhow!("{origin} and the registry do not fit\n{problems}"))?;
    Ok((manifest, origin))
}

/// This machine's name, as tasks bound to a host know it.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// Which database is opened, and how.
#[derive(Debug)]
pub struct Opening {
    /// The database.
    pub location: Location,
    /// What for.
    pub access: Access,
    /// How long a server that does not answer is waited for.
    pub patience: Duration,
}

impl App {
    /// Puts the program together over the configured database; a server's clock is used before
    /// `clock`.
    ///
    /// # Errors
    /// Everything that is wrong with manifest, registry, keys, configuration or database; nothing
    /// has been started then.
    pub async fn open(
        settings: Settings,
        program: &Program,
        clock: Arc<dyn Clock>,
        scrubber: Scrubber,
    ) -> Result<Self> {
        let location = Location::of(&settings)?;
        let patience = Duration::ZERO;
        Self::open_at(
            settings,
            program,
            clock,
            scrubber,
            Opening { location, access: Access::Work, patience },
        )
        .await
    }

    /// Puts the program together over a database of the caller's choice.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_at(
        settings: Settings,
        program: &Program,
        clock: Arc<dyn Clock>,
        scrubber: Scrubber,
        opening: Opening,
    ) -> Result<Self> {
        let Opening { location, access, patience } = opening;
        let (manifest, manifest_origin) = read_manifest(&settings, program)?;
        let manifest = Arc::new(manifest);
        if !manifest.worker.require_signatures {
            tracing::warn!("require_signatures is off: tasks without a proof are accepted");
        }
        let file = settings.configuration_file.clone();
        let file = file.or_else(|| manifest.worker.configuration_file.as_ref().map(PathBuf::from));
        let sections = configuration::read(file.as_deref(), &settings.sections)?;
        configuration::check(&sections, &program.contract)?;
        let now = SystemClock.now();
        check_clock(now)?;
        let home = match access {
            Access::Work => location.home(settings.home_folder(), now)?,
            Access::Look => Home::given(settings.home_folder())?,
        };
        // Bad keys are told before anything is made; they are kept once there is somebody to tell.
        read_keys(&home, &manifest)?;
        location.wait(patience).await?;
        let opened = location.open(access, &clock).await?;
        let Storage { db, store, clock } = opened;
        let database = storage::describe(&db).await?;
        let release = fingerprint(&manifest, &program.contract);
        let host = host_name();
        let mut facts = facts(&settings, &manifest, &manifest_origin, &host, &release);
        settings.environment().clone_into(&mut facts.environment);
        home.folder().clone_into(&mut facts.home);
        facts.settings.push(("database".to_owned(), format!("{database}, {}", location.shown())));
        let services = Services {
            db: db.clone(),
            tasks: Arc::clone(&store),
            manifest: Arc::clone(&manifest),
            clock: Arc::clone(&clock),
            facts: Arc::new(facts),
        };
        let mut builder = RegistryBuilder::new(&services);
        (program.register)(&mut builder);
        let registry = builder.build(&program.contract).map_err(|problems| {
            anyhow!("{manifest_origin} and the registry do not fit\n{problems}")
        })?;
        let reporter = reporter(&settings, &manifest, &registry, scrubber)?;
        let keys = KeyStore::open(home.clone(), Arc::clone(&manifest), reporter.sentry.clone())?;
        Ok(Self {
            settings: Arc::new(settings),
            manifest,
            manifest_origin,
            contract: Arc::clone(&program.contract),
            location,
            home,
            keys,
            section_names: Arc::new(sections.keys().cloned().collect()),
            sections: Arc::new(sections),
            db,
            store,
            registry: Arc::new(registry),
            release,
            host,
            reporter,
            clock,
        })
    }

    /// The rules of admission as this worker applies them with these keys.
    pub fn rules<'a>(&'a self, keys: &'a Keys) -> Rules<'a> {
        Rules {
            manifest: &self.manifest,
            contract: &self.contract,
            keys: Some(&keys.ring),
            sealing: Some(&keys.sealing),
            worker_sections: Some(&self.section_names),
        }
    }

    /// Fingerprint of registry, manifest and keys: whoever has another may accept a held task.
    pub fn holder(&self) -> String {
        format!("{}-{}", self.release, self.keys.current().fingerprint)
    }

    /// Speaks for a source whose key this machine holds, with its newest key at any time.
    ///
    /// # Errors
    /// If it holds none; the message names the command that makes one.
    pub fn producer(&self, source: &str) -> Result<Producer> {
        let name: Source = source.parse().context("the source is not a name")?;
        let keys = self.keys.current();
        let key = keys.file.signing_key(&name, SystemClock.now()).with_context(|| {
            format!("this machine holds no key for source `{source}`; make one: main-worker keys make --source {source}")
        })?;
        let reporter = self.reporter.clone();
        let producer = Producer::new(ProducerParts {
            store: Arc::clone(&self.store),
            manifest: Arc::clone(&self.manifest),
            contract: Arc::clone(&self.contract),
            key: Arc::new(key),
            keys: Some(Arc::clone(&keys.ring)),
            sealing: keys.file.newest_sealing_public(),
            configuration: Arc::default(),
            on_rejection: Some(Arc::new(move |rejection, first| {
                reporter.rejected(rejection, first);
            })),
        });
        Ok(producer.renewed_by(self.keys.renewal(name)))
    }

    /// Lets what is on its way to Sentry arrive, for at most two seconds.
    pub async fn flush(&self) {
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
        let sentry = self.reporter.sentry.clone();
        let flushed = tokio::task::spawn_blocking(move || sentry.flush(PATIENCE)).await;
        if !flushed.unwrap_or(false) {
            tracing::debug!("some reports may not have reached Sentry");
        }
    }
}

/// Refuses a clock that is certainly wrong: ids, proofs and months would be wrong with it.
fn check_clock(now: Timestamp) -> Result<()> {
    if now < Timestamp::EPOCH {
        return Err(anyhow!(
            "this machine's clock says {now}, before 1970; set it, then start again"
        ));
    }
    Ok(())
}

/// Sixteen hexadecimal digits over everything that decides what this release accepts.
fn fingerprint(manifest: &Manifest, contract: &Contract) -> String {
    let mut text = format!("{VERSION}\n{}", manifest.canonical_text());
    for job in contract.jobs() {
        let line = format!("{} {:?} {}\n", job.job, job.sections, job.schema());
        text.push_str(&line);
    }
    let hash = digest(&SHA256, text.as_bytes());
    hex(&hash.as_ref()[..8])
}

fn facts(
    settings: &Settings,
    manifest: &Manifest,
    origin: &str,
    host: &str,
    release: &str,
) -> Facts {
    let mut shown = settings.report();
    shown.push(("worker.toml".to_owned(), origin.to_owned()));
    Facts {
        version: VERSION.to_owned(),
        worker: manifest.worker.name.clone(),
        host: host.to_owned(),
        release: release.to_owned(),
        settings: shown,
        ..Facts::default()
    }
}

fn reporter(
    settings: &Settings,
    manifest: &Manifest,
    registry: &Registry,
    scrubber: Scrubber,
) -> Result<Reporter> {
    let names = MetricNames {
        jobs: registry.names().cloned().collect(),
        sources: manifest.sources.keys().cloned().collect(),
        schedules: manifest.schedules.keys().cloned().collect(),
    };
    let (dsn, environment) = (settings.sentry_dsn.as_ref(), settings.environment());
    let sentry =
        Sentry::connect(dsn, environment, VERSION, scrubber.clone()).context("SENTRY_DSN")?;
    Ok(Reporter { metrics: Metrics::new(VERSION, names), sentry, scrubber })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_clock_before_1970() {
        let error = check_clock(Timestamp::from_seconds(-1)).unwrap_err().to_string();
        assert!(error.contains("1969-12-31T23:59:59Z"), "{error}");
        check_clock(SystemClock.now()).unwrap();
    }

    #[test]
    fn the_built_in_manifest_fits_the_registry() {
        let settings = Settings { manifest: Some("worker.toml".into()), ..Settings::default() };
        let (manifest, _) = read_manifest(&settings, &Program::main()).unwrap();
        let rows: Vec<&str> = manifest.jobs.keys().map(values::JobName::as_str).collect();
        assert_eq!(rows, contract::contract().names());
    }
}
