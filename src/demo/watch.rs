//! Shows on stderr how far the queue is: a bar on a terminal, else a line a second.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use models::LogState;
use models::ledger;
use tasks::TaskFilter;

use crate::app::App;

/// How often is looked on a terminal, and elsewhere.
const EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// Tasks that are counted at the most.
const MAX_TASKS: u32 = 1_000;

/// Watches the queue of a demonstration.
#[derive(Debug)]
pub struct Watch {
    app: App,
    bar: Option<ProgressBar>,
    began: Instant,
    /// Files whose lines are not counted yet.
    open: Vec<(&'static str, String)>,
    lines: u64,
    tasks: (u64, u64),
}

impl Watch {
    /// Begins to watch; `files` are log source and key of the files to be processed.
    pub fn new(app: App, files: Vec<(&'static str, String)>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:32} {pos}/{len} tasks, {msg}")
                .expect("the template is right");
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
        });
        Self { app, bar, began: Instant::now(), open: files, lines: 0, tasks: (0, 0) }
    }

    /// How long to wait between two looks.
    pub fn every(&self) -> Duration {
        EVERY[usize::from(self.bar.is_none())]
    }

    /// Looks once and shows what is seen.
    pub async fn look(&mut self) -> Result<()> {
        let all = TaskFilter { limit: MAX_TASKS, ..TaskFilter::default() };
        let seen = self.app.store.search(all).await?;
        let done = seen.iter().filter(|task| task.state.is_final()).count();
        self.tasks = (u64::try_from(done)?, u64::try_from(seen.len())?);
        let mut open = Vec::new();
        for (source, key) in std::mem::take(&mut self.open) {
            match ledger::get(&self.app.db, source, &key).await? {
                Some(file) if file.state == LogState::Complete => {
                    self.lines += file.lines.unwrap_or(0);
                }
                _ => open.push((source, key)),
            }
        }
        self.open = open;
        self.show();
        Ok(())
    }

    fn show(&self) {
        let (done, known) = self.tasks;
        let lines = self.lines;
        if let Some(bar) = &self.bar {
            bar.set_length(known);
            bar.set_position(done);
            bar.set_message(format!("{lines} lines"));
        } else {
            let seconds = self.began.elapsed().as_secs();
            let mut err = std::io::stderr();
            // Who does not look misses nothing that matters.
            writeln!(err, "{seconds:>3} s: {done}/{known} tasks, {lines} lines").ok();
        }
    }

    /// Ends the display; returns the tasks that are done.
    pub async fn finish(mut self) -> Result<u64> {
        self.look().await?;
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
        Ok(self.tasks.0)
    }
}
