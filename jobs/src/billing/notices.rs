//! The mails and events that follow from a settlement, written in its transaction.

use billing::{Notice, Throttle, Total};
use database::{DbError, Tx};
use job::JobError;
use mail::{AdminEvent, AdminEventKind, AuthenticationNeeded, DeclinedCard, Message};
use models::billing::{self as money, BillingRecord, GatewayEvent, PaymentRefund};
use models::{Account, outbox};
use values::{AccountId, Currency, Money, Month, Timestamp};

use super::printed::card_name;
use crate::emails::{Mailing, event};

/// What the mails about an attempt say beside what is known of the account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    /// The attempt, from 1.
    pub(crate) attempt: u32,
    /// The throttle the account got by it.
    pub(crate) throttle: Option<Throttle>,
    /// The gateway's code.
    pub(crate) code: Option<&'a str>,
}

/// Writes the mails and events of an attempt.
pub(crate) async fn add(
    tx: &mut Tx<'_>,
    (account, record): (&Account, &BillingRecord),
    notices: &[Notice],
    told: &Told<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    let (id, month, amount) = (account.id, record.month, record.bill.total);
    let throttled_at = told.throttle.map(|throttle| throttle.at);
    let unthrottled = (!account.unthrottleable).then_some(account.throttled_at).flatten();
    for notice in notices {
        let admins = match notice {
            Notice::MonthlyInvoice => continue, // its mail waits for the PDF
            Notice::ThrottledCardDeclined | Notice::AuthenticationRequired => {
                let Some(customer) = money::primary_card(&mut *tx, id).await? else { continue };
                let message = if *notice == Notice::ThrottledCardDeclined {
                    Message::CardDeclined(DeclinedCard {
                        account: account.name.clone(),
                        month,
                        amount,
                        card: card_name(&customer.card),
                        throttled_at,
                    })
                } else {
                    Message::AuthenticationNeeded(AuthenticationNeeded {
                        account: account.name.clone(),
                        month,
                        amount,
                        card: card_name(&customer.card),
                        confirm_url: None,
                        throttled_at: throttled_at.or(unthrottled),
                    })
                };
                let key = format!("{}/{id}/{month}/{}", message.name(), told.attempt);
                to_customer(tx, account, key, &message, now).await?;
                continue;
            }
            Notice::AdminCardDeclined if account.unthrottleable => AdminEventKind::ExemptDeclined,
            Notice::AdminCardDeclined => AdminEventKind::CardDeclined,
            Notice::AdminThrottledAccount => AdminEventKind::Throttled,
            Notice::AdminChargeError => AdminEventKind::ChargeFailed,
        };
        let code = told.code.and_then(|code| code.parse().ok());
        let happened = AdminEvent {
            account: Some(id),
            month: Some(month),
            amount: Some(amount),
            code,
            ..AdminEvent::new(admins, now)
        };
        note(tx, format!("{notice}/{id}/{month}/{}", told.attempt), &happened).await?;
    }
    Ok(())
}

/// Tells admins of an event of the gateway that only a person can deal with.
pub(crate) async fn gateway_event(
    tx: &mut Tx<'_>,
    event: &GatewayEvent,
    now: Timestamp,
) -> Result<(), DbError> {
    let happened = AdminEvent {
        code: format!("{}:{}", event.name, event.id).parse().ok(),
        ..AdminEvent::new(AdminEventKind::ChargeFailed, now)
    };
    note(tx, format!("gateway_event/{}", event.id), &happened).await
}

/// Tells admins that the gateway did not give money back.
pub(crate) async fn refund_refused(
    tx: &mut Tx<'_>,
    refund: &PaymentRefund,
    code: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let happened = AdminEvent {
        account: Some(refund.account),
        amount: Some(refund.amount),
        code: format!("refund:{code}").parse().ok(),
        ..AdminEvent::new(AdminEventKind::ChargeFailed, now)
    };
    note(tx, format!("refund_refused/{}", refund.key), &happened).await
}

/// Tells admins of an event of the ledger that does not sum to zero.
pub(crate) async fn ledger_difference(
    tx: &mut Tx<'_>,
    event: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let code = event.parse().ok();
    let happened = AdminEvent { code, ..AdminEvent::new(AdminEventKind::LedgerDifference, now) };
    note(tx, format!("ledger_difference/{event}"), &happened).await
}

/// Tells admins that a bill needs a person to look at it.
pub(crate) async fn unknown_plan(
    tx: &mut Tx<'_>,
    account: AccountId,
    month: Month,
    now: Timestamp,
) -> Result<(), DbError> {
    let happened = AdminEvent {
        account: Some(account),
        month: Some(month),
        ..AdminEvent::new(AdminEventKind::UnknownPlan, now)
    };
    note(tx, format!("unknown_plan/{account}/{month}"), &happened).await
}

/// Tells admins that a month's run waits for them.
pub(crate) async fn run_held(
    tx: &mut Tx<'_>,
    month: Month,
    release: billing::Release,
    total: Option<(&Currency, &Total)>,
    now: Timestamp,
) -> Result<(), DbError> {
    let code = release.as_str().parse().ok();
    let gross = total.map_or(0, |(_, total)| total.gross_minor());
    let amount = total.and_then(|(&currency, _)| {
        Some(Money { minor: gross.try_into().ok()?, currency }) // what customers are asked for
    });
    let happened = AdminEvent {
        month: Some(month),
        amount,
        code,
        ..AdminEvent::new(AdminEventKind::BillingHeld, now)
    };
    note(tx, format!("billing_held/{month}/{release}/{gross}"), &happened).await
}

async fn to_customer(
    tx: &mut Tx<'_>,
    account: &Account,
    unique_key: String,
    message: &Message,
    now: Timestamp,
) -> Result<(), DbError> {
    let Some(address) = &account.billing_email else { return Ok(()) };
    let mailing = Mailing {
        unique_key,
        account_id: Some(account.id),
        to: address,
        name: Some(&account.name),
        message,
        attachments: Vec::new(),
    };
    let row = mailing.row(now).map_err(|error| told(&error))?;
    outbox::add(tx, &row).await.map(|_| ())
}

/// Notes an event for the admins, once.
pub(crate) async fn note(
    tx: &mut Tx<'_>,
    unique_key: String,
    happened: &AdminEvent,
) -> Result<(), DbError> {
    let row = event(unique_key, happened).map_err(|error| told(&error))?;
    outbox::note_event(tx, &row).await.map(|_| ())
}

fn told(error: &JobError) -> DbError {
    DbError::Refused(error.chain())
}
