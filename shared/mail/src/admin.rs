//! What the company's own people are told: ids, figures and codes, never documents or secrets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use values::{AccountId, Money, Month, TaskId, Timestamp};

/// How many events a digest lists; what is beyond is counted.
pub const ADMIN_EVENTS_LISTED_MAX: usize = 200;
const CODE_CHARS_MAX: usize = 100;

/// Why a text is not a [`Code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a code: write 1 to 100 letters, digits and any of _ - . : /")]
pub struct CodeError;

/// A machine's word, such as `insufficient_funds` or `billing/invoice_account`.
///
/// It holds no blank and no more than 100 characters, so that no document fits into an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(String);

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
        match text.chars().count() {
            1..=CODE_CHARS_MAX if text.chars().all(plain) => Ok(Self(text.to_owned())),
            _ => Err(CodeError),
        }
    }
}

impl TryFrom<String> for Code {
    type Error = CodeError;

    fn try_from(text: String) -> Result<Self, CodeError> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Defines the kinds of events with their words, and whether they wait for the digest.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $title:literal, $when:ident;)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum AdminEventKind {
            $($(#[$doc])* $variant,)*
        }

        impl AdminEventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What happened, in words.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)*
                }
            }

            /// Whether it waits for the digest; anything else is an alert of its own.
            pub const fn is_routine(self) -> bool {
                const DIGEST: bool = true;
                const ALERT: bool = false;
                match self {
                    $(Self::$variant => $when,)*
                }
            }
        }
    };
}

kinds! {
    /// Someone signed up.
    AccountCreated = "Account created", DIGEST;
    /// A customer added a card.
    CardAdded = "Card added", DIGEST;
    /// A customer was warned of a limit.
    NearLimit = "Near a limit", DIGEST;
    /// Plans were replaced because of usage.
    PlanUpgraded = "Plan upgraded", DIGEST;
    /// An account was stopped.
    Throttled = "Account throttled", DIGEST;
    /// An account works again.
    ThrottleLifted = "Throttle lifted", DIGEST;
    /// A card was declined.
    CardDeclined = "Card declined", DIGEST;
    /// A mail was refused for good.
    MailRefused = "Mail refused", DIGEST;
    /// A recording could not be archived.
    RecordingQuarantined = "Recording in quarantine", DIGEST;
    /// A card of an account that is never stopped was declined.
    ExemptDeclined = "Card declined on an exempt account", ALERT;
    /// The gateway failed in a way that nobody foresaw.
    ChargeFailed = "Charge failed", ALERT;
    /// An account holds a plan that the catalogue does not know.
    UnknownPlan = "Unknown plan", ALERT;
    /// An account uses more than the largest plan gives.
    NoLargerPlan = "Above the largest plan", ALERT;
    /// A month's run waits for approval, or stopped by itself.
    BillingHeld = "Billing run held", ALERT;
    /// A ledger does not add up.
    LedgerDifference = "Ledger difference", ALERT;
    /// Tasks wait or run for too long.
    QueueStuck = "Queue stuck", ALERT;
}

/// One thing that happened; every field is an id, a figure or a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminEvent {
    /// What.
    pub kind: AdminEventKind,
    /// When.
    pub at: Timestamp,
    /// To which account.
    pub account: Option<AccountId>,
    /// In which task.
    pub task: Option<TaskId>,
    /// About which month.
    pub month: Option<Month>,
    /// About how much.
    pub amount: Option<Money>,
    /// Why, or what else: the gateway's code, a plan, a job, another id.
    pub code: Option<Code>,
}

impl AdminEvent {
    /// Starts an event with nothing but its kind and time.
    pub const fn new(kind: AdminEventKind, at: Timestamp) -> Self {
        Self { kind, at, account: None, task: None, month: None, amount: None, code: None }
    }
}

/// [`Message::AdminAlert`](crate::Message::AdminAlert).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminAlert {
    /// What happened.
    pub event: AdminEvent,
}

/// [`Message::AdminDigest`](crate::Message::AdminDigest).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminDigest {
    /// The start of the time it covers.
    pub from: Timestamp,
    /// The end of that time.
    pub until: Timestamp,
    /// The first [`ADMIN_EVENTS_LISTED_MAX`] events, oldest first.
    pub events: Vec<AdminEvent>,
    /// How many events there were besides.
    pub more: u64,
}

impl AdminDigest {
    /// Takes all events of a time, oldest first, and lists as many as fit.
    pub fn new(from: Timestamp, until: Timestamp, mut events: Vec<AdminEvent>) -> Self {
        let more = events.len().saturating_sub(ADMIN_EVENTS_LISTED_MAX) as u64;
        events.truncate(ADMIN_EVENTS_LISTED_MAX);
        Self { from, until, events, more }
    }
}

/// [`Message::AdminMonthClosed`](crate::Message::AdminMonthClosed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminMonthClosed {
    /// The month.
    pub month: Month,
    /// What became of its accounts, one row per outcome and currency.
    pub settled: Vec<SettledCount>,
}

/// How many accounts ended in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettledCount {
    /// The state or the reason for skipping, such as `paid` or `no_card`.
    pub outcome: Code,
    /// How many accounts.
    pub accounts: u64,
    /// The sum of their totals.
    pub total: Money,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fault 24: a mail to admins has room for words and ids only.
    #[test]
    fn a_code_holds_a_word_and_never_a_document() {
        for good in ["paid", "billing/invoice_account", "ch_3Pq", "acct_01j", "card:declined"] {
            assert_eq!(good.parse::<Code>().unwrap().to_string(), good);
        }
        let long = "a".repeat(CODE_CHARS_MAX + 1);
        for bad in ["", "two words", "{\"masterKey\":1}", "a\nb", "a@b.c", "é", &long] {
            assert_eq!(bad.parse::<Code>(), Err(CodeError), "{bad}");
        }
        assert!(serde_json::from_str::<Code>("\"two words\"").is_err());
    }

    #[test]
    fn a_digest_is_bounded_and_counts_the_rest() {
        let event = AdminEvent::new(AdminEventKind::CardAdded, Timestamp::EPOCH);
        let digest = |count| {
            let events = vec![event.clone(); count];
            let digest = AdminDigest::new(Timestamp::EPOCH, Timestamp::EPOCH, events);
            (digest.events.len(), digest.more)
        };
        assert_eq!(digest(3), (3, 0));
        assert_eq!(digest(ADMIN_EVENTS_LISTED_MAX + 5), (ADMIN_EVENTS_LISTED_MAX, 5));
    }
}
