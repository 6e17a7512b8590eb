//! `accounts/lift_throttle`: an account works again, as a person or another job decided.
//!
//! Every throttle ends, also one that was still to come. The end, its mail and its event are one
//! transaction; a repeat finds nothing to end and writes nothing.

use contract::NoConfiguration;
use contract::accounts::LiftThrottle as Payload;
use database::{Db, DbError, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use mail::{AdminEvent, AdminEventKind, Code, Message, ThrottleLifted};
use models::{Account, ThrottledReason, accounts, outbox, throttles};
use serde_json::json;
use values::Timestamp;

use super::sync_marketplace_details::Settings;
use crate::emails::{Mailing, deliver, event};

/// Lifts throttles.
pub(crate) struct LiftThrottle {
    db: Db,
}

impl Job for LiftThrottle {
    type Payload = Payload;
    type Settings = Settings; // the domain's

    fn new(services: &Services, _: Settings) -> Self {
        Self { db: services.db.clone() }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let id = payload.account_id;
        if payload.reason.parse::<Code>().is_err() {
            return Err(JobError::permanent(
                "`reason` is one word of letters, digits, `_`, `-`, `.`, `:` and `/`",
            ));
        }
        cx.progress(0.0, "lifting the throttle");
        let mut work = self.db.begin().await?;
        let tx = &mut work.tx();
        let Some(account) = accounts::lock(tx, id).await? else {
            return Err(JobError::permanent(format!("there is no account {id}")));
        };
        let lifted = lift(tx, &account, None, &payload.reason, cx.now()).await?;
        work.commit().await?;
        cx.progress(1.0, "the throttle is lifted");
        tracing::info!(account_id = %id, lifted, "throttle lifted");
        Ok(deliver(Outcome::completed(json!({ "lifted": lifted }))))
    }
}

/// Ends throttles, those for one reason or all, and tells of it; `false` if there were none.
///
/// `why` is a code that admins read. The account is as it was locked before. The customer is told
/// if the account works again by this: not of a throttle that was still to come, nor while another
/// one holds.
pub(crate) async fn lift(
    tx: &mut Tx<'_>,
    account: &Account,
    reason: Option<ThrottledReason>,
    why: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let id = account.id;
    let Some(lifted) = throttles::lift(tx, id, reason, now).await? else { return Ok(false) };
    let refused = |error: JobError| DbError::Refused(error.chain());
    let key = format!("throttle_lifted/{id}/{}", lifted.sequence);
    let mut told = AdminEvent::new(AdminEventKind::ThrottleLifted, now);
    told.account = Some(id);
    told.code = why.parse().ok();
    outbox::note_event(tx, &event(key.clone(), &told).map_err(refused)?).await?;
    let holds = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let works_again = holds(account.throttled_at) && !holds(lifted.still_throttled_at);
    // Without an address, or once deleted, there is nobody to tell.
    if let (Some(to), None, true) = (&account.billing_email, account.deleted_at, works_again) {
        let message =
            Message::ThrottleLifted(ThrottleLifted { account: account.name.clone(), at: now });
        let mailing = Mailing {
            unique_key: key,
            account_id: Some(id),
            to,
            name: Some(&account.name),
            message: &message,
            attachments: Vec::new(),
        };
        outbox::add(tx, &mailing.row(now).map_err(refused)?).await?;
    }
    Ok(true)
}
