//! The two transactions of a charge: the intent before the gateway is called, the books after it.

use billing::{
    Answered, Bill, Charge as Step1, Consequence, Due, GatewayAnswer, InvoiceBalance, LedgerEvent,
    Manner, Reason, RecordState, Step, Throttle, Trigger, settle_month,
};
use database::{DbError, Tx};
use job::JobError;
use models::billing::{
    self as money, About, Attempt, BillingRecord, Document, DocumentKind, Issue, PaymentCustomer,
};
use models::{Account, ThrottledReason, accounts, throttles};
use payments::{ChargeOutcome, Gateway, GatewayIdError};
use values::{AccountId, Month, Timestamp};

use super::facts::Facts;
use super::invoice_account::{Charging, Ended};
use super::settings::Settings;
use super::{BY_HAND, notices};
use crate::accounts::lift;

/// The code of a charge that was never made, because there is no card left to charge.
pub(crate) const NO_CARD: &str = "no_card";
/// The code of a charge that no gateway could take, because an id of it cannot be one.
pub(crate) const UNFIT: &str = "unfit_id";
/// The reason of a record whose charge is under way.
const BY_CARD: &str = "charge";
/// Why a throttle ends with a charge, as admins are told.
pub(crate) const PAID: &str = "paid";

/// What the first transaction left to be done.
#[derive(Debug)]
pub(crate) enum Started {
    /// Nothing.
    Ended(Ended),
    /// The gateway has to be asked.
    Charge(Box<Prepared>),
}

/// A charge whose intent is stored.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The month's record as stored.
    pub(crate) record: BillingRecord,
    /// The attempt as stored when it was first tried.
    pub(crate) attempt: Attempt,
    /// The invoice's number.
    pub(crate) number: String,
    /// Whether there is no card left to charge.
    pub(crate) look_up_only: bool,
    /// Whether the account was throttled, or going to be.
    pub(crate) was_throttled: bool,
}

impl Prepared {
    /// The request, the same for each try.
    pub(crate) fn charge(&self) -> Result<payments::Charge, GatewayIdError> {
        let Attempt { key, account, month, attempt, amount, customer, card, .. } = &self.attempt;
        // By hand nobody is asked; the gateway's ids have to be some.
        let customer = customer.clone().unwrap_or_else(|| "cus_by_hand".to_owned());
        let card = card.clone().unwrap_or_else(|| "pm_by_hand".to_owned());
        Ok(payments::Charge {
            key: key.clone(),
            customer: customer.try_into()?,
            payment_method: card.try_into()?,
            amount: *amount,
            account: *account,
            month: *month,
            attempt: *attempt,
            invoice: self.number.clone(),
        })
    }
}

/// Decides about a month and stores the intent of what follows.
pub(crate) async fn start(
    tx: &mut Tx<'_>,
    charging: &Charging<'_>,
    account: AccountId,
    month: Month,
    trigger: Trigger,
    now: Timestamp,
) -> Result<Started, JobError> {
    let settings = charging.settings;
    let Some(mut facts) = Facts::lock(tx, account, month).await? else {
        return Err(JobError::permanent(format!("there is no account {account}")));
    };
    let by_hand = matches!(charging.gateway, Gateway::Manual);
    let standing = facts.standing(&settings.catalogue, by_hand)?;
    let mut record = facts.record.as_ref().map(BillingRecord::facts);
    let mut number = None;
    if let Some(record) = &mut record
        && let Some(invoice) = money::of_month(&mut *tx, account, month).await?
    {
        record.total = invoice.balance.open()?; // less than the bill after a credit note
        number = Some(invoice.number);
    }
    let awaits_transfer = facts
        .record
        .as_ref()
        .is_some_and(|record| record.state == RecordState::Pending && record.reason == BY_HAND);
    if awaits_transfer
        && !by_hand
        && (trigger == Trigger::MonthlyRun || facts.customer.is_none())
        && let Some(number) = number
    {
        // Who was asked for a transfer is not charged as well, unless a person says so.
        return Ok(Started::Ended(Ended::Invoiced(number)));
    }
    let step =
        settle_month(&standing, month, trigger, now, record.as_ref(), || facts.bill(settings))?;
    let reason = step.reason();
    let charge = match step {
        Step::Skip(_) => None,
        Step::Stop(error) => {
            tracing::warn!(%account, %month, error = %error, "a bill cannot be written");
            notices::unknown_plan(tx, account, month, now).await?;
            None
        }
        Step::Write(state, bill) => {
            let reason = reason.expect("a month that is written ends at once").as_str();
            let written = Written { state, reason, attempted_at: None };
            number = write(tx, settings, &mut facts, written, bill, now).await?;
            None
        }
        Step::Charge(charge) => Some(charge),
    };
    let Some(charge) = charge else {
        let reason = reason.expect("only a charge has no reason yet");
        // An attempt that was cut off after this transaction has not asked for the PDF.
        let invoice = match reason {
            Reason::PaidByCredit | Reason::AlreadyPaid => number,
            _ => None,
        };
        return Ok(Started::Ended(Ended::Settled(reason, invoice)));
    };
    if facts.charges_stopped {
        return Ok(Started::Ended(Ended::Stopped));
    }
    intend(tx, charging, facts, (charge, number), now).await
}

