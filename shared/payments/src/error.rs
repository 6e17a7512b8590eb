//! What keeps a call from having an outcome, by what a person does about it.

use values::{Classify, Retry, Span};

use crate::UnknownReason;

/// Why a call has no outcome. None of these took or gave money; none carries a key.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// The settings cannot work.
    #[error("the payment gateway is not configured: {problem}")]
    Configuration {
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// A key for real money, outside production.
    #[error(
        "a live key is refused in the environment `{}`; use a test key, or set \
         MAIN_WORKER_ENVIRONMENT to \"production\"",
        if environment.is_empty() { "development" } else { environment }
    )]
    LiveKey {
        /// The environment's name.
        environment: String,
    },
    /// The request cannot be sent to any gateway.
    #[error("the payment request is wrong: {problem}")]
    Invalid {
        /// What is wrong with it.
        problem: String,
    },
    /// The gateway does not know the key (401).
    #[error("the gateway does not accept the secret key; it may have been rolled or revoked")]
    WrongKey,
    /// The gateway knows the key, but it may not do this (403).
    #[error("the secret key may not {call}; give it that permission")]
    Forbidden {
        /// What was asked for.
        call: &'static str,
    },
    /// The gateway asked to slow down, and still did after every retry (429).
    #[error("the gateway asks to slow down; lower the calls per second or try again later")]
    RateLimited {
        /// How long it asked to wait, or how long we would have.
        after: Span,
    },
    /// A question got no answer.
    #[error("cannot {call}")]
    Unreachable {
        /// What was asked for.
        call: &'static str,
        /// What happened.
        #[source]
        reason: UnknownReason,
    },
    /// A question was refused.
    #[error("cannot {call}: the gateway says `{code}`")]
    Refused {
        /// What was asked for.
        call: &'static str,
        /// The gateway's code.
        code: String,
    },
    /// There is more to read than any customer has.
    #[error("cannot {call}: more than {pages} pages")]
    TooMany {
        /// What was asked for.
        call: &'static str,
        /// Pages read.
        pages: u32,
    },
}

impl Classify for PaymentError {
    fn retry(&self) -> Retry {
        match self {
            Self::Configuration { problem: _ }
            | Self::LiveKey { environment: _ }
            | Self::Invalid { problem: _ }
            | Self::WrongKey
            | Self::Forbidden { call: _ }
            | Self::Refused { call: _, code: _ }
            | Self::TooMany { call: _, pages: _ } => Retry::Never,
            Self::RateLimited { after } => Retry::After(*after),
            Self::Unreachable { call: _, reason: _ } => Retry::Backoff,
        }
    }
}
