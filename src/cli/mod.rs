//! The command line.

mod bench;
mod billing;
mod bounds;
mod check;
mod demo;
mod emails;
mod enqueue;
mod exit;
mod ironworker;
mod jobs;
mod keys;
mod migrate;
mod output;
mod recordings;
mod run;
mod schedules;
mod tasks;
mod transfer;
mod work;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::tasks::TaskStore;
use anyhow::{Context, Result, anyhow};
use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand, ValueEnum};
use database::{Db, EngineKind};
use reporting::{LogFormat, LoggingOptions, Scrubber};
use values::Clock;

pub use self::exit::Exit;
pub use self::output::Output;
use crate::app::{App, Opening, Program};
use crate::clock::SystemClock;
use crate::settings::Settings;
use crate::storage::{Access, Location};

/// Does all background work of a live-streaming company.
#[derive(Debug, Parser)]
#[command(name = "main-worker", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Start with `main-worker demo`. Exit codes: 0 completed, 64 usage, 65 rejected, \
    70 failed for good, 75 failed and may be tried again, 76 snoozed or cancelled, 78 bad settings."
)]
struct Cli {
    /// Print tables for people, or JSON for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences for people.
    #[value(help = None::<&'static str>)]
    Human,
    /// One JSON value for programs.
    #[value(help = None::<&'static str>)]
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one envelope from a file or stdin, print its result as JSON
    Run(run::Arguments),
    /// Run tasks until told to stop
    Work(work::Arguments),
    /// Ask for a job: store a task and print its id
    Enqueue(enqueue::Arguments),
    /// List, show, pause and resume jobs
    Jobs(jobs::Arguments),
    /// List, show, cancel, retry and discard tasks
    Tasks(tasks::Arguments),
    /// Show what the clock asks for, and ask for it now
    Schedules(schedules::Arguments),
    /// Check worker.toml, keys, configuration, database and log sources
    Check(check::Arguments),
    /// Make, show, rotate and withdraw keys
    Keys(keys::Arguments),
    /// Bring the database to the version this program needs
    Migrate(migrate::Arguments),
    /// Read accounts, projects and streams from JSON Lines
    Import(transfer::ImportArguments),
    /// Write accounts, projects, streams or usage as JSON Lines
    Export(transfer::ExportArguments),
    /// List recordings, and say who is told of them
    Recordings(recordings::Arguments),
    /// Show what mails look like, what became of them, and who gets none
    Emails(emails::Arguments),
    /// Show what a month costs and cost, approve its run, and stop all charges
    Billing(billing::Arguments),
    /// Measure the promises on this machine
    Bench(bench::Arguments),
    /// Make a small company with a day of logs, and turn them into usage
    Demo(demo::Arguments),
}

/// Characters of a refused value that are repeated.
const LONGEST_ECHO: usize = 80;

/// A database and the tasks in it.
type Opened = (Db, Arc<dyn TaskStore>);

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Which jobs the program runs.
    pub program: Program,
    /// What the environment says.
    pub settings: Settings,
    /// Where results go.
    pub output: Output,
    /// Keeps secrets out of logs.
    pub scrubber: Scrubber,
    /// The databases that were opened, each with its tasks.
    opened: Arc<Mutex<Vec<Opened>>>,
}

impl Invocation {
    /// Puts the program together.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open(&self) -> Result<App> {
        self.open_patiently(Duration::ZERO).await
    }

    /// Puts the program together, and waits for a database server that does not answer.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_patiently(&self, patience: Duration) -> Result<App> {
        let location = self.location()?;
        self.open_at(Opening { location, access: Access::Work, patience }).await
    }

    /// Puts the program together over a database of the caller's choice.
    ///
    /// # Errors
    /// As [`App::open`]; an exit code says whether the same command may be tried again.
    pub async fn open_at(&self, opening: Opening) -> Result<App> {
        let is_server = opening.location.is_server();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (settings, scrubber) = (self.settings.clone(), self.scrubber.clone());
        let app = App::open_at(settings, &self.program, clock, scrubber, opening)
            .await
            .map_err(|error| exit::of_opening(is_server, error))?;
        let opened = (app.db.clone(), Arc::clone(&app.store));
        self.opened.lock().expect("no one panics while holding it").push(opened);
        Ok(app)
    }

    /// Ends connections to a server in order: it sees no broken ones, and what other workers are
    /// to be told arrives.
    async fn close(&self) {
        const PATIENCE: Duration = Duration::from_millis(500);
        let opened =
            std::mem::take(&mut *self.opened.lock().expect("no one panics while holding it"));
        for (db, store) in opened.into_iter().filter(|(db, _)| db.kind() == EngineKind::Postgres) {
            store.flush().await.ok();
            tokio::time::timeout(PATIENCE, db.close()).await.ok();
        }
    }

    /// Where the configured database is.
    ///
    /// # Errors
    /// As [`Location::of`].
    pub fn location(&self) -> Result<Location> {
        Location::of(&self.settings).map_err(|error| error.context(Exit::Settings))
    }
}

