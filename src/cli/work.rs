//! `main-worker work`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use values::JobPattern;

use super::{Exit, Invocation, exit};
use crate::work::{WorkOptions, work};

/// How long a database server that does not answer is waited for at the start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Arguments of `work`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// End when nothing is left that could run now
    #[arg(long)]
    until_empty: bool,
    /// Only these jobs: names or domains, such as 'archival/*'
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    jobs: Vec<JobPattern>,
    /// Not these jobs
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    except: Vec<JobPattern>,
    /// Attempts at once; worker.toml decides otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrency: Option<u32>,
    /// Leave the schedules of worker.toml to other workers
    #[arg(long)]
    no_schedules: bool,
    /// Serve /livez, /readyz, /metrics and /hooks here, such as 127.0.0.1:9100
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    check_patterns(invocation, &arguments)?;
    let app = invocation.open_patiently(PATIENCE).await?;
    let (engine, place) = (crate::storage::describe(&app.db).await?, app.location.shown());
    tracing::info!(engine, place, "database opened");
    for weakness in crate::storage::weaknesses(&app.db).await? {
        tracing::warn!(reason = weakness, "the database server may lose what it said is stored");
    }
    let options = WorkOptions {
        concurrency: arguments.concurrency,
        until_empty: arguments.until_empty,
        jobs: arguments.jobs,
        except: arguments.except,
        schedules: !arguments.no_schedules,
        listen: arguments.listen,
        signals: true,
        ..WorkOptions::default()
    };
    let is_server = app.location.is_server();
    let end = work(app, options).await.map_err(|error| exit::of_opening(is_server, error))?;
    if invocation.output.is_json() {
        invocation.output.json(&end);
    } else {
        tracing::info!(
            completed = end.completed,
            retried = end.retried,
            discarded = end.discarded,
            cancelled = end.cancelled,
            held = end.held,
            abandoned = end.abandoned,
            "worker ended"
        );
    }
    if end.paused > 0 {
        tracing::warn!(tasks = end.paused, "paused jobs are left waiting; main-worker jobs resume");
    }
    Ok(if end.abandoned == 0 { Exit::Completed } else { Exit::TryAgain })
}

/// Refuses a pattern that names no job.
fn check_patterns(invocation: &Invocation, arguments: &Arguments) -> Result<()> {
    let jobs = invocation.program.contract.jobs();
    for pattern in arguments.jobs.iter().chain(&arguments.except) {
        if !jobs.iter().any(|job| pattern.matches(&job.job)) {
            let names = invocation.program.contract.names().join(", ");
            let error = anyhow!("no job matches `{pattern}`; the jobs are {names}");
            return Err(error.context(Exit::Usage));
        }
    }
    Ok(())
}
