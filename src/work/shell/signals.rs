//! The signals of the process.

use anyhow::{Context as _, Result};

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Option<tokio::signal::unix::Signal>,
    interrupt: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    pub(super) fn new(listen: bool) -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        if !listen {
            return Ok(Self { terminate: None, interrupt: None });
        }
        let terminate = Some(signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?);
        let interrupt = Some(signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?);
        Ok(Self { terminate, interrupt })
    }

    pub(super) async fn next(&mut self) {
        match (&mut self.terminate, &mut self.interrupt) {
            (Some(terminate), Some(interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ => std::future::pending().await,
        }
    }
}
