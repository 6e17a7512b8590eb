//! `main-worker work`.

use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use values::JobPattern;

use super::{Exit, Invocation};
use crate::work::{WorkOptions, work};

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
    /// Serve /livez, /readyz and /metrics here, such as 127.0.0.1:9100
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    check_patterns(invocation, &arguments)?;
    let app = invocation.open().await?;
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
    let end = work(app, options).await.map_err(|error| error.context(Exit::Settings))?;
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
