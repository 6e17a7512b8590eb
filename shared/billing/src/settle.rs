//! Whether and why a month is charged, what a gateway's answer means, and when it is tried again.

mod answer;
mod collect;
mod retry;
mod states;

use values::{AccountId, Money, Month, Span, Timestamp};

pub use self::answer::{Answered, Consequence, GatewayAnswer, Notice};
pub use self::collect::{OpenMonth, agreed_months, months_to_offer};
pub use self::retry::{GRACE, closes_at, next_retry, retry_times};
pub use self::states::{Manner, Reason, RecordState, Trigger};
use crate::{Bill, BilledBy, BillingError, ChargeKey, Due};

/// How long a gateway is sure to know a key again; after that the payment is looked up first.
pub const KEY_LIFETIME: Span = Span::from_hours(23);
/// Most refusals of one month; far more than the retry rule makes.
pub const MAX_REFUSALS: u32 = 100;

/// What is known of an account when a month is settled.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Its id.
    pub account: AccountId,
    /// Who sends its bills.
    pub billed_by: BilledBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is deleted.
    pub deleted: bool,
    /// From when on it is throttled; a date to come is a time of grace.
    pub throttled_at: Option<Timestamp>,
    /// Whether the gateway knows it and a card of it is not deleted.
    pub has_card: bool,
}

/// The record of an account's month, once there is one; its amount never changes.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// How far it has come.
    pub state: RecordState,
    /// What is to be charged, as frozen.
    pub total: Money,
    /// How many attempts the gateway refused for certain.
    pub refusals: u32,
    /// When the latest attempt began.
    pub attempted_at: Option<Timestamp>,
    /// The end of grace, fixed by the first decline.
    pub grace_until: Option<Timestamp>,
}

/// What is to be done about a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing; no record is written or changed.
    Skip(Reason),
    /// Nothing, and the admins are told: a bill cannot be written.
    Stop(BillingError),
    /// The record is written with this state; nothing is charged.
    Write(RecordState, Bill),
    /// A charge is made or found again.
    Charge(Charge),
}

/// A charge to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The key of the attempt.
    pub key: ChargeKey,
    /// The amount, above zero.
    pub amount: Money,
    /// The bill to write, as pending, before the gateway is called; `None` if it is written.
    pub bill: Option<Bill>,
    /// How to go about it.
    pub manner: Manner,
}

impl Step {
    /// The reason that completes the task at once; `None` if the gateway has to answer first.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Skip(reason) => Some(*reason),
            Self::Stop(_) => Some(Reason::UnknownPlan),
            Self::Write(RecordState::CarriedOver, _) => Some(Reason::CarriedOver),
            Self::Write(RecordState::NoCard, _) => Some(Reason::NoCard),
            Self::Write(_, _) => Some(Reason::PaidByCredit),
            Self::Charge(_) => None,
        }
    }
}

/// Decides what is to be done about an account's month.
///
/// The order of the reasons is the rule: deleted, billed by a provider, not active, settled,
/// throttled (only for the monthly run, and only from the throttle's date on), free, no card. A
/// charge whose end is unknown is asked for again under its own key, whatever the card. The
/// monthly run charges neither a month it once found without a card (the customer is asked when
/// adding one) nor a refused one before its next try is due.
///
/// `bill` is asked for only if there is no record and the price is needed.
///
/// # Errors
/// [`BillingError::MonthNotEnded`], [`BillingError::TooManyAttempts`], and whatever `bill` says but
/// an unknown plan, which is a [`Step::Stop`].
pub fn settle_month(
    standing: &Standing,
    month: Month,
    trigger: Trigger,
    now: Timestamp,
    record: Option<&Record>,
    bill: impl FnOnce() -> Result<Bill, BillingError>,
) -> Result<Step, BillingError> {
    if now < month.end() {
        return Err(BillingError::MonthNotEnded { month });
    }
    if let Some(reason) = skip(standing, month, trigger, now, record) {
        return Ok(Step::Skip(reason));
    }
    let Some(record) = record else {
        return match bill() {
            Ok(bill) => Ok(first_step(standing, month, bill)),
            Err(error @ BillingError::UnknownPlan { .. }) => Ok(Step::Stop(error)),
            Err(error) => Err(error),
        };
    };
    if record.refusals >= MAX_REFUSALS {
        return Err(BillingError::TooManyAttempts { month, refusals: record.refusals });
    }
    Ok(next_step(standing, month, trigger, now, record))
}

fn skip(
    standing: &Standing,
    month: Month,
    trigger: Trigger,
    now: Timestamp,
    record: Option<&Record>,
) -> Option<Reason> {
    let Standing { account: _, billed_by, created_at, deleted, throttled_at, has_card: _ } =
        standing;
    if *deleted {
        return Some(Reason::AccountDeleted);
    }
    if *billed_by == BilledBy::Provider {
        return Some(Reason::BilledByProvider);
    }
    if *created_at >= month.end() {
        return Some(Reason::NotActiveInMonth);
    }
    match record.map(|record| record.state) {
        Some(RecordState::Paid) => return Some(Reason::AlreadyPaid),
        Some(RecordState::Waived) => return Some(Reason::Waived),
        Some(RecordState::CarriedOver) => return Some(Reason::CarriedOver),
        Some(RecordState::NoCard | RecordState::Pending | RecordState::Failed) | None => {}
    }
    let throttled = throttled_at.is_some_and(|at| at <= now);
    (throttled && trigger == Trigger::MonthlyRun).then_some(Reason::AccountThrottled)
}

/// The step of a month without a record.
fn first_step(standing: &Standing, month: Month, bill: Bill) -> Step {
    if bill.list_price.minor == 0 {
        return Step::Skip(Reason::FreePlan);
    }
    match bill.due {
        Due::CarryOver => Step::Write(RecordState::CarriedOver, bill),
        Due::Nothing => Step::Write(RecordState::Paid, bill),
        Due::Charge if !standing.has_card => Step::Write(RecordState::NoCard, bill),
        Due::Charge => {
            let key = ChargeKey { account: standing.account, month, attempt: 1 };
            let amount = bill.total;
            Step::Charge(Charge { key, amount, bill: Some(bill), manner: Manner::Call })
        }
    }
}

/// The step of a month whose record is open.
fn next_step(
    standing: &Standing,
    month: Month,
    trigger: Trigger,
    now: Timestamp,
    record: &Record,
) -> Step {
    let key = ChargeKey { account: standing.account, month, attempt: record.refusals + 1 };
    let charge = |manner| Step::Charge(Charge { key, amount: record.total, bill: None, manner });
    let by_itself = trigger == Trigger::MonthlyRun;
    if record.state == RecordState::Pending {
        let old = record.attempted_at.is_none_or(|at| now.since(at) >= KEY_LIFETIME);
        return charge(match (standing.has_card, old) {
            (false, _) => Manner::LookUpOnly,
            (true, true) => Manner::LookUpFirst,
            (true, false) => Manner::Call,
        });
    }
    if !standing.has_card || (record.state == RecordState::NoCard && by_itself) {
        return Step::Skip(Reason::NoCard);
    }
    let due = match (record.grace_until, record.attempted_at) {
        (Some(grace_until), Some(at)) => next_retry(grace_until, at).is_some_and(|due| due <= now),
        _ => true,
    };
    if by_itself && !due {
        return Step::Skip(Reason::RetryNotDue);
    }
    charge(Manner::Call)
}

#[cfg(test)]
mod tests;