/// Stores a charge's intent: record, invoice unless the month has its number, and attempt.
async fn intend(
    tx: &mut Tx<'_>,
    charging: &Charging<'_>,
    mut facts: Facts,
    (charge, number): (Step1, Option<String>),
    now: Timestamp,
) -> Result<Started, JobError> {
    let Step1 { key, amount, bill, manner } = charge;
    // By hand nobody is charged: an attempt without a customer is one that waits for a transfer.
    let by_hand = matches!(charging.gateway, Gateway::Manual);
    if let Some(bill) = bill {
        let reason = if by_hand { BY_HAND } else { BY_CARD };
        let written = Written { state: RecordState::Pending, reason, attempted_at: Some(now) };
        write(tx, charging.settings, &mut facts, written, bill, now).await?;
    }
    let mut record = facts.record.clone().expect("a charge has a record");
    let is_begun = record.state == RecordState::Pending && record.attempted_at.is_some();
    if !is_begun {
        record.state = RecordState::Pending;
        record.attempted_at = Some(now);
        if by_hand {
            BY_HAND.clone_into(&mut record.reason);
        }
        money::update_record(tx, &record, now).await?;
    }
    let charged = facts.customer.as_ref().filter(|_| !by_hand);
    let attempt = Attempt {
        key: key.to_string(),
        account: key.account,
        month: key.month,
        attempt: key.attempt,
        amount,
        customer: charged.map(|customer| customer.customer.clone()),
        card: charged.map(|customer| customer.card.id.clone()),
        state: "begun".to_owned(),
        payment: None,
        code: None,
        created_at: now,
    };
    let mut attempt = money::begin_attempt(tx, attempt).await?;
    if by_hand && attempt.customer.is_some() {
        let why = "a charge of it was sent to the payment gateway and its end is not known: only the \
                   gateway can tell, so `payments` must be configured until then";
        return Err(JobError::retryable(why));
    }
    // Last of all: from here on every other invoice waits for this transaction.
    let number = match number {
        Some(number) => number,
        None => issue(tx, charging.settings, &facts, &record.bill, now).await?,
    };
    if by_hand {
        return Ok(Started::Ended(Ended::Invoiced(number)));
    }
    if let (None, Some(PaymentCustomer { customer, card })) = (&attempt.customer, charged) {
        // It waited for a transfer so far: nothing was sent under its key.
        attempt.customer = Some(customer.clone());
        attempt.card = Some(card.id.clone());
        attempt.amount = amount;
        attempt.created_at = now;
        money::attempt_by_card(tx, &attempt).await?;
        BY_CARD.clone_into(&mut record.reason);
        money::update_record(tx, &record, now).await?;
    }
    let look_up_only = manner == Manner::LookUpOnly;
    let was_throttled = facts.account.throttled_at.is_some();
    let prepared = Prepared { record, attempt, number, look_up_only, was_throttled };
    Ok(Started::Charge(Box::new(prepared)))
}

/// What a month's record says when it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) state: RecordState,
    pub(crate) reason: &'a str,
    /// When the first attempt to charge it began.
    pub(crate) attempted_at: Option<Timestamp>,
}

/// Writes a month's record; returns the number of its invoice if it is paid by that.
pub(crate) async fn write(
    tx: &mut Tx<'_>,
    settings: &Settings,
    facts: &mut Facts,
    written: Written<'_>,
    bill: Bill,
    now: Timestamp,
) -> Result<Option<String>, DbError> {
    let account = facts.account.id;
    if !facts.is_frozen {
        money::freeze(tx, &[account], facts.month, now).await?;
    }
    let Written { state, reason, attempted_at } = written;
    let record = BillingRecord {
        account,
        month: facts.month,
        state,
        refusals: 0,
        attempted_at,
        grace_until: None,
        carried_into: None,
        reason: reason.to_owned(),
        plans: facts.plans.clone(),
        created_at: now,
        bill,
    };
    money::insert_record(tx, &record).await?;
    if record.bill.due != Due::CarryOver && !facts.carried.is_empty() {
        money::carried_into(tx, account, facts.month).await?;
    }
    facts.record = Some(record);
    let record = facts.record.as_ref().expect("just written");
    match state {
        RecordState::Paid => issue(tx, settings, facts, &record.bill, now).await.map(Some),
        _ => Ok(None),
    }
}

