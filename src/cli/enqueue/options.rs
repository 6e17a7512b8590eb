//! What may be said about a task beside its payload.

use scheduling::{Scope, TaskOptions, Unique};
use values::{Span, Timestamp};

use crate::cli::bounds;

/// How the task waits, runs and is found.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// 0, 1 or 2; 2 goes first; the job's own when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=2))]
    priority: Option<u8>,
    /// Wait this long before the first attempt, such as 90s or 2h
    #[arg(long, value_name = "SPAN", conflicts_with = "run_at", value_parser = bounds::wait)]
    delay: Option<Span>,
    /// Do not start before this time, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = bounds::instant)]
    run_at: Option<Timestamp>,
    /// Attempts allowed; the job's own when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_attempts: Option<u32>,
    /// Time limit of one attempt; the job's own when absent
    #[arg(long, value_name = "SPAN", value_parser = bounds::attempt)]
    timeout: Option<Span>,
    /// Word to find the task by; may be given up to 20 times
    #[arg(long = "label", value_name = "TEXT", value_parser = bounds::word)]
    labels: Vec<String>,
    /// Add nothing while the same task waits or runs: job, source, payload or key:TEXT
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    unique: Option<Scope>,
    /// Let the unique task block for this long even after its end
    #[arg(long, value_name = "SPAN", requires = "unique", value_parser = bounds::wait)]
    unique_for: Option<Span>,
    /// The only host that may run it
    #[arg(long, value_name = "NAME", value_parser = bounds::word)]
    host: Option<String>,
}

impl Options {
    pub(super) fn task_options(&self) -> TaskOptions {
        let unique = self.unique.clone();
        TaskOptions {
            priority: self.priority,
            run_at: self.run_at,
            delay: self.delay,
            max_attempts: self.max_attempts,
            timeout: self.timeout,
            labels: self.labels.clone(),
            unique: unique.map(|scope| Unique { scope, period: self.unique_for }),
            host: self.host.clone(),
        }
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    match (text, text.strip_prefix("key:")) {
        ("job", _) => Ok(Scope::Job),
        ("source", _) => Ok(Scope::Source),
        ("payload", _) => Ok(Scope::Payload),
        (_, Some(key)) if !key.is_empty() => Ok(Scope::Key(key.to_owned())),
        _ => Err("write job, source, payload or key:TEXT".to_owned()),
    }
}
