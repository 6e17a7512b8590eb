//! `main-worker bench`: measures the promises on your machine.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::{Exit, Invocation, Output, work};
use crate::bench::{self, FaultOptions, Scratch};

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder on the disk to measure; a temporary home is made in it and removed again (where
    /// DATABASE_URL names a server: a schema of its own there)
    #[arg(long, global = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tasks per second: enqueue, drain, and both at once
    Throughput {
        /// Tasks of each measurement
        #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        tasks: u64,
        /// Attempts at once
        #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
        concurrency: u32,
    },
    /// Time from an acknowledged request to the start of its handler
    Latency {
        /// Single requests
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        tasks: u64,
        /// Make so many per second in a process of its own, whatever becomes of the ones before;
        /// one after the other in the worker's process when absent
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: Option<u32>,
    },
    /// Kill workers at random moments; nothing may be lost or happen twice
    Faults {
        /// Tasks, a third of each kind
        #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        tasks: u64,
        /// Workers at a time
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
        workers: u8,
        /// Kills at the most
        #[arg(long, default_value_t = 100)]
        kills: u64,
        /// Decides when which worker is killed
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Time from exec to exit of `run` with the smallest job
    Start {
        /// Processes
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        runs: u32,
    },
    /// Memory and processor time of a worker without work
    Idle {
        /// Time to measure
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
    },
    /// A roll-up after one new file, however much usage is stored
    RollUp {
        /// Hourly usage rows that are made up before
        #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..=200_000_000))]
        rows: u64,
        /// Streams they are of
        #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(40..=1_000_000))]
        streams: u32,
    },
    /// The end of a month: accounts that are charged, with PDF and mail, by a gateway that answers
    /// in a millisecond
    MonthEnd {
        /// Accounts that are made up before
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        accounts: u32,
    },
    /// Time until an RTMP server is told whether someone may publish
    Publish {
        /// Requests
        #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        requests: u64,
    },
    /// Work with the measured jobs, as the other measurements need it
    #[command(hide = true)]
    Worker(work::Arguments),
    /// Make requests at a rate, as `latency --rate` needs it
    #[command(hide = true)]
    Producer {
        /// Requests
        #[arg(long)]
        tasks: u64,
        /// So many per second
        #[arg(long)]
        rate: u32,
    },
}

impl Arguments {
    /// Measurements are not to be disturbed; a worker logs as ever.
    pub(super) fn log_filter(&self) -> &'static str {
        if matches!(self.what, What::Worker(_)) { "info" } else { "error" }
    }

    /// Whether tasks run in this process, on all cores.
    pub(super) fn works(&self) -> bool {
        !matches!(self.what, What::Start { .. } | What::Idle { .. })
    }
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    let out = invocation.output;
    let scratch = || Scratch::new(arguments.folder.as_deref(), &invocation.settings);
    match arguments.what {
        What::Worker(arguments) => {
            let invocation = Invocation { program: bench::program(), ..invocation.clone() };
            return work::execute(&invocation, arguments).await;
        }
        What::Throughput { tasks, concurrency } => {
            show(out, &bench::throughput(&scratch().await?, tasks, concurrency).await?);
        }
        What::Producer { tasks, rate } => {
            let invocation = Invocation { program: bench::program(), ..invocation.clone() };
            let app = invocation.open().await?;
            bench::produce(app, tasks, rate, std::io::stdout()).await?;
        }
        What::Latency { tasks, rate: None } => {
            show(out, &bench::latency(&scratch().await?, tasks).await?);
        }
        What::Latency { tasks, rate: Some(rate) } => {
            show(out, &bench::latency_at(&scratch().await?, tasks, rate).await?);
        }
        What::Faults { tasks, workers, kills, seed } => {
            let options = FaultOptions { tasks, workers: workers.into(), kills, seed };
            let report = bench::faults(&scratch().await?, options).await?;
            show(out, &report);
            if !report.is_clean() {
                return Ok(Exit::Failed);
            }
        }
        What::RollUp { rows, streams } => {
            show(out, &bench::roll_up_after_a_file(&scratch().await?, rows, streams).await?);
        }
        What::MonthEnd { accounts } => {
            let scratch = scratch().await?;
            show(out, &bench::month_end(&scratch, &invocation.program, accounts).await?);
        }
        What::Publish { requests } => {
            show(out, &bench::publish_checks(&scratch().await?, requests).await?);
        }
        What::Start { runs } => show(out, &bench::start(&scratch().await?, runs)?),
        What::Idle { seconds } => show(out, &bench::idle(&scratch().await?, seconds)?),
    }
    Ok(Exit::Completed)
}

/// Prints each figure on a line of its own, or all as JSON.
fn show(out: Output, report: &impl Serialize) {
    if out.is_json() {
        out.json(report);
        return;
    }
    let value = serde_json::to_value(report).expect("a report is plain data");
    for (name, value) in value.as_object().into_iter().flatten() {
        let mut words = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() {
                words.push(' ');
            }
            words.extend(letter.to_lowercase());
        }
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        out.line(&format!("{words:<24} {value:>12}"));
    }
}