/// Issues a month's invoice, posts it, and lets the customer's credit pay what the bill says.
async fn issue(
    tx: &mut Tx<'_>,
    settings: &Settings,
    facts: &Facts,
    bill: &Bill,
    now: Timestamp,
) -> Result<String, DbError> {
    let refused = |error: billing::BillingError| DbError::Refused(error.to_string());
    let gross = bill.total.checked_add(bill.credit).map_err(|error| refused(error.into()))?;
    let net = values::Money { minor: gross.minor - bill.tax.minor, ..gross };
    let balance = InvoiceBalance::issued(net, bill.tax).map_err(refused)?;
    let account = facts.account.id;
    let number = money::issue(
        tx,
        &Issue {
            issuer: &settings.issuer.id,
            prefix: &settings.issuer.invoice_prefix,
            kind: DocumentKind::Invoice,
            account,
            month: facts.month,
            refers_to: None,
            balance,
            issued_at: now,
            due_at: now.after(settings.payment_term()),
            reason: None,
            details: &facts.details,
            bill,
        },
    )
    .await?;
    let event = LedgerEvent::InvoiceIssued { net, tax: bill.tax };
    let about = About { account, number: &number, month: facts.month, at: now };
    money::post(tx, &format!("invoice/{number}"), &event, &about).await?;
    money::spend_credit(tx, account, &number, bill.credit).await?;
    Ok(number)
}

/// Why a month ended as the gateway's answer makes it end.
pub(crate) fn reason(answer: &GatewayAnswer) -> Reason {
    match answer {
        GatewayAnswer::Accepted => Reason::Charged,
        GatewayAnswer::Declined { code: _ } | GatewayAnswer::AuthenticationRequired => {
            Reason::CardDeclined
        }
        GatewayAnswer::Refused { code } if code == NO_CARD => Reason::NoCard,
        GatewayAnswer::Refused { code: _ } | GatewayAnswer::Unknown => Reason::GatewayError,
    }
}

/// Books what the gateway answered; does nothing if somebody else has done so already.
pub(crate) async fn finish(
    tx: &mut Tx<'_>,
    prepared: &Prepared,
    answer: &GatewayAnswer,
    outcome: &ChargeOutcome,
    now: Timestamp,
) -> Result<(), DbError> {
    let Attempt { key, account, month, attempt, .. } = &prepared.attempt;
    let Some(account) = accounts::lock(tx, *account).await? else { return Ok(()) };
    let charged = money::month_charged(tx, account.id, *month, &prepared.number).await?;
    let Some((mut record, balance)) = charged else { return Ok(()) };
    let is_open = record.state == RecordState::Pending && record.refusals + 1 == *attempt;
    if !is_open {
        return Ok(());
    }
    let throttle = throttle_of(&account);
    let answered = Answered {
        now,
        exempt: account.unthrottleable,
        throttle,
        grace_until: record.grace_until,
        // Of use only to know whether a throttle ends.
        others_failed: throttle.is_some()
            && money::others_failed(&mut *tx, account.id, *month).await?,
    };
    let Consequence { state, refused, reason: _, grace_until, throttle, lifts_throttle, notices } =
        answer.consequence(&answered);
    let (word, payment, code) = told(outcome);
    money::end_attempt(tx, key, word, payment, code, now).await?;
    record.state = if code == Some(NO_CARD) { RecordState::NoCard } else { state };
    record.refusals += u32::from(refused);
    record.grace_until = grace_until;
    reason(answer).as_str().clone_into(&mut record.reason);
    money::update_record(tx, &record, now).await?;
    if state == RecordState::Paid {
        let event = LedgerEvent::PaymentReceived { amount: prepared.attempt.amount };
        let number = &prepared.number;
        let about = About { account: account.id, number, month: *month, at: now };
        let balance = balance.ok_or_else(|| DbError::Refused(format!("no invoice {number}")))?;
        book_on(tx, key, &event, &about, &balance).await?;
    }
    if lifts_throttle {
        lift(tx, &account, Some(ThrottledReason::CardDeclined), PAID, now).await?;
    }
    if let Some(Throttle { at, reason: _ }) = throttle {
        throttles::throttle(tx, account.id, (at, ThrottledReason::CardDeclined), now).await?;
    }
    if code == Some(NO_CARD) {
        return Ok(());
    }
    let told = notices::Told { attempt: *attempt, throttle, code };
    notices::add(tx, (&account, &record), &notices, &told, now).await
}

