//! What a payment gateway's answer to a charge means.

use values::{Timestamp, words};

use super::{GRACE, Reason, RecordState};
use crate::throttle::{Throttle, ThrottledReason};

/// What a gateway said about a charge; told by its error type and code, never by message text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayAnswer {
    /// The money is taken, now or by an earlier call under the same key.
    Accepted,
    /// The card was refused, for whatever reason of its own (funds, expiry, fraud).
    Declined {
        /// The gateway's code.
        code: String,
    },
    /// The bank wants the customer to confirm; without them, the charge is refused.
    AuthenticationRequired,
    /// The request itself was refused with a code: the company's fault, not the card's.
    Refused {
        /// The gateway's code.
        code: String,
    },
    /// A time-out, a 5xx or an answer nobody understands: the charge may have been made.
    Unknown,
}

/// What is known when the answer comes.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// When it came.
    pub now: Timestamp,
    /// Whether the account is never throttled.
    pub exempt: bool,
    /// The account's throttle, in force or in grace.
    pub throttle: Option<Throttle>,
    /// The month's end of grace, if it was declined before.
    pub grace_until: Option<Timestamp>,
    /// Whether another month of the account is refused and open.
    pub others_failed: bool,
}

words! {
    /// A mail that follows, to the customer or the admins.
    Notice, "a notice":
    /// The invoice, as a receipt.
    MonthlyInvoice = "customer:monthly_invoice",
    /// The card was declined; the date from which on the account is throttled.
    ThrottledCardDeclined = "customer:throttled_card_declined",
    /// The bank wants the customer's confirmation.
    AuthenticationRequired = "customer:authentication_required",
    /// A card was declined.
    AdminCardDeclined = "admin:card_declined",
    /// An account will be throttled.
    AdminThrottledAccount = "admin:throttled_account",
    /// The gateway refused a request.
    AdminChargeError = "admin:charge_error",
}

/// What follows from an answer, to be stored in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequence {
    /// The record's new state.
    pub state: RecordState,
    /// Whether the attempt was refused for certain, so that the next one has a key of its own.
    pub refused: bool,
    /// Why it ended so.
    pub reason: Reason,
    /// The end of grace to store with the record.
    pub grace_until: Option<Timestamp>,
    /// The account's new throttle, if it gets one.
    pub throttle: Option<Throttle>,
    /// Whether the account's throttle ends.
    pub lifts_throttle: bool,
    /// The mails to write.
    pub notices: Vec<Notice>,
}

impl GatewayAnswer {
    /// Draws the consequences.
    ///
    /// A decline fixes the month's end of grace once, four days after the first one, and the
    /// account is throttled from then on unless it is exempt or throttled earlier already. What is
    /// unknown stays pending under its key. A payment ends a throttle for a declined card if no
    /// other month is refused.
    pub fn consequence(&self, facts: &Answered) -> Consequence {
        let nothing = Consequence {
            state: RecordState::Pending,
            refused: false,
            reason: Reason::GatewayError,
            grace_until: facts.grace_until,
            throttle: None,
            lifts_throttle: false,
            notices: Vec::new(),
        };
        match self {
            Self::Accepted => {
                let declined =
                    |throttle: Throttle| throttle.reason == ThrottledReason::CardDeclined;
                Consequence {
                    state: RecordState::Paid,
                    reason: Reason::Charged,
                    lifts_throttle: facts.throttle.is_some_and(declined) && !facts.others_failed,
                    notices: vec![Notice::MonthlyInvoice],
                    ..nothing
                }
            }
            Self::Declined { code: _ } => declined(facts, None, &nothing),
            Self::AuthenticationRequired => {
                declined(facts, Some(Notice::AuthenticationRequired), &nothing)
            }
            Self::Refused { code: _ } => Consequence {
                state: RecordState::Failed,
                refused: true,
                notices: vec![Notice::AdminChargeError],
                ..nothing
            },
            Self::Unknown => nothing,
        }
    }
}

/// A decline; `own` is the customer's mail if it is not about the card.
fn declined(facts: &Answered, own: Option<Notice>, nothing: &Consequence) -> Consequence {
    let grace_until = facts.grace_until.unwrap_or_else(|| facts.now.after(GRACE));
    let first = facts.grace_until.is_none();
    let earlier = facts.throttle.is_some_and(|throttle| throttle.at <= grace_until);
    let throttle = (first && !facts.exempt && !earlier)
        .then_some(Throttle { at: grace_until, reason: ThrottledReason::CardDeclined });
    let mut notices = Vec::new();
    notices.extend(own.or(throttle.map(|_| Notice::ThrottledCardDeclined)));
    notices.push(Notice::AdminCardDeclined);
    notices.extend(throttle.map(|_| Notice::AdminThrottledAccount));
    Consequence {
        state: RecordState::Failed,
        refused: true,
        reason: Reason::CardDeclined,
        grace_until: Some(grace_until),
        throttle,
        notices,
        ..nothing.clone()
    }
}
