//! One connection, step by step, so that it is known how far a letter came.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::settings::{Protection, SmtpSettings};
use super::stream::Bounded;
use crate::letter::Letter;

/// What a server says is cut to this length.
const MESSAGE_CHARS_MAX: usize = 300;
/// How servers let clients sign in; the connection is encrypted, or stays on this machine.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// How far a letter came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Encrypt,
    SignIn,
    /// The server cannot take such an address.
    Address,
    Sender,
    Recipient,
    /// The server was asked whether it wants the letter; nothing of it was sent.
    Data,
    /// The letter is on its way.
    Content,
}

impl Step {
    const fn words(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Encrypt => "encrypting the connection",
            Self::SignIn => "signing in",
            Self::Address => "looking at the address",
            Self::Sender => "naming the sender",
            Self::Recipient => "naming the recipient",
            Self::Data => "offering the letter",
            Self::Content => "handing over the letter",
        }
    }
}

/// Why a letter was not accepted, as far as is known.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    /// What the server answered; `None` when it did not, or not in time.
    pub(super) code: Option<u16>,
    message: String,
}

impl Failure {
    /// Whether a kept connection turned out to be closed before anything was said on it.
    pub(super) fn is_stale(&self) -> bool {
        self.step == Step::Sender && matches!(self.code, None | Some(421))
    }

    /// Whether the server has answered and goes on listening.
    pub(super) fn leaves_connection_good(&self) -> bool {
        self.code.is_some_and(|code| code != 421)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step.words())?;
        match self.code {
            Some(code) => write!(f, "{code} {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A connection on which letters can be sent.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    answer_within: Duration,
    content_within: Duration,
    /// How many letters it has carried.
    pub(super) letters: u32,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("letters", &self.letters).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, encrypts and signs in.
    pub(super) async fn open(
        settings: &SmtpSettings,
        protection: &Protection,
    ) -> Result<Self, Failure> {
        let within = Duration::from_secs(settings.connect_seconds_max.into());
        let hello = settings.hello_name.clone().map_or_else(ClientId::default, ClientId::Domain);
        let server = (settings.host.as_str(), settings.port());
        let stream = step(Step::Connect, within, TcpStream::connect(server)).await?;
        let peer = step(Step::Connect, within, async { stream.peer_addr() }).await?;
        let stream: Box<dyn AsyncTokioStream> = match protection {
            Protection::Tls(tls, name) => {
                let encrypted = tls.connect(name.clone(), stream);
                Box::new(Bounded::new(step(Step::Encrypt, within, encrypted).await?, peer))
            }
            Protection::StartTls(_) | Protection::None => Box::new(Bounded::new(stream, peer)),
        };
        let greet = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let mut connection = step(Step::Connect, within, greet).await?;
        if let Protection::StartTls(tls) = protection {
            // Without STARTTLS the letter waits: it is never sent in the clear.
            step(Step::Encrypt, within, connection.starttls(tls.clone(), &hello)).await?;
        }
        if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            let credentials = Credentials::new(user.clone(), password.expose().clone());
            step(Step::SignIn, within, connection.auth(&MECHANISMS, &credentials)).await?;
        }
        Ok(Self {
            connection,
            answer_within: Duration::from_secs(settings.answer_seconds_max.into()),
            content_within: Duration::from_secs(settings.content_seconds_max.into()),
            letters: 0,
        })
    }

    /// Sends a letter and returns the server's words.
    pub(super) async fn send(&mut self, letter: &Letter) -> Result<String, Failure> {
        let parameters = self.parameters(letter)?;
        let within = self.answer_within;
        let connection = &mut self.connection;
        let sender = Mail::new(Some(letter.from.to_lettre()), parameters);
        step(Step::Sender, within, connection.command(sender)).await?;
        let recipient = Rcpt::new(letter.to.to_lettre(), Vec::new());
        step(Step::Recipient, within, connection.command(recipient)).await?;
        step(Step::Data, within, connection.command(Data)).await?;
        let content = connection.message(letter.as_bytes());
        let answer = step(Step::Content, self.content_within, content).await?;
        self.letters += 1;
        Ok(words(&answer))
    }

    /// Forgets a letter that was not accepted; says whether the connection is good for another.
    pub(super) async fn reset(&mut self) -> bool {
        step(Step::Sender, self.answer_within, self.connection.command(Rset)).await.is_ok()
    }

    /// What the server has to be told about addresses beyond ASCII (RFC 6531).
    fn parameters(&self, letter: &Letter) -> Result<Vec<MailParameter>, Failure> {
        if letter.as_bytes().is_ascii()
            && letter.to.as_str().is_ascii()
            && letter.from.as_str().is_ascii()
        {
            return Ok(Vec::new());
        }
        if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let message = "the server takes no addresses with letters beyond ASCII".to_owned();
            return Err(Failure { step: Step::Address, code: None, message });
        }
        let eight_bits = MailParameter::Body(MailBodyParameter::EightBitMime);
        Ok(vec![MailParameter::SmtpUtfEight, eight_bits])
    }
}

/// Does one step in bounded time.
async fn step<T, E: Told>(
    step: Step,
    within: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    let failure = |code, message: &str| Failure { step, code, message: clip(message) };
    match timeout(within, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failure(error.code(), &error.words())),
        Err(_) => Err(failure(None, &format!("no answer within {} s", within.as_secs()))),
    }
}

/// What is known when a step fails.
trait Told {
    fn code(&self) -> Option<u16>;
    fn words(&self) -> String;
}

impl Told for lettre::transport::smtp::Error {
    fn code(&self) -> Option<u16> {
        self.status().map(u16::from)
    }

    fn words(&self) -> String {
        // The cause alone: the code is told apart.
        let cause = std::error::Error::source(self).map(ToString::to_string);
        cause.unwrap_or_else(|| self.to_string())
    }
}

impl Told for io::Error {
    fn code(&self) -> Option<u16> {
        None
    }

    fn words(&self) -> String {
        self.to_string()
    }
}

fn words(answer: &Response) -> String {
    clip(&format!("{} {}", answer.code(), answer.message().collect::<Vec<_>>().join(" ")))
}

fn clip(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(MESSAGE_CHARS_MAX).collect()
}
