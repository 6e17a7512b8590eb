//! Telling people through Sentry, or a server that speaks its protocol.

#[cfg(feature = "sentry")]
mod client;
#[cfg(not(feature = "sentry"))]
#[path = "sentry/absent.rs"]
mod client;
#[cfg(test)]
#[cfg(feature = "sentry")]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use values::Secret;

use crate::event::Event;
use crate::scrub::Scrubber;
use client::Client;

/// Why Sentry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SentryError {
    /// The address is wrong. It is not shown, because it is a secret.
    #[error(
        "the Sentry DSN is wrong ({cause}); write it as the project's settings show it: \
         https://PUBLIC_KEY@HOST/PROJECT_NUMBER"
    )]
    Dsn {
        /// What is wrong with it.
        cause: String,
    },
}

/// Reports events in the background; clones share one connection.
///
/// A report never waits: it goes to a bounded queue that one thread sends, and is dropped when the
/// queue is full. Thread and TLS begin with the first report, so that a quiet worker has neither.
/// Events hold what [`Event`] says and nothing else: no breadcrumbs, host name, user or address.
#[derive(Clone)]
pub struct Sentry {
    client: Option<Arc<Client>>,
    scrubber: Scrubber,
}

impl Sentry {
    /// Prepares reports to the project of `dsn`; without one, reports go nowhere.
    ///
    /// Nothing is sent yet: a server that cannot be reached is no error. Built without the feature
    /// `sentry`, a given `dsn` only logs a warning.
    ///
    /// # Errors
    ///
    /// [`SentryError::Dsn`] if `dsn` is no Sentry address.
    pub fn connect(
        dsn: Option<&Secret<String>>,
        environment: &str,
        release: &str,
        scrubber: Scrubber,
    ) -> Result<Self, SentryError> {
        let client = dsn.map(|dsn| Client::new(dsn, environment, release).map(Arc::new));
        Ok(Self { client: client.transpose()?, scrubber })
    }

    /// Sends an event in the background.
    pub fn report(&self, event: &Event<'_>) {
        if let Some(client) = &self.client {
            client.send(event.report(&self.scrubber));
        }
    }

    /// Waits until everything reported so far is sent, at most `timeout`; call it before the end.
    ///
    /// Returns whether all of it went out. It blocks the thread: from async code, call it through
    /// `spawn_blocking`.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.client.as_ref().is_none_or(|client| client.flush(timeout))
    }
}

impl fmt::Debug for Sentry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentry").field("connected", &self.client.is_some()).finish_non_exhaustive()
    }
}
