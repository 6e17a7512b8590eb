//! Threads of their own for handlers, so that one that computes without a pause holds up nothing
//! else: no transaction of the store, and with it no heartbeat, no schedule and no drain.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

/// Where attempts run.
#[derive(Debug)]
pub(super) struct Handlers {
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl Handlers {
    /// Starts a thread for each processor.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("handlers").enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs an attempt.
    pub(super) fn spawn(&self, attempt: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(attempt);
        }
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody waits for a handler that does not end.
            runtime.shutdown_background();
        }
    }
}
