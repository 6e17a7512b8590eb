//! The schedules alone.

use std::sync::Arc;

use anyhow::Result;

use super::chores::Schedules;
use super::http::Pulse;
use crate::app::App;

/// Ticks the schedules of worker.toml as a worker does, without a worker around it.
pub struct Scheduler(Arc<Schedules>);

impl Scheduler {
    /// Prepares the schedules of a program.
    ///
    /// # Errors
    /// If this machine does not hold the key of a schedule's source.
    pub fn new(app: &App) -> Result<Self> {
        Ok(Self(Arc::new(Schedules::new(app, &Arc::new(Pulse::new()))?)))
    }

    /// Enqueues what is due by the clock of the task store; says whether nothing was left.
    pub async fn look(&self) -> bool {
        Arc::clone(&self.0).look().await;
        !self.0.take_failed()
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}
