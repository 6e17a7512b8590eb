//! Delivery to an SMTP server: a few connections, kept while they are of use.

mod pace;
mod session;
mod settings;
mod stream;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::delivery::Delivery;
use crate::error::OpenError;
use crate::letter::Letter;
use pace::Pace;
use session::{Failure, Session, Step};
use settings::Protection;
pub use settings::{SmtpSecurity, SmtpSettings};

/// How long a letter waits for one of the connections.
const CONNECTION_WITHIN: Duration = Duration::from_mins(1);
/// How long an unused connection is kept; servers close theirs after a minute or more.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How many letters go over one connection.
const LETTERS_PER_CONNECTION_MAX: u32 = 100;

/// A mail server and the connections to it.
pub(crate) struct Smtp {
    settings: SmtpSettings,
    protection: Protection,
    slots: Semaphore,
    idle: Mutex<Vec<Idle>>,
    pace: Pace,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Idle {
    session: Session,
    since: Instant,
}

impl Smtp {
    pub(crate) fn open(settings: SmtpSettings) -> Result<Self, OpenError> {
        settings.check()?;
        let protection = settings.protection()?;
        let slots = Semaphore::new(settings.connections_max.into());
        let pace = Pace::new(settings.letters_per_second_max);
        Ok(Self { settings, protection, slots, idle: Mutex::default(), pace })
    }

    /// Waits for its turn and hands the letter over.
    pub(crate) async fn deliver(&self, letter: &Letter) -> Delivery {
        let Ok(slot) = timeout(CONNECTION_WITHIN, self.slots.acquire()).await else {
            let seconds = CONNECTION_WITHIN.as_secs();
            let message = format!("every connection was in use for {seconds} s");
            return Delivery::Later { code: None, message };
        };
        let _slot = slot.expect("the slots are never closed");
        self.pace.wait().await;
        // A kept connection that the server has closed meanwhile shows at the first word on it,
        // and a new one takes its place.
        if let Some(session) = self.kept() {
            match self.hand_over(session, letter).await {
                Err(failure) if failure.is_stale() => {}
                ended => return ended.unwrap_or_else(Failure::into_delivery),
            }
        }
        match Session::open(&self.settings, &self.protection).await {
            Ok(session) => {
                self.hand_over(session, letter).await.unwrap_or_else(Failure::into_delivery)
            }
            Err(failure) => failure.into_delivery(),
        }
    }

    /// Connects and signs in.
    pub(crate) async fn check(&self) -> Result<(), String> {
        let session = Session::open(&self.settings, &self.protection).await;
        session.map(|session| self.keep(session)).map_err(|failure| failure.to_string())
    }

    /// Sends a letter; the connection goes back to the others if it is still good.
    async fn hand_over(&self, mut session: Session, letter: &Letter) -> Result<Delivery, Failure> {
        match session.send(letter).await {
            Ok(message) => {
                self.keep(session);
                Ok(Delivery::Sent { message })
            }
            Err(failure) => {
                if failure.leaves_connection_good() && session.reset().await {
                    self.keep(session);
                }
                Err(failure)
            }
        }
    }

    fn kept(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE_MAX);
        idle.pop().map(|idle| idle.session)
    }

    /// Keeps a connection; there are never more than slots, because each had one.
    fn keep(&self, session: Session) {
        if session.letters < LETTERS_PER_CONNECTION_MAX {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < usize::from(self.settings.connections_max) {
                idle.push(Idle { session, since: Instant::now() });
            }
        }
    }
}

impl Failure {
    /// What a failure means for the letter.
    fn into_delivery(self) -> Delivery {
        let message = self.to_string();
        let Self { step, code, .. } = self;
        match (step, code) {
            // The server does not know the letter yet: whatever is wrong is not the letter's.
            (Step::Connect | Step::Encrypt | Step::SignIn, _) => Delivery::Later { code, message },
            (Step::Address, _) | (_, Some(500..)) => Delivery::Refused { code, message },
            (Step::Content, None) => Delivery::Unknown { message },
            (Step::Sender | Step::Recipient | Step::Data | Step::Content, _) => {
                Delivery::Later { code, message }
            }
        }
    }
}