/// Posts an event of an invoice and stores its new sums; returns the invoice as it is afterwards.
pub(crate) async fn book(
    tx: &mut Tx<'_>,
    name: &str,
    number: &str,
    event: &LedgerEvent,
    now: Timestamp,
) -> Result<Document, DbError> {
    let invoice = money::by_number(&mut *tx, number).await?;
    let mut invoice = invoice.ok_or_else(|| DbError::Refused(format!("no invoice {number}")))?;
    let about = About { account: invoice.account, number, month: invoice.month, at: now };
    invoice.balance = book_on(tx, name, event, &about, &invoice.balance).await?;
    Ok(invoice)
}

/// Posts an event of an invoice that says `balance`, and stores its new sums.
async fn book_on(
    tx: &mut Tx<'_>,
    name: &str,
    event: &LedgerEvent,
    about: &About<'_>,
    balance: &InvoiceBalance,
) -> Result<InvoiceBalance, DbError> {
    let after = balance.after(event).map_err(|error| DbError::Refused(error.to_string()))?;
    money::post(tx, name, event, about).await?;
    money::store_balance(tx, about.number, &after).await?;
    Ok(after)
}

/// The word, payment and code under which an attempt is kept.
fn told(outcome: &ChargeOutcome) -> (&'static str, Option<&str>, Option<&str>) {
    match outcome {
        ChargeOutcome::Accepted { id } => ("accepted", Some(id.as_str()), None),
        ChargeOutcome::Declined { id, code } => {
            ("declined", id.as_ref().map(payments::PaymentId::as_str), Some(code))
        }
        ChargeOutcome::AuthenticationRequired { id } => {
            let id = id.as_ref().map(payments::PaymentId::as_str);
            ("authentication_required", id, Some("authentication_required"))
        }
        ChargeOutcome::Refused { code } => ("refused", None, Some(code)),
        ChargeOutcome::Unknown { reason: _ } | ChargeOutcome::ByHand => ("begun", None, None),
    }
}

fn throttle_of(account: &Account) -> Option<Throttle> {
    let at = account.throttled_at?;
    let reason = match account.throttled_reason? {
        ThrottledReason::OverLimit => billing::ThrottledReason::OverLimit,
        ThrottledReason::CardDeclined => billing::ThrottledReason::CardDeclined,
    };
    Some(Throttle { at, reason })
}

/// Whether a pending month waits for the gateway rather than for a transfer.
pub(crate) async fn is_with_gateway(
    tx: &mut Tx<'_>,
    record: &BillingRecord,
) -> Result<bool, DbError> {
    let BillingRecord { account, month, refusals, .. } = record;
    let attempt = refusals + 1;
    let key = billing::ChargeKey { account: *account, month: *month, attempt }.to_string();
    let attempt = money::attempt(&mut *tx, &key).await?;
    Ok(attempt.is_some_and(|attempt| attempt.customer.is_some()))
}

/// Locks the account of an invoice that a person corrects; no charge of it may be under way.
pub(crate) async fn open_invoice(
    tx: &mut Tx<'_>,
    number: &str,
) -> Result<(Facts, BillingRecord, Document), JobError> {
    let unknown = || JobError::permanent(format!("there is no invoice {number}"));
    let invoice = money::by_number(&mut *tx, number).await?.ok_or_else(unknown)?;
    if invoice.kind != DocumentKind::Invoice {
        return Err(unknown());
    }
    let facts = Facts::lock(tx, invoice.account, invoice.month).await?.ok_or_else(unknown)?;
    let invoice = money::by_number(&mut *tx, number).await?.ok_or_else(unknown)?;
    let record = facts.record.clone().ok_or_else(unknown)?;
    if record.state == RecordState::Pending && is_with_gateway(tx, &record).await? {
        let why = "a charge of it is under way; ask again when its end is known";
        return Err(JobError::permanent(format!("invoice {number} cannot be changed: {why}")));
    }
    Ok((facts, record, invoice))
}

/// Ends a throttle for a declined card once no month is refused any more.
pub(crate) async fn lift_if_settled(
    tx: &mut Tx<'_>,
    facts: &Facts,
    now: Timestamp,
) -> Result<(), DbError> {
    let declined = facts.account.throttled_reason == Some(ThrottledReason::CardDeclined);
    if declined && !money::others_failed(&mut *tx, facts.account.id, facts.month).await? {
        let reason = Some(ThrottledReason::CardDeclined);
        lift(tx, &facts.account, reason, "settled", now).await?;
    }
    Ok(())
}
