//! The connection to Sentry: a bounded queue and a thread that owns everything else.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use ::sentry::protocol::{Event, Exception, Values};
use ::sentry::transports::ReqwestHttpTransportOptions;
use ::sentry::types::Dsn;
use ::sentry::{ClientOptions, Level, Transport, TransportFactory, TransportOptions};
use values::Secret;

use crate::event::{Report, Urgency};
use crate::sentry::SentryError;

/// The most events that wait for the thread, and again for the network; further ones are dropped.
const QUEUE_EVENTS_MAX: usize = 100;

/// The longest that sending one event may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Client {
    options: ClientOptions,
    /// Leads to the thread that the first report begins; it ends when this is dropped.
    commands: OnceLock<SyncSender<Command>>,
}

enum Command {
    Send(Report),
    Flush { timeout: Duration, done: SyncSender<bool> },
}

impl Client {
    pub(super) fn new(
        dsn: &Secret<String>,
        environment: &str,
        release: &str,
    ) -> Result<Self, SentryError> {
        Self::with_transport(dsn, environment, release, Http)
    }

    pub(super) fn with_transport(
        dsn: &Secret<String>,
        environment: &str,
        release: &str,
        transport: impl TransportFactory + 'static,
    ) -> Result<Self, SentryError> {
        let dsn: Dsn = dsn
            .expose()
            .trim()
            .parse()
            .map_err(|cause| SentryError::Dsn { cause: format!("{cause}") })?;
        let mut options = ClientOptions::new()
            .environment(environment.to_owned())
            .release(release.to_owned())
            .send_default_pii(false)
            .default_integrations(false)
            .max_breadcrumbs(0)
            .transport_channel_capacity(QUEUE_EVENTS_MAX)
            .transport(transport);
        options.dsn = Some(dsn);
        Ok(Self { options, commands: OnceLock::new() })
    }

    pub(super) fn send(&self, report: Report) {
        let commands = self.commands.get_or_init(|| {
            let (commands, received) = sync_channel(QUEUE_EVENTS_MAX);
            let options = self.options.clone();
            thread::spawn(move || run(options, &received));
            commands
        });
        // A full queue means that the same has been reported a hundred times already.
        drop(commands.try_send(Command::Send(report)));
    }

    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let Some(commands) = self.commands.get().cloned() else {
            return true;
        };
        let (done, flushed) = sync_channel(1);
        // A thread of its own waits for room in the queue, however long that takes.
        thread::spawn(move || commands.send(Command::Flush { timeout, done }));
        flushed.recv_timeout(timeout).unwrap_or(false)
    }
}

/// Sends what is received until the other end is gone; sets up TLS, which takes its time, first.
fn run(options: ClientOptions, commands: &Receiver<Command>) {
    let client = ::sentry::Client::with_options(options);
    for command in commands {
        match command {
            Command::Send(report) => {
                // Without a scope nothing is added from the surroundings.
                client.capture_event(event(report), None);
            }
            Command::Flush { timeout, done } => {
                // Whoever asked may have stopped waiting.
                done.try_send(client.flush(Some(timeout))).ok();
            }
        }
    }
}

fn event(report: Report) -> Event<'static> {
    let Report { title, urgency, message, tags, fingerprint } = report;
    let culprit = tags.iter().find(|(name, _)| *name == "job_name").map(|(_, job)| job.clone());
    Event {
        level: match urgency {
            Urgency::Error => Level::Error,
            Urgency::Warning => Level::Warning,
        },
        culprit,
        logger: Some("main_worker".to_owned()),
        exception: Values::from(vec![Exception {
            ty: title.to_owned(),
            value: Some(message),
            ..Exception::default()
        }]),
        tags: tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        fingerprint: fingerprint.into_iter().map(Into::into).collect(),
        ..Event::default()
    }
}

/// Sends over HTTP with a time limit, which the library's own client has not.
struct Http;

impl TransportFactory for Http {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let client = reqwest::Client::builder()
            .timeout(SEND_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        match client {
            Ok(client) => {
                Arc::new(ReqwestHttpTransportOptions::from(options).with_client(client).build())
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(error, "nothing is reported to Sentry: TLS cannot be set up");
                Arc::new(Nowhere)
            }
        }
    }
}

struct Nowhere;

impl Transport for Nowhere {
    fn send_envelope(&self, envelope: ::sentry::Envelope) {
        drop(envelope);
    }
}