/// Runs the command line of this process.
pub fn main(program: &Program) -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Exit::Failed.into();
    }
    let arguments = ironworker::rewrite(std::env::args_os().collect());
    let settings = Settings::from_environment();
    execute(program, arguments, settings).into()
}

fn execute(program: &Program, arguments: Vec<OsString>, settings: Settings) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(mut error) => {
            shorten(&mut error);
            // Help and version are no errors; both print themselves.
            output::remember(error.print().and_then(|()| std::io::stdout().flush()));
            return if error.use_stderr() { Exit::Usage } else { nothing_lost(Exit::Completed) };
        }
    };
    let invocation = Invocation {
        program: program.clone(),
        output: Output::new(cli.output, settings.no_color),
        scrubber: Scrubber::new(),
        opened: Arc::default(),
        settings,
    };
    let ended = start_logging(&invocation, cli.command.log_filter()).and_then(|()| {
        let threads = cli.command.threads();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let ended = runtime.block_on(async {
            let ended = cli.command.execute(&invocation).await;
            invocation.close().await;
            ended
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    });
    nothing_lost(ended.unwrap_or_else(|error| {
        let exit = error.downcast_ref::<Exit>().copied().unwrap_or(Exit::Failed);
        let shown = exit::describe(&error);
        invocation.output.error(&invocation.scrubber.scrub(&shown));
        exit
    }))
}

/// Keeps a value that is refused for its length from filling the screen.
fn shorten(error: &mut clap::Error) {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return };
    if value.chars().count() > LONGEST_ECHO {
        let value = value.chars().take(LONGEST_ECHO).chain(['…']).collect();
        error.insert(ContextKind::InvalidValue, ContextValue::String(value));
    }
}

/// Tells that results could not be printed; then nothing ended well.
fn nothing_lost(exit: Exit) -> Exit {
    let Some(cause) = Output::lost() else { return exit };
    Output::new(Format::Human, true)
        .error(&format!("results are lost: cannot write to stdout: {cause}"));
    if exit == Exit::Completed { Exit::Failed } else { exit }
}

fn start_logging(invocation: &Invocation, filter: &str) -> Result<()> {
    let settings = &invocation.settings;
    let format = match settings.log_format.as_deref() {
        None => LogFormat::Auto,
        Some("pretty") => LogFormat::Pretty,
        Some("json") => LogFormat::Json,
        Some(other) => {
            return Err(anyhow!("MAIN_WORKER_LOG_FORMAT is `{other}`; write pretty or json")
                .context(Exit::Settings));
        }
    };
    let filter = settings.log.clone().unwrap_or_else(|| filter.to_owned());
    reporting::init(LoggingOptions {
        format,
        filter,
        no_color: settings.no_color,
        clock: Arc::new(SystemClock),
        scrubber: invocation.scrubber.clone(),
    })
    .context("MAIN_WORKER_LOG")
    .map_err(|error| error.context(Exit::Settings))?;
    reporting::log_panics();
    Ok(())
}

impl Command {
    /// Threads the command is worth: work uses every core, the rest is quick.
    fn threads(&self) -> usize {
        match self {
            Self::Work(_) | Self::Demo(_) => cores(),
            Self::Bench(arguments) if arguments.works() => cores(),
            _ => 1,
        }
    }

    /// What is logged when the environment does not say.
    fn log_filter(&self) -> &'static str {
        match self {
            // The refusal it shows is no news.
            Self::Demo(_) => "warn,scheduling=error",
            Self::Bench(arguments) => arguments.log_filter(),
            Self::Run(_) | Self::Work(_) => "info",
            // What they do is what they print.
            _ => "warn",
        }
    }

    async fn execute(self, invocation: &Invocation) -> Result<Exit> {
        match self {
            Self::Run(arguments) => run::execute(invocation, arguments).await,
            Self::Work(arguments) => work::execute(invocation, arguments).await,
            Self::Enqueue(arguments) => enqueue::execute(invocation, arguments).await,
            Self::Jobs(arguments) => jobs::execute(invocation, arguments).await,
            Self::Tasks(arguments) => tasks::execute(invocation, arguments).await,
            Self::Schedules(arguments) => schedules::execute(invocation, arguments).await,
            Self::Check(arguments) => check::execute(invocation, arguments).await,
            Self::Keys(arguments) => keys::execute(invocation, arguments).await,
            Self::Migrate(arguments) => migrate::execute(invocation, arguments).await,
            Self::Import(arguments) => transfer::import(invocation, arguments).await,
            Self::Export(arguments) => transfer::export(invocation, arguments).await,
            Self::Recordings(arguments) => recordings::execute(invocation, arguments).await,
            Self::Emails(arguments) => emails::execute(invocation, arguments).await,
            Self::Billing(arguments) => billing::execute(invocation, arguments).await,
            Self::Bench(arguments) => bench::execute(invocation, arguments).await,
            Self::Demo(arguments) => demo::execute(invocation, arguments).await,
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
