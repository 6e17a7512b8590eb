//! The process title: `ps` and `top` show which jobs run, never just the program's name.

use std::time::{Duration, Instant};

/// Titles are written at most this often.
const EVERY: Duration = Duration::from_millis(250);
/// The kernel keeps 15 bytes of a thread's name.
const LONGEST: usize = 15;

/// Keeps the main thread's name in step with what runs.
#[derive(Debug, Default)]
pub struct Title {
    shown: String,
    written: Option<Instant>,
}

impl Title {
    /// Shows the running jobs; cheap to call often.
    pub fn show<'a>(&mut self, running: impl Iterator<Item = &'a str>) {
        if self.written.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        let title = title(running);
        self.written = Some(Instant::now());
        if title != self.shown {
            // Where this cannot be written there is simply no title.
            std::fs::write("/proc/self/comm", &title).ok();
            self.shown = title;
        }
    }
}

/// `mw idle`, `mw process_log`, or `mw 3 process_log` with the most frequent job.
fn title<'a>(running: impl Iterator<Item = &'a str>) -> String {
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut total = 0;
    for job in running {
        *counts.entry(job.split_once('/').map_or(job, |(_, name)| name)).or_default() += 1;
        total += 1;
    }
    let most = counts.iter().max_by_key(|(_, count)| **count).map(|(job, _)| *job);
    let mut title = match (total, most) {
        (_, None) => "mw idle".to_owned(),
        (1, Some(job)) => format!("mw {job}"),
        (total, Some(job)) => format!("mw {total} {job}"),
    };
    title.truncate(LONGEST);
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_job_that_runs_most() {
        assert_eq!(title([].into_iter()), "mw idle");
        assert_eq!(title(["logs/process_log"].into_iter()), "mw process_log");
        let three = ["logs/process_log", "logs/process_log", "usage/roll_up_usage"];
        assert_eq!(title(three.into_iter()), "mw 3 process_lo");
    }
}
