//! `accounts/lift_throttle`: an account works again, as a person or another job decided.
//!
//! Every throttle ends, also one that was still to come. The end, its mail and its event are one
//! transaction; a repeat finds nothing to end and writes nothing.

use contract::NoConfiguration;
use contract::accounts::LiftThrottle as Payload;
use database::{Db, Tx};
use job::{Context, Job, JobError, Outcome, Services};
use mail::{AdminEvent, AdminEventKind, Message, ThrottleLifted};
use models::{Account, accounts, outbox, throttles};
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
        let Some(account) = accounts::get(&self.db, id).await? else {
            return Err(JobError::permanent(format!("there is no account {id}")));
        };
        cx.progress(0.0, "lifting the throttle");
        let mut work = self.db.begin().await?;
        let lifted = lift(&mut work.tx(), &account, &payload.reason, cx.now()).await?;
        work.commit().await?;
        cx.progress(1.0, "the throttle is lifted");
        tracing::info!(account_id = %id, lifted, "throttle lifted");
        Ok(deliver(Outcome::completed(json!({ "lifted": lifted }))))
    }
}

async fn lift(
    tx: &mut Tx<'_>,
    account: &Account,
    reason: &str,
    now: Timestamp,
) -> Result<bool, JobError> {
    let id = account.id;
    let Some(sequence) = throttles::lift(tx, id, None, now).await? else { return Ok(false) };
    let key = format!("throttle_lifted/{id}/{sequence}");
    let mut told = AdminEvent::new(AdminEventKind::ThrottleLifted, now);
    told.account = Some(id);
    told.code = reason.parse().ok();
    outbox::note_event(tx, &event(key.clone(), &told)?).await?;
    // Without an address, or once deleted, there is nobody to tell.
    if let (Some(to), None) = (&account.billing_email, account.deleted_at) {
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
        outbox::add(tx, &mailing.row(now)?).await?;
    }
    Ok(true)
}
