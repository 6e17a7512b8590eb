//! `cargo run -p simulation -- --seeds N --from S`: runs seeds until one fails.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use simulation::{Plan, Report, run};

/// Seeds between two lines of progress.
const PROGRESS_EVERY: u64 = 1_000;

/// Runs workers, store and faults on simulated time, one seed after the other.
#[derive(Debug, Clone, Copy, Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Steps with faults per seed; a quiet end follows.
    #[arg(long, default_value_t = 500)]
    steps: u64,
    /// Lines of the history of a seed that fails.
    #[arg(long, default_value_t = 60)]
    lines: usize,
    /// Threads; as many as there are processors when absent.
    #[arg(long)]
    threads: Option<usize>,
    /// A mistake to put in.
    #[cfg(feature = "planted")]
    #[arg(long)]
    plant: Option<simulation::Plant>,
}

impl Arguments {
    fn plan(self) -> Plan {
        let plan = Plan::new(self.steps).with_lines(self.lines);
        #[cfg(feature = "planted")]
        let plan = plan.with(self.plant);
        plan
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.threads.unwrap_or(processors).max(1);
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let (failed, began) = (Mutex::new(None), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&arguments, &next, &steps, &failed, began));
        }
    });
    if let Some(report) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        say(&failure(&report, &arguments));
        return ExitCode::FAILURE;
    }
    progress(arguments.seeds, &steps, began);
    ExitCode::SUCCESS
}

fn work(
    arguments: &Arguments,
    next: &AtomicU64,
    steps: &AtomicU64,
    failed: &Mutex<Option<Report>>,
    began: Instant,
) {
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= arguments.seeds {
            return;
        }
        let report = run(arguments.from.saturating_add(at), arguments.plan());
        steps.fetch_add(report.steps, Ordering::Relaxed);
        if at % PROGRESS_EVERY == PROGRESS_EVERY - 1 {
            progress(at + 1, steps, began);
        }
        if report.violation.is_some() {
            // The others stop after their current seed.
            next.store(u64::MAX / 2, Ordering::Relaxed);
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.as_ref().is_none_or(|other| report.seed < other.seed) {
                *failed = Some(report);
            }
            return;
        }
    }
}

fn progress(seeds: u64, steps: &AtomicU64, began: Instant) {
    let elapsed = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let speed = seeds as f64 / elapsed;
    let steps = steps.load(Ordering::Relaxed);
    say(&format!("{seeds} seeds, {steps} steps, {elapsed:.1} s, {speed:.0} seeds/s, all is well"));
}

fn failure(report: &Report, arguments: &Arguments) -> String {
    let lines: Vec<&str> = report.history.lines().collect();
    let Report { seed, steps, violation, history: _ } = report;
    let what = violation.as_deref().unwrap_or_default();
    format!(
        "{}\nseed {seed} fails at step {steps}: {what}\nagain: cargo run -p simulation -- --seeds 1 --from {seed} --steps {}",
        lines.join("\n"),
        arguments.steps
    )
}

fn say(text: &str) {
    // Nobody listens any more: the exit code still tells.
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}
