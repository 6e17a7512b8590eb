//! Stands in for the client when the feature `sentry` is off: sends nothing.

use std::time::Duration;

use values::Secret;

use crate::event::Report;
use crate::sentry::SentryError;

pub(super) struct Client;

impl Client {
    #[expect(clippy::unnecessary_wraps, reason = "the client that sends can fail here")]
    pub(super) fn new(_: &Secret<String>, _: &str, _: &str) -> Result<Self, SentryError> {
        tracing::warn!("a Sentry DSN is given, but this program is built without Sentry");
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "the client that sends needs itself")]
    #[expect(clippy::needless_pass_by_value, reason = "the client that sends takes it")]
    pub(super) fn send(&self, report: Report) {
        let Report { title: _, urgency: _, message: _, tags: _, fingerprint: _ } = report;
    }

    #[expect(clippy::unused_self, reason = "the client that sends needs itself")]
    pub(super) fn flush(&self, _: Duration) -> bool {
        true
    }
}
