//! What reporting adds to one attempt: `cargo bench -p reporting --bench attempt`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reporting::{
    AttemptLog, LogFormat, LoggingOptions, MetricNames, Metrics, Scrubber, TaskOutcome,
};
use values::{FixedClock, JobName, Source, TaskId, Timestamp};

const ATTEMPTS: u32 = 300_000;
const ROUNDS: u32 = 5;

fn main() {
    let job: JobName = "logs/process_log".parse().expect("a job name");
    let source: Source = "scheduler".parse().expect("a source");
    let task_id = TaskId::from_bytes([7; 16]);
    let scrubber = Scrubber::new();
    let options = LoggingOptions {
        format: LogFormat::Json,
        filter: "info".to_owned(),
        no_color: true,
        clock: Arc::new(FixedClock(Timestamp::EPOCH)),
        scrubber: scrubber.clone(),
    };
    let sink = Box::new(|line: &[u8]| {
        black_box(line);
    });
    let subscriber = reporting::subscriber(options, sink).expect("a filter");
    let names = MetricNames {
        jobs: vec![job.clone()],
        sources: vec![source.clone()],
        ..MetricNames::default()
    };
    let metrics = Metrics::new("0", names);
    tracing::subscriber::with_default(subscriber, || {
        let attempt = |work: &dyn Fn()| {
            let log = AttemptLog::new(100);
            reporting::task_span(&job, &source, task_id, 1, &log).in_scope(work);
            black_box(log.take());
        };
        measure("span and log of a silent attempt", || attempt(&|| {}));
        measure("the same with one line", || {
            attempt(&|| tracing::info!(lines = 7, "log folded"));
        });
        measure("the same with a line below the filter", || {
            attempt(&|| tracing::debug!(lines = 7, "detail"));
        });
        measure("metrics of an attempt", || {
            let running = metrics.task_running(&job);
            let time = Duration::from_millis(3);
            metrics.task_settled(&job, &source, TaskOutcome::Completed, time, time);
            drop(running);
        });
    });
    let text =
        "a line of ordinary length without anything in it that must not be shown, nothing at all";
    measure("scrub a line, no secret registered", || {
        drop(black_box(scrubber.scrub(text)));
    });
    let secrets = (0..10).map(|n| format!("secret-value-{n:04}-that-is-long")).collect();
    let _guard = scrubber.guard(secrets);
    measure("scrub a line, ten secrets registered", || {
        drop(black_box(scrubber.scrub(text)));
    });
}

/// Prints the fastest round.
fn measure(name: &str, mut work: impl FnMut()) {
    let best = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        (0..ATTEMPTS).for_each(|_| work());
        begun.elapsed() / ATTEMPTS
    });
    println!("{name:40} {:>6} ns", best.min().unwrap_or_default().as_nanos());
}
