//! The books: counts kept apart from the rows are compared with them, and a difference is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reporting::Event;
use tasks::Conservation;
use tokio::sync::Mutex;

use crate::accounts;
use crate::app::App;

/// How often counts and rows are compared.
pub(super) const EVERY: Duration = Duration::from_mins(1);
/// How much later than the others a worker may begin, so that not all read at once.
const SPREAD: Duration = Duration::from_secs(10);
/// A comparison takes at most one part in so many of the time, however many tasks there are.
const SHARE: u32 = 20;
/// Calls that add up counts, before each comparison at the most.
const MAX_FOLDS: u32 = 100;

/// The problems that were told last.
pub(super) type Told = Arc<Mutex<Vec<String>>>;

/// Compares once, and rests as long as that calls for.
pub(super) async fn compare(app: App, told: Told) {
    let part = f64::from(u32::from_be_bytes(tasks::random_bytes())) / f64::from(u32::MAX);
    tokio::time::sleep(SPREAD.mul_f64(part)).await;
    let begin = Instant::now();
    for _ in 0..MAX_FOLDS {
        match app.store.fold_tally().await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = %error, "counts not added up");
                break;
            }
        }
    }
    match app.store.conservation().await {
        Ok(found) => tell(&app, &found, &mut *told.lock().await),
        Err(error) => tracing::warn!(error = %error, "counts and rows not compared"),
    }
    tokio::time::sleep(begin.elapsed() * (SHARE - 1)).await;
}

/// Sets the gauges; alerts when something else is wrong than last time.
fn tell(app: &App, found: &Conservation, told: &mut Vec<String>) {
    let unknown = found.elsewhere();
    let lanes = found.lanes.iter().map(|lane| (lane.job_name.as_str(), lane.difference()));
    // What no lane misses would otherwise not be seen.
    let elsewhere = (found.broken().next().is_none() && unknown > 0).then_some(("", unknown));
    app.reporter.metrics.set_conservation(app.clock.now(), lanes.chain(elsewhere));
    let problems = accounts::problems(found);
    if problems == *told {
        return;
    }
    if problems.is_empty() {
        tracing::info!("every task is accounted for again");
    } else {
        let message = format!("{}; {}", problems.join("; "), accounts::REMEDY);
        tracing::error!(code = "conservation_broken", reason = message, "tasks are missing");
        let job_name = found.broken().find_map(|lane| lane.job_name.parse().ok());
        app.reporter.sentry.report(&Event::Alert {
            code: "conservation_broken",
            job_name: job_name.as_ref(),
            message: &message,
        });
    }
    *told = problems;
}
